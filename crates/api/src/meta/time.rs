//! Times on the wire: RFC 3339 in UTC, whole seconds (`Time`) or microseconds (`MicroTime`).

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time, written as `2016-05-01T12:00:00Z`. Fractions of a second are dropped on writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

/// A point in time with microseconds, as `Event.eventTime` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroTime(pub Timestamp);

impl Time {
    /// The time without its fraction of a second, which is what a client reads back.
    pub fn to_second(self) -> Self {
        Self(Timestamp::from_second(self.0.as_second()).unwrap_or(self.0))
    }
}

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl From<Timestamp> for MicroTime {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl fmt::Display for MicroTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for MicroTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for MicroTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{MicroTime, Time};

    #[track_caller]
    fn check(input: &str, time: &str, micro: &str) {
        let stamp: jiff::Timestamp = input.parse().unwrap();
        assert_eq!(serde_json::to_value(Time(stamp)).unwrap(), time);
        assert_eq!(serde_json::to_value(MicroTime(stamp)).unwrap(), micro);
    }

    #[test]
    fn writes_whole_seconds_and_microseconds() {
        check("2016-05-01T12:00:00.999999Z", "2016-05-01T12:00:00Z", "2016-05-01T12:00:00.999999Z");
        check("2016-05-01T14:00:00+02:00", "2016-05-01T12:00:00Z", "2016-05-01T12:00:00.000000Z");
    }
}
