//! Stored values: bytes with a leading version, and how an old version becomes the current one.
//!
//! Records are not wire types (style: stored records live in the crate that owns the table). A record that is
//! kept as JSON implements [`JsonRecord`]; one that has its own bytes implements [`Record`].

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that cannot be turned into a record, or back.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is not even a version.
    #[error("the record is empty")]
    Empty,
    /// Written by a later release.
    #[error("the record has version {found}, and this release knows versions up to {known}")]
    TooNew {
        /// What the bytes say.
        found: u8,
        /// The newest this release reads.
        known: u8,
    },
    /// Versions start at one and each has a successor; this one has not.
    #[error("the record has the unknown version {found}")]
    UnknownVersion {
        /// What the bytes say.
        found: u8,
    },
    /// The body is not JSON of the expected shape.
    #[error("the record's JSON cannot be read or written")]
    Json(#[from] serde_json::Error),
    /// The body is not what the owner of the type expects.
    #[error("the record is not a {expected}")]
    NotOfType {
        /// What the table holds.
        expected: &'static str,
    },
}

/// A value of a table, as bytes.
pub trait Record: Sized {
    /// Appends the stored form, version included.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError>;

    /// Reads any version this release knows. The bytes are shared, so a raw record need not copy them.
    fn decode(bytes: &Bytes) -> Result<Self, RecordError>;
}

/// A record kept as JSON after one byte of version, which knows how to come from the version before it.
///
/// The first version is made one by [`first_version`](crate::first_version).
pub trait JsonRecord: Serialize + DeserializeOwned {
    /// The version this type is; written in front of every value.
    const VERSION: u8;
    /// The type of the version before, or [`FirstVersion`].
    type Previous: Record;

    /// Makes this version from the one before.
    fn upgrade(previous: Self::Previous) -> Self;
}

impl<T: JsonRecord> Record for T {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        out.push(T::VERSION);
        serde_json::to_writer(out, self)?;
        Ok(())
    }

    fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        let (&found, body) = bytes.split_first().ok_or(RecordError::Empty)?;
        if found == T::VERSION {
            return Ok(serde_json::from_slice(body)?);
        }
        if found > T::VERSION {
            return Err(RecordError::TooNew { found, known: T::VERSION });
        }
        T::Previous::decode(bytes).map(T::upgrade)
    }
}

/// Makes types the first version of their records.
#[macro_export]
macro_rules! first_version {
    ($($record:ty),* $(,)?) => {
        $(impl $crate::JsonRecord for $record {
            const VERSION: u8 = 1;
            type Previous = $crate::FirstVersion;

            fn upgrade(previous: $crate::FirstVersion) -> Self {
                match previous {}
            }
        })*
    };
}

/// What came before version one: nothing. It has no values.
#[derive(Clone, Copy, Debug)]
pub enum FirstVersion {}

impl Record for FirstVersion {
    fn encode(&self, _: &mut Vec<u8>) -> Result<(), RecordError> {
        match *self {}
    }

    fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        let found = *bytes.first().ok_or(RecordError::Empty)?;
        Err(RecordError::UnknownVersion { found })
    }
}

/// A row that says something by being there.
impl Record for () {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        out.push(1);
        Ok(())
    }

    fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        match bytes.as_ref() {
            [1] => Ok(()),
            [] => Err(RecordError::Empty),
            [found, ..] => Err(RecordError::UnknownVersion { found: *found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde::{Deserialize, Serialize};

    use super::{FirstVersion, JsonRecord, Record};

    mod v1 {
        use super::{Deserialize, FirstVersion, JsonRecord, Serialize};

        #[derive(Serialize, Deserialize)]
        pub(super) struct Ship {
            pub(super) name: String,
        }

        impl JsonRecord for Ship {
            const VERSION: u8 = 1;
            type Previous = FirstVersion;

            fn upgrade(previous: FirstVersion) -> Self {
                match previous {}
            }
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Ship {
        name: String,
        berth: Option<u32>,
    }

    impl JsonRecord for Ship {
        const VERSION: u8 = 2;
        type Previous = v1::Ship;

        fn upgrade(previous: v1::Ship) -> Self {
            Self { name: previous.name, berth: None }
        }
    }

    fn check(bytes: &'static [u8], expected: Result<Ship, &str>) {
        let decoded = Ship::decode(&Bytes::from_static(bytes)).map_err(|error| error.to_string());
        assert_eq!(decoded, expected.map_err(str::to_owned));
    }

    #[test]
    fn reads_every_version_it_knows() {
        check(b"\x01{\"name\":\"Argo\"}", Ok(Ship { name: "Argo".into(), berth: None }));
        check(b"\x02{\"name\":\"Argo\",\"berth\":7}", Ok(Ship { name: "Argo".into(), berth: Some(7) }));
        check(b"\x03{}", Err("the record has version 3, and this release knows versions up to 2"));
        check(b"\x00{}", Err("the record has the unknown version 0"));
        check(b"", Err("the record is empty"));
        check(b"\x02{", Err("the record's JSON cannot be read or written"));
    }

    #[test]
    fn writes_the_newest_version() {
        let mut bytes = Vec::new();
        Ship { name: "Argo".into(), berth: Some(7) }.encode(&mut bytes).unwrap();
        assert_eq!(bytes, b"\x02{\"name\":\"Argo\",\"berth\":7}");
    }
}
