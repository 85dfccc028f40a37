//! Which formats of manifests a client can read.
//!
//! Clients list formats in `Accept`; weights are not looked at. A client that lists none, or a wildcard, gets what
//! is stored. OCI formats are given only to clients that know them: older ones would take them for damage.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use pierhead_oci::MediaType;

/// What a request's `Accept` headers say.
#[derive(Clone, Copy)]
pub(crate) struct Accept<'a>(&'a HeaderMap);

impl<'a> Accept<'a> {
    /// The headers of one request.
    pub(crate) const fn of(headers: &'a HeaderMap) -> Self {
        Self(headers)
    }

    /// Whether `stored` may be sent as it is.
    pub(crate) fn verdict(self, stored: &str) -> Verdict {
        if self.reads(stored) {
            Verdict::Send
        } else if stored == MediaType::OCI_MANIFEST.as_str() {
            Verdict::Hide("OCI manifest found, but accept header does not support OCI manifests")
        } else if stored == MediaType::OCI_INDEX.as_str() {
            Verdict::Hide("OCI index found, but accept header does not support OCI indexes")
        } else if stored == MediaType::DOCKER_LIST.as_str() && !self.reads(MediaType::OCI_INDEX.as_str()) {
            Verdict::SendChild
        } else {
            Verdict::Send
        }
    }

    fn reads(self, media_type: &str) -> bool {
        let mut listed = self.0.get_all(ACCEPT).iter().filter_map(|value| HeaderValue::to_str(value).ok());
        let mut nothing_listed = true;
        let reads = listed.any(|value| {
            nothing_listed = false;
            value.split(',').any(|item| {
                let item = item.split_once(';').map_or(item, |(item, _)| item).trim();
                item.eq_ignore_ascii_case(media_type) || item == "*/*" || item == "application/*"
            })
        });
        reads || nothing_listed
    }
}

/// What to do with a stored manifest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send it.
    Send,
    /// Send the image of the list that old clients expect, if it was asked for by tag: linux on amd64.
    SendChild,
    /// Say that there is none, with this message.
    Hide(&'static str),
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::ACCEPT;

    use super::{Accept, Verdict};

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

    fn check(accept: &[&str], stored: &str, expected: &Verdict) {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        assert_eq!(Accept::of(&headers).verdict(stored), *expected, "{accept:?} for {stored}");
    }

    #[test]
    fn who_lists_nothing_reads_everything() {
        for stored in [OCI, INDEX, DOCKER, LIST] {
            check(&[], stored, &Verdict::Send);
            check(&["*/*"], stored, &Verdict::Send);
            check(&["text/html, application/*;q=0.5"], stored, &Verdict::Send);
        }
    }

    #[test]
    fn oci_is_for_those_who_know_it() {
        let no_manifest =
            Verdict::Hide("OCI manifest found, but accept header does not support OCI manifests");
        check(&[DOCKER, LIST], OCI, &no_manifest);
        check(
            &[DOCKER],
            INDEX,
            &Verdict::Hide("OCI index found, but accept header does not support OCI indexes"),
        );
        check(&[DOCKER, OCI], OCI, &Verdict::Send);
        check(&[&format!("{DOCKER}, {OCI};q=0.1")], OCI, &Verdict::Send);
    }

    #[test]
    fn lists_become_an_image_for_those_who_know_none() {
        check(&[DOCKER], LIST, &Verdict::SendChild);
        check(&[DOCKER, LIST], LIST, &Verdict::Send);
        check(&[OCI, INDEX], LIST, &Verdict::Send);
        check(&[OCI], DOCKER, &Verdict::Send);
    }
}
