//! Which images of a list are meant: `--filter-by-os`.

use clap::Args;
use pierhead_oci::{Descriptor, Platform};
use regex::Regex;

/// Which platforms.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FilterOptions {
    /// Regular expression for OS/ARCHITECTURE of the images wanted of a list, such as linux/arm64 or .*
    #[arg(long, value_name = "EXPRESSION", value_parser = parse)]
    pub(crate) filter_by_os: Option<Regex>,
}

fn parse(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("--filter-by-os was not a valid regular expression: {error}"))
}

impl FilterOptions {
    /// Whether an image of a list is wanted; where nothing is said, those of this machine's kind, or the only one.
    pub(crate) fn includes(&self, child: &Descriptor, of: usize) -> bool {
        match &self.filter_by_os {
            Some(filter) => filter.is_match(&spec(child.platform.as_ref())),
            None => of == 1 || is_native(child.platform.as_ref()),
        }
    }

    /// The same, but where nothing is said all are wanted.
    pub(crate) fn includes_or_all(&self, child: &Descriptor) -> bool {
        self.filter_by_os.as_ref().is_none_or(|filter| filter.is_match(&spec(child.platform.as_ref())))
    }
}

/// `linux/arm/v7`, as lists and filters write it.
pub(crate) fn spec(platform: Option<&Platform>) -> String {
    let Some(platform) = platform else { return "unknown".to_owned() };
    let mut text = format!("{}/{}", platform.os, platform.architecture);
    if let Some(variant) = platform.variant.as_ref().filter(|variant| !variant.is_empty()) {
        text.push_str(&format!("/{variant}"));
    }
    if let Some(version) = platform.os_version.as_ref().filter(|version| !version.is_empty()) {
        text.push_str(&format!(":{version}"));
    }
    text
}

/// The architecture of this machine in the words of images.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Images are of Linux here, whatever this program runs on.
fn is_native(platform: Option<&Platform>) -> bool {
    platform.is_some_and(|platform| platform.os == "linux" && platform.architecture == architecture())
}

#[cfg(test)]
mod tests {
    use pierhead_oci::{Descriptor, Digest, MediaType, Platform};

    use super::{FilterOptions, architecture, parse};

    fn child(os: &str, architecture: &str) -> Descriptor {
        let platform = Platform { os: os.into(), architecture: architecture.into(), ..Platform::default() };
        let plain = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b""), 0);
        Descriptor { platform: Some(platform), ..plain }
    }

    #[test]
    fn platforms_are_chosen() {
        let unsaid = FilterOptions::default();
        assert!(unsaid.includes(&child("windows", "mips"), 1));
        assert!(!unsaid.includes(&child("windows", "mips"), 2));
        assert!(unsaid.includes(&child("linux", architecture()), 2));
        assert!(unsaid.includes_or_all(&child("windows", "mips")));
        let arm = FilterOptions { filter_by_os: Some(parse("linux/arm.*").unwrap()) };
        assert!(arm.includes(&child("linux", "arm64"), 9) && !arm.includes(&child("linux", "amd64"), 1));
        assert!(!arm.includes_or_all(&child("linux", "amd64")));
        assert!(parse("(").is_err());
    }
}
