//! `Quantity`: an amount of CPU, memory or anything counted, such as `250m`, `1.5Gi`, `2e3`.
//!
//! Read from text or a plain number and written in the canonical form clients get from any API server.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const NANOS: i128 = 1_000_000_000;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// An amount, exact to a billionth. Two amounts are equal when their values are, however they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    form: Form,
}

/// How the amount was written, which decides how it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Decimal,
    Binary,
    Exponent,
}

/// The text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct QuantityError;

impl Quantity {
    /// A whole number.
    pub fn whole(value: i64) -> Self {
        Self { nanos: i128::from(value) * NANOS, form: Form::Decimal }
    }

    /// A number of thousandths, as CPU is counted.
    pub fn milli(value: i64) -> Self {
        Self { nanos: i128::from(value) * (NANOS / 1000), form: Form::Decimal }
    }

    /// A number of bytes, shown with binary suffixes.
    pub fn bytes(value: i64) -> Self {
        Self { nanos: i128::from(value) * NANOS, form: Form::Binary }
    }

    /// The value, rounded up to a whole number.
    pub fn value(&self) -> i64 {
        clamp(self.rounded_up(NANOS))
    }

    /// The value in thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        clamp(self.rounded_up(NANOS / 1000))
    }

    /// The value in billionths.
    pub fn nano_value(&self) -> i128 {
        self.nanos
    }

    /// How many times `unit` it is, as exact as ratios are shown.
    #[expect(clippy::cast_precision_loss, reason = "shown with six digits and compared with round numbers")]
    pub fn in_units_of(&self, unit: Self) -> f64 {
        self.nanos as f64 / unit.nanos as f64
    }

    fn form_beside(self, other: Self) -> Form {
        if self.nanos == 0 { other.form } else { self.form }
    }

    fn rounded_up(&self, unit: i128) -> i128 {
        let down = self.nanos.div_euclid(unit);
        if self.nanos.rem_euclid(unit) == 0 { down } else { down + 1 }
    }

    fn decimal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut mantissa, mut exponent) = (self.nanos, -9);
        while mantissa != 0 && mantissa % 1000 == 0 && exponent < 18 {
            mantissa /= 1000;
            exponent += 3;
        }
        if mantissa == 0 {
            return f.write_str("0");
        }
        if self.form == Form::Exponent {
            return if exponent == 0 { write!(f, "{mantissa}") } else { write!(f, "{mantissa}e{exponent}") };
        }
        let suffix = DECIMAL.iter().find(|(_, of)| *of == exponent).map_or("", |(suffix, _)| suffix);
        write!(f, "{mantissa}{suffix}")
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl Add for Quantity {
    type Output = Self;

    /// The sum, shown as the first amount is, unless that is nothing.
    fn add(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_add(other.nanos), form: self.form_beside(other) }
    }
}

impl Sub for Quantity {
    type Output = Self;

    /// The difference, shown as the first amount is, unless that is nothing.
    fn sub(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos), form: self.form_beside(other) }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.nanos / NANOS;
        let small = self.nanos % NANOS != 0 || whole.abs() < 1024;
        if self.form != Form::Binary || small {
            return self.decimal(f);
        }
        let fits = |(_, shift): &&(&str, u32)| whole % (1_i128 << shift) == 0;
        match BINARY.iter().rev().find(fits) {
            Some((suffix, shift)) => write!(f, "{}{suffix}", whole >> shift),
            None => write!(f, "{whole}"),
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
        let end = text.find(|c| !is_number(c)).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return Err(QuantityError);
        }
        let (form, scale) = scale(suffix)?;
        let mantissa: i128 = match format!("{whole}{fraction}").trim_start_matches('0') {
            "" => 0,
            digits => digits.parse().map_err(|_: std::num::ParseIntError| QuantityError)?,
        };
        let fraction_digits =
            i32::try_from(fraction.len()).map_err(|_: std::num::TryFromIntError| QuantityError)?;
        let nanos = match scale {
            Scale::Binary(shift) => {
                let scaled = mantissa.checked_mul(1_i128 << shift).ok_or(QuantityError)?;
                times_ten(scaled, 9 - fraction_digits)?
            }
            Scale::Decimal(exponent) => times_ten(mantissa, exponent.saturating_add(9) - fraction_digits)?,
        };
        Ok(Self { nanos: if negative { -nanos } else { nanos }, form })
    }
}

enum Scale {
    Binary(u32),
    Decimal(i32),
}

fn scale(suffix: &str) -> Result<(Form, Scale), QuantityError> {
    if let Some((_, shift)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        return Ok((Form::Binary, Scale::Binary(*shift)));
    }
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Ok((Form::Decimal, Scale::Decimal(*exponent)));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|digits| digits.parse().ok());
    exponent
        .filter(|exponent: &i32| exponent.abs() < 30)
        .map(|exponent| (Form::Exponent, Scale::Decimal(exponent)))
        .ok_or(QuantityError)
}

/// `number * 10^exponent`; what is smaller than 1 is rounded up.
fn times_ten(number: i128, exponent: i32) -> Result<i128, QuantityError> {
    let factor = 10_i128.checked_pow(exponent.unsigned_abs());
    match (exponent >= 0, factor) {
        (true, Some(factor)) => number.checked_mul(factor).ok_or(QuantityError),
        (false, Some(factor)) => Ok(number / factor + i128::from(number % factor != 0)),
        (true, None) if number != 0 => Err(QuantityError),
        (_, None) => Ok(i128::from(number != 0)),
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.trim().parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[track_caller]
    fn check(text: &str, canonical: &str, value: i64, milli: i64) {
        let quantity: Quantity = text.parse().unwrap();
        assert_eq!((quantity.to_string().as_str(), quantity.value()), (canonical, value));
        assert_eq!(quantity.milli_value(), milli);
    }

    #[test]
    fn shows_the_canonical_form() {
        check("0", "0", 0, 0);
        check("1", "1", 1, 1000);
        check("1000m", "1", 1, 1000);
        check("0.5", "500m", 1, 500);
        check("250m", "250m", 1, 250);
        check("1000", "1k", 1000, 1_000_000);
        check("1500", "1500", 1500, 1_500_000);
        check("1024Ki", "1Mi", 1 << 20, 1000 << 20);
        check("1.5Gi", "1536Mi", 3 << 29, 3000 << 29);
        check("512Mi", "512Mi", 1 << 29, 1000 << 29);
        check("2e3", "2e3", 2000, 2_000_000);
        check("-2", "-2", -2, -2000);
        check("+.5", "500m", 1, 500);
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in [
            "",
            "x",
            "1x",
            "1 Gi",
            "--1",
            "1.2.3",
            "Gi",
            "1ee3",
            "1e99",
            "99999999999999999999999999999999999999999",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn compares_by_value_and_reads_numbers() {
        let read = |json: &str| serde_json::from_str::<Quantity>(json).unwrap();
        assert_eq!(read("1"), read("\"1000m\""));
        assert_eq!(read("0.25"), read("\"250m\""));
        assert!(read("\"1Gi\"") > read("\"1G\""));
        assert_eq!(serde_json::to_string(&read("1024")).unwrap(), "\"1024\"");
    }
}
