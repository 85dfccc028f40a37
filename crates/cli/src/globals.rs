//! Flags that every verb takes.

use std::path::PathBuf;

use clap::{
    Args, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser as _},
};

/// Whose texts to print where releases differ (`--compat`, `$PIERHEAD_COMPAT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// OpenShift 3.2, of 2016.
    #[value(name = "3.2")]
    V3_2,
    /// OpenShift 4.
    #[value(name = "4")]
    V4,
}

/// When to use colours (`--color`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourChoice {
    /// Where a person reads
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

/// Where to, as whom, in which project.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Globals {
    /// Project (namespace) to work in, instead of the one of the current context
    #[arg(short = 'n', long, global = true, value_name = "PROJECT", help_heading = "Global options")]
    pub(crate) namespace: Option<String>,
    /// Address of the API server
    #[arg(short = 's', long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) server: Option<String>,
    /// Bearer token
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Global options")]
    pub(crate) token: Option<String>,
    /// Kubeconfig file, instead of $KUBECONFIG and ~/.kube/config
    #[arg(
        long,
        visible_alias = "config",
        global = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) context: Option<String>,
    /// Cluster of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig to use; the last one counts, except where users are what a verb is about
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) user: Vec<String>,
    /// Act as this user
    #[arg(long = "as", global = true, value_name = "USER", help_heading = "Global options")]
    pub(crate) impersonate: Option<String>,
    /// Act as a member of this group
    #[arg(long = "as-group", global = true, value_name = "GROUP", help_heading = "Global options")]
    pub(crate) impersonate_groups: Vec<String>,
    /// File with the authorities that may sign the server's certificate
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// File with the client certificate
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// File with the client key
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) client_key: Option<PathBuf>,
    /// Accept any certificate of the server
    #[arg(
        long,
        global = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Global options"
    )]
    pub(crate) insecure_skip_tls_verify: Option<bool>,
    /// Longest wait for an answer, such as 30s; 0 waits for ever
    #[arg(long, global = true, value_name = "DURATION", help_heading = "Global options")]
    pub(crate) request_timeout: Option<String>,
    /// Texts of another release where they differ
    #[arg(long, global = true, value_enum, value_name = "ERA", help_heading = "Global options")]
    pub(crate) compat: Option<Era>,
    /// Id to act under, together with --as
    #[arg(long = "as-uid", global = true, value_name = "UID", help_heading = "Global options")]
    pub(crate) impersonate_uid: Option<String>,
    /// Fail unless the server is of the same version as this program
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) match_server_version: bool,
    /// Exit with 1 if the server warned of anything
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) warnings_as_errors: bool,
    /// Colours: auto uses them on terminals alone
    #[arg(
        long,
        visible_alias = "colour",
        global = true,
        value_enum,
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub(crate) color: Option<ColourChoice>,
    /// What to say about requests on stderr: 6 their lines, 7 headers too, 8 bodies too, 9 all of them
    #[arg(
        short = 'v',
        long = "v",
        visible_alias = "loglevel",
        global = true,
        value_name = "LEVEL",
        help_heading = "Global options"
    )]
    pub(crate) verbosity: Option<u8>,
}

impl Globals {
    /// What is given as nothing is not given: scripts pass variables that may be empty.
    pub(crate) fn without_empty(mut self) -> Self {
        for given in [
            &mut self.namespace,
            &mut self.server,
            &mut self.token,
            &mut self.context,
            &mut self.cluster,
            &mut self.impersonate,
        ] {
            if given.as_deref() == Some("") {
                *given = None;
            }
        }
        self.user.retain(|user| !user.is_empty());
        self.kubeconfig = self.kubeconfig.filter(|path| !path.as_os_str().is_empty());
        self
    }
}
