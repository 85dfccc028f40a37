//! The two kinds of byte ranges: of blobs that are read (`Range`), of uploads that are written (`Content-Range`).

use std::ops::Range;

use http::HeaderValue;

/// Which bytes of a blob an answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of them: no range was asked for, or one that may be ignored (RFC 9110, 14.2).
    All,
    /// These.
    Part(Range<u64>),
    /// None: the range lies outside the blob.
    Unsatisfiable,
}

/// Reads the `Range` header of a request for a blob of `size` bytes.
///
/// Several ranges at once are answered with the whole blob. A range whose end comes before its start is taken as
/// unsatisfiable rather than ignored, as clients of the distribution specification expect.
pub(crate) fn wanted(header: Option<&HeaderValue>, size: u64) -> Wanted {
    let spec = header.and_then(|header| header.to_str().ok()).and_then(|text| text.strip_prefix("bytes="));
    let Some((start, end)) = spec.and_then(|spec| spec.trim().split_once('-')) else {
        return Wanted::All;
    };
    let range = match (number(start), number(end)) {
        (Some(start), _) if end.is_empty() => start..size,
        (Some(start), Some(last)) if start <= last => start..last.saturating_add(1).min(size),
        (Some(_), Some(_)) => return Wanted::Unsatisfiable,
        (None, Some(suffix)) if start.is_empty() => size.saturating_sub(suffix)..size,
        _ => return Wanted::All,
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Unsatisfiable }
}

/// Bytes of an upload that a request says it carries, as the specification writes them: `<start>-<end>`, both
/// included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Position of the first byte in the blob.
    pub(crate) start: u64,
    /// How many bytes follow; at least one.
    pub(crate) length: u64,
}

impl Chunk {
    /// Reads a `Content-Range` header. The form of RFC 9110, `bytes 0-99/*`, is read too, since clients send it.
    pub(crate) fn parse(header: &HeaderValue) -> Option<Self> {
        let text = header.to_str().ok()?;
        let text = text.strip_prefix("bytes ").or_else(|| text.strip_prefix("bytes=")).unwrap_or(text);
        let range = text.split_once('/').map_or(text, |(range, _)| range);
        let (start, last) = range.split_once('-')?;
        let (start, last) = (number(start)?, number(last)?);
        let length = last.checked_sub(start)?.checked_add(1)?;
        Some(Self { start, length })
    }
}

/// Digits only; a number beyond `u64` is none.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The `Range` header that says how much of an upload has arrived. An empty upload says `0-0`, as all registries do.
pub(crate) fn received(offset: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("0-{}", offset.saturating_sub(1))).expect("digits are a header value")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::{any, prop_assert, proptest};

    use super::{Chunk, Wanted, received, wanted};

    fn check_wanted(header: &str, size: u64, expected: &Wanted) {
        assert_eq!(
            wanted(Some(&HeaderValue::from_str(header).unwrap()), size),
            *expected,
            "{header} of {size}"
        );
    }

    #[test]
    fn reads_ranges_of_blobs() {
        assert_eq!(wanted(None, 10), Wanted::All);
        check_wanted("bytes=0-", 10, &Wanted::Part(0..10));
        check_wanted("bytes=2-5", 10, &Wanted::Part(2..6));
        check_wanted("bytes=2-99", 10, &Wanted::Part(2..10));
        check_wanted("bytes=2-18446744073709551615", 10, &Wanted::Part(2..10));
        check_wanted("bytes=-3", 10, &Wanted::Part(7..10));
        check_wanted("bytes=-30", 10, &Wanted::Part(0..10));
        check_wanted("bytes=10-", 10, &Wanted::Unsatisfiable);
        check_wanted("bytes=-0", 10, &Wanted::Unsatisfiable);
        check_wanted("bytes=5-2", 10, &Wanted::Unsatisfiable);
        check_wanted("bytes=0-", 0, &Wanted::Unsatisfiable);
        for ignored in ["bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=-", "bytes=1", "bytes=+1-2"] {
            check_wanted(ignored, 10, &Wanted::All);
        }
    }

    #[test]
    fn reads_ranges_of_uploads() {
        let check = |header: &str, expected: Option<(u64, u64)>| {
            let chunk = Chunk::parse(&HeaderValue::from_str(header).unwrap());
            assert_eq!(chunk, expected.map(|(start, length)| Chunk { start, length }), "{header}");
        };
        check("0-0", Some((0, 1)));
        check("10-19", Some((10, 10)));
        check("bytes 10-19/*", Some((10, 10)));
        check("bytes=10-19", Some((10, 10)));
        for bad in ["", "-", "5", "5-", "-5", "5-4", "a-b", "+1-2", "0-18446744073709551615", "1 - 2"] {
            check(bad, None);
        }
    }

    #[test]
    fn tells_what_has_arrived() {
        assert_eq!(received(0), "0-0");
        assert_eq!(received(1), "0-0");
        assert_eq!(received(100), "0-99");
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_blob(start in any::<u64>(), end in any::<u64>(), size: u64) {
            let header = HeaderValue::from_str(&format!("bytes={start}-{end}")).unwrap();
            if let Wanted::Part(range) = wanted(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
