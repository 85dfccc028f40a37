//! What a client wants to get, by its `Accept` header (platform 1.3, 1.5, 1.6).
//!
//! Owns the reading of media ranges and their parameters. The first range that we can serve decides; parameters we do
//! not know make a range unservable, as clients list a plainer one after it.

use http::HeaderMap;
use http::header::ACCEPT;
use pierhead_api::meta::Status;

use crate::error::ApiError;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
}

/// As what objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Object,
    /// As rows of a table of this version of `meta.k8s.io`.
    Table(&'static str),
    /// Only their metadata.
    Metadata,
    /// A discovery document of this version of `apidiscovery.k8s.io`.
    Discovery(&'static str),
}

/// What a client wants to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    /// How.
    pub(crate) encoding: Encoding,
    /// As what.
    pub(crate) form: Form,
}

impl Accept {
    /// Plain JSON.
    pub(crate) const JSON: Self = Self { encoding: Encoding::Json, form: Form::Object };

    /// Reads the header; 406 when there is nothing in it we can serve.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut asked = false;
        for header in headers.get_all(ACCEPT) {
            let Ok(text) = header.to_str() else { continue };
            for range in text.split(',').map(str::trim).filter(|range| !range.is_empty()) {
                asked = true;
                if let Some(accept) = read_range(range) {
                    return Ok(accept);
                }
            }
        }
        if asked {
            return Err(Status::not_acceptable(&["application/json", "application/yaml"]).into());
        }
        Ok(Self::JSON)
    }
}

fn read_range(range: &str) -> Option<Accept> {
    let mut parts = range.split(';').map(str::trim);
    let encoding = match parts.next()? {
        "application/json" | "application/*" | "*/*" | "text/*" => Encoding::Json,
        "application/yaml" => Encoding::Yaml,
        _ => return None,
    };
    let (mut r#as, mut group, mut version) = ("", "", "");
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match key.trim() {
            "as" => r#as = value.trim(),
            "g" => group = value.trim(),
            "v" => version = value.trim(),
            "profile" => return None,
            _ => {}
        }
    }
    let form = match (r#as, group, version) {
        ("", _, _) => Form::Object,
        ("Table", "meta.k8s.io", "v1") => Form::Table("v1"),
        ("Table", "meta.k8s.io", "v1beta1") => Form::Table("v1beta1"),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1" | "v1beta1") => {
            Form::Metadata
        }
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Form::Discovery("v2"),
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => Form::Discovery("v2beta1"),
        _ => return None,
    };
    Some(Accept { encoding, form })
}

#[cfg(test)]
mod tests {
    use super::{Accept, Encoding, Form};
    use http::{HeaderMap, HeaderValue};

    fn check(header: &'static str, expected: Result<(Encoding, Form), u16>) {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static(header));
        let read = Accept::read(&headers).map(|accept| (accept.encoding, accept.form));
        assert_eq!(read.map_err(|error| error.status().code), expected, "{header}");
    }

    #[test]
    fn the_first_servable_range_decides() {
        check("", Ok((Encoding::Json, Form::Object)));
        check("*/*", Ok((Encoding::Json, Form::Object)));
        check("application/vnd.kubernetes.protobuf,application/json", Ok((Encoding::Json, Form::Object)));
        check("application/vnd.kubernetes.protobuf", Err(406));
        check("application/yaml", Ok((Encoding::Yaml, Form::Object)));
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Ok((Encoding::Json, Form::Table("v1"))),
        );
        check(
            "application/json;as=Table;v=v2;g=meta.k8s.io,application/json",
            Ok((Encoding::Json, Form::Object)),
        );
        check(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Ok((Encoding::Json, Form::Discovery("v2"))),
        );
    }
}
