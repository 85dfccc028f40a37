//! Sizes and rates as people read them, in the two forms of the tools they know.

/// In powers of 1000: `23.58MB`.
pub(crate) fn decimal(bytes: f64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// In powers of 1024: `1.5KiB`.
pub(crate) fn binary(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    format!("{}{}", significant(value), units[unit])
}

/// Four digits that count, without zeros at the end.
fn significant(value: f64) -> String {
    let digits = if value >= 1000.0 {
        0
    } else if value >= 100.0 {
        1
    } else if value >= 10.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::{binary, decimal};

    #[test]
    fn sizes_have_four_digits() {
        let rows = [
            (0.0, "0B", "0B"),
            (999.0, "999B", "999B"),
            (1024.0, "1.024kB", "1KiB"),
            (1536.0, "1.536kB", "1.5KiB"),
            (75_181_999.0, "75.18MB", "71.7MiB"),
        ];
        for (bytes, in_thousands, in_twos) in rows {
            assert_eq!((decimal(bytes), binary(bytes)), (in_thousands.to_owned(), in_twos.to_owned()));
        }
    }
}
