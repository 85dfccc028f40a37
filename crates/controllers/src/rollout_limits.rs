//! How many pods a rolling update may miss and how many it may have too many, in numbers.

use pierhead_api::IntOrString;
use pierhead_api::apps::{DeploymentConfigSpec, strategy};

/// The limits of one rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_surge: i32,
    pub(crate) max_unavailable: i32,
}

impl Limits {
    /// Shares become numbers: of surplus pods rounded up, of missing ones rounded down. One of both is never zero.
    pub(crate) fn resolve(
        surge: Option<&IntOrString>,
        unavailable: Option<&IntOrString>,
        desired: i32,
    ) -> Self {
        let max_surge = share(surge, desired, Round::Up);
        let mut max_unavailable = share(unavailable, desired, Round::Down);
        if max_surge == 0 && max_unavailable == 0 {
            max_unavailable = 1;
        }
        Self { max_surge, max_unavailable }
    }

    /// How many pods of a configuration may be missing while it still counts as available.
    pub(crate) fn tolerated(spec: &DeploymentConfigSpec) -> i32 {
        let params = spec.strategy.rolling_params.as_ref();
        match params.filter(|_| spec.strategy.strategy_type == strategy::ROLLING) {
            None => 0,
            Some(params) => {
                let (surge, unavailable) = (params.max_surge.as_ref(), params.max_unavailable.as_ref());
                Self::resolve(surge, unavailable, spec.replicas).max_unavailable
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

fn share(amount: Option<&IntOrString>, of: i32, round: Round) -> i32 {
    match amount {
        None => 0,
        Some(IntOrString::Int(number)) => (*number).max(0),
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or_default();
            let hundredfold = percent.clamp(0, 100) * i64::from(of.max(0));
            let number = match round {
                Round::Up => (hundredfold + 99) / 100,
                Round::Down => hundredfold / 100,
            };
            i32::try_from(number).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::IntOrString;

    use super::Limits;

    #[track_caller]
    fn check(surge: &str, unavailable: &str, desired: i32, expected: (i32, i32)) {
        let amount = |text: &str| match text.parse() {
            Ok(number) => Some(IntOrString::Int(number)),
            Err(_) => (!text.is_empty()).then(|| IntOrString::String(text.into())),
        };
        let limits = Limits::resolve(amount(surge).as_ref(), amount(unavailable).as_ref(), desired);
        assert_eq!((limits.max_surge, limits.max_unavailable), expected);
    }

    #[test]
    fn shares_become_numbers() {
        check("25%", "25%", 1, (1, 0));
        check("25%", "25%", 4, (1, 1));
        check("25%", "25%", 10, (3, 2));
        check("0", "25%", 1, (0, 1));
        check("0", "0", 3, (0, 1));
        check("2", "100%", 3, (2, 3));
        check("100%", "0", 3, (3, 0));
        check("25%", "25%", 0, (0, 1));
        check("", "", 2, (0, 1));
    }
}
