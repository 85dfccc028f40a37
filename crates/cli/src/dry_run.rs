//! The flag `--dry-run`: whether a verb only says what it would do.
//!
//! Owns what may be typed: a word that is none of it must never be taken for "do it".

use clap::{Args, ValueEnum};

/// Who tries, without doing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// Do it
    #[default]
    #[value(alias = "false")]
    None,
    /// Send nothing that changes anything
    #[value(alias = "true")]
    Client,
    /// Let the server check everything and store nothing
    Server,
}

/// The flag.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct DryRunArgs {
    /// Only say what would be done
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_value = "none",
        default_missing_value = "client",
        hide_default_value = true,
        value_name = "WHERE"
    )]
    pub(crate) dry_run: DryRun,
}

impl DryRun {
    /// `created`, `created (dry run)`.
    pub(crate) fn done(self, done: &str) -> String {
        match self {
            Self::None => done.to_owned(),
            Self::Client => format!("{done} (dry run)"),
            Self::Server => format!("{done} (server dry run)"),
        }
    }

    /// The whole query of a change by this manager.
    pub(crate) fn query_of(self, manager: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("fieldManager", manager);
        if self == Self::Server {
            query.append_pair("dryRun", "All");
        }
        query.finish()
    }

    /// What the query of a request says about it.
    pub(crate) const fn query(self) -> &'static str {
        match self {
            Self::None | Self::Client => "",
            Self::Server => "dryRun=All",
        }
    }
}
