//! The table: a row a piece of work, ours beside the better of the peers, and the target.

use std::fmt::Write;

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub work: String,
    /// The unit of the figures.
    pub unit: &'static str,
    /// Name of the server and its figure, ours first.
    pub figures: Vec<(&'static str, f64)>,
    /// Whether more is better, and how many times better than the best peer it shall be; or a fixed bound.
    pub target: Target,
}

/// What a row is held to (`design.md` 4).
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// At least so many times the figure of the better peer.
    TimesMore(f64),
    /// At most so many times the figure of the better peer.
    TimesLess(f64),
    /// At most this.
    AtMost(f64),
}

impl Row {
    /// The row as a line of a Markdown table.
    #[must_use]
    pub fn line(&self) -> String {
        let ours = self.figures.first().map_or(0.0, |(_, figure)| *figure);
        let peers = self.figures.iter().skip(1).map(|(_, figure)| *figure);
        let (best, target, met) = match self.target {
            Target::TimesMore(times) => {
                let best = peers.fold(0.0, f64::max);
                (best, format!("≥ {times}×"), ours >= times * best)
            }
            Target::TimesLess(times) => {
                let best = peers.fold(f64::INFINITY, f64::min);
                (best, format!("≤ {times}×"), ours <= times * best)
            }
            Target::AtMost(bound) => (f64::NAN, format!("≤ {bound}"), ours <= bound),
        };
        let mut line = format!("| {} ({}) |", self.work, self.unit);
        for (_, figure) in &self.figures {
            write!(line, " {} |", shown(*figure)).expect("a String takes every write");
        }
        for _ in self.figures.len()..3 {
            line.push_str(" – |");
        }
        let ratio =
            if best.is_finite() && best > 0.0 { format!("{:.2}×", ours / best) } else { "–".to_owned() };
        write!(line, " {ratio} | {target} | {} |", if met { "met" } else { "missed" }).expect("as above");
        line
    }
}

/// The head of the table.
#[must_use]
pub fn head(names: &[&str]) -> String {
    let columns = names.join(" | ");
    let rule = "---|".repeat(names.len() + 4);
    format!("| work | {columns} | ours / better peer | target | |\n|{rule}")
}

fn shown(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}
