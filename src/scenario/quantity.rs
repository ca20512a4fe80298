//! Quantities with units as they stand in the file: durations, rates, shares and their kin, each
//! with the pattern that editors check.

use super::decode_error::with_help;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use std::borrow::Cow;
use std::num::NonZeroU64;
use std::time::Duration;

/// Longest duration a scenario may name.
pub(super) const MAX_TIME: Duration = Duration::from_secs(31 * 24 * 3600);

/// `250ms`, `60s`, `1.5h`.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Time(pub(super) Duration);

/// `1000/s`, `1/min`, in events per second, above zero.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Rate(pub(super) f64);

/// `30%`, as a ratio from 0 to 1.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Share(pub(super) f64);

/// `250kbps`, `5Mbps`, in bits per second.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Bandwidth(pub(super) NonZeroU64);

/// QoS 0, 1 or 2.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Qos(pub(super) crate::mqtt::packet::QoS);

/// Number of nodes, `None` for `auto`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Nodes(pub(super) Option<u16>);

/// A number, `NaN` and infinities excluded.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Number(pub(super) f64);

/// Reads a duration; the error is (message, fix).
pub(super) fn parse_time(text: &str) -> Result<Duration, (String, String)> {
    let (number, unit) = split_unit(text);
    let ns_per_unit = match unit {
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "min" => 60e9,
        "h" => 3600e9,
        "" if parse_number(number).is_some() => {
            return Err((
                format!("`{text}` needs a unit"),
                format!("write {number}s, {number}ms or {number}min"),
            ));
        }
        _ => return Err(not_a("duration", text, "250ms, 60s, 5min or 1h")),
    };
    let Some(value) = parse_number(number) else {
        return Err(not_a("duration", text, "250ms, 60s, 5min or 1h"));
    };
    let ns = (value * ns_per_unit).round();
    let max = MAX_TIME.as_secs_f64() * 1e9;
    if !(0.0..=max).contains(&ns) {
        return Err((
            format!("`{text}` is out of range"),
            format!("write a duration from 0s to {}h", MAX_TIME.as_secs() / 3600),
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and MAX_TIME in nanoseconds, below 2^53"
    )]
    let ns = ns as u64;
    Ok(Duration::from_nanos(ns))
}

/// Reads a rate as events per second; the error is (message, fix).
pub(super) fn parse_rate(text: &str) -> Result<f64, (String, String)> {
    let example = "1000/s, 60/min or 10/h";
    let Some((number, unit)) = text.split_once('/') else {
        return Err(match parse_number(text) {
            Some(_) => (
                format!("`{text}` needs a unit"),
                format!("write {text}/s or {text}/min"),
            ),
            None => not_a("rate", text, example),
        });
    };
    let per_s = match unit.trim() {
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(not_a("rate", text, example)),
    };
    let Some(value) = parse_number(number.trim()) else {
        return Err(not_a("rate", text, example));
    };
    let rate = value / per_s;
    if rate <= 0.0 || rate > MAX_RATE_PER_S {
        return Err((
            format!("`{text}` is out of range"),
            format!("write a rate above 0/s and up to {MAX_RATE_PER_S}/s"),
        ));
    }
    Ok(rate)
}

/// Largest factor a scenario may name.
const MAX_FACTOR: f64 = 1e6;

/// Reads a factor, `6` or `6.5x`; the error is (message, fix).
pub(super) fn parse_factor(text: &str) -> Result<f64, (String, String)> {
    let number = text.strip_suffix('x').unwrap_or(text);
    match parse_number(number) {
        Some(factor) if factor <= MAX_FACTOR => Ok(factor),
        Some(_) => Err((
            format!("`{text}` is out of range"),
            format!("write a factor from 0 to {MAX_FACTOR}"),
        )),
        None => Err(not_a("factor", text, "2, 1.5 or 1.5x")),
    }
}

/// Highest rate a scenario may name.
const MAX_RATE_PER_S: f64 = 10_000_000.0;

/// Reads a share as a ratio; the error is (message, fix).
pub(super) fn parse_share(text: &str) -> Result<f64, (String, String)> {
    let Some(number) = text.strip_suffix('%') else {
        return Err(match parse_number(text) {
            Some(value) if value <= 1.0 => (
                format!("`{text}` needs a percent sign"),
                format!("write {}%", value * 100.0),
            ),
            Some(_) => (
                format!("`{text}` needs a percent sign"),
                format!("write {text}%"),
            ),
            None => not_a("share", text, "30% or 99.5%"),
        });
    };
    let Some(percent) = parse_number(number.trim()) else {
        return Err(not_a("share", text, "30% or 99.5%"));
    };
    if !(0.0..=100.0).contains(&percent) {
        return Err((
            format!("`{text}` is out of range"),
            "write a share from 0% to 100%".into(),
        ));
    }
    // Moving the decimal point in the text gives the number nearest to what was written: dividing
    // 99.9 by 100 is a hair above 0.999, and an objective would miss its own limit.
    Ok(format!("{}e-2", number.trim())
        .parse()
        .unwrap_or(percent / 100.0))
}

/// Lowest and highest bandwidth that a scenario may name, in bits per second.
const BANDWIDTH_RANGE_BPS: (u64, u64) = (100, 100_000_000_000);

/// Reads a bandwidth as bits per second; the error is (message, fix).
pub(super) fn parse_bandwidth(text: &str) -> Result<NonZeroU64, (String, String)> {
    let example = "250kbps or 5Mbps";
    let (number, unit) = split_unit(text);
    let bps_per_unit = match unit {
        "kbps" => 1e3,
        "Mbps" => 1e6,
        "" if parse_number(number).is_some() => {
            return Err((
                format!("`{text}` needs a unit"),
                format!("write {number}kbps or {number}Mbps"),
            ));
        }
        _ => return Err(not_a("bandwidth", text, example)),
    };
    let Some(value) = parse_number(number) else {
        return Err(not_a("bandwidth", text, example));
    };
    let (low, high) = BANDWIDTH_RANGE_BPS;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and the range is checked next"
    )]
    let bps = (value * bps_per_unit).round() as u64;
    match NonZeroU64::new(bps) {
        Some(bps) if (low..=high).contains(&bps.get()) => Ok(bps),
        Some(_) | None => Err((
            format!("`{text}` is out of range"),
            "write a bandwidth from 0.1kbps to 100000Mbps".into(),
        )),
    }
}

fn not_a(what: &str, text: &str, example: &str) -> (String, String) {
    (
        format!("`{text}` is not a {what}"),
        format!("write for example {example}"),
    )
}

/// The number in front and what follows it.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | '_'))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// Digits with at most one point: no sign, no exponent, no infinity.
fn parse_number(text: &str) -> Option<f64> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|byte| *byte == b'.').count();
    if digits == 0 || points > 1 || digits + points != text.len() {
        return None;
    }
    text.parse().ok()
}

/// Implements reading and schema of a quantity written as text.
macro_rules! quantity {
    ($type:ident, $name:literal, $parse:expr, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(&text)
                    .map($type)
                    .map_err(|(message, help)| D::Error::custom(with_help(message, help)))
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

quantity!(Time, "Duration", parse_time, {
    "type": "string",
    "description": "A duration with its unit: us, ms, s, min or h.",
    "pattern": r"^[0-9]+(\.[0-9]+)? ?(us|ms|s|min|h)$",
    "examples": ["250ms", "60s", "5min"],
});
quantity!(Rate, "Rate", parse_rate, {
    "type": "string",
    "description": "Events per second, minute or hour, above zero.",
    "pattern": r"^[0-9]+(\.[0-9]+)? ?/ ?(s|min|h)$",
    "examples": ["1000/s", "1/min"],
});
quantity!(Share, "Share", parse_share, {
    "type": "string",
    "description": "A share from 0% to 100%; it picks an exact number of devices.",
    "pattern": r"^[0-9]+(\.[0-9]+)? ?%$",
    "examples": ["30%", "99.5%"],
});
quantity!(Bandwidth, "Bandwidth", parse_bandwidth, {
    "type": "string",
    "description": "Bits per second, in kbps (1000 bit/s) or Mbps.",
    "pattern": r"^[0-9]+(\.[0-9]+)? ?(kbps|Mbps)$",
    "examples": ["250kbps", "5Mbps"],
});
quantity!(Qos, "Qos", parse_qos, {
    "description": "MQTT quality of service.",
    "enum": [0, 1, 2],
});
quantity!(Nodes, "Nodes", parse_nodes, {
    "description": "Number of nodes; auto: one per 16 000 devices, at least two.",
    "oneOf": [
        { "const": "auto" },
        { "type": "integer", "minimum": 1, "maximum": 256 },
    ],
});
quantity!(Number, "Number", parse_finite, { "type": "number" });

fn parse_qos(text: &str) -> Result<crate::mqtt::packet::QoS, (String, String)> {
    match text {
        "0" => Ok(crate::mqtt::packet::QoS::AtMostOnce),
        "1" => Ok(crate::mqtt::packet::QoS::AtLeastOnce),
        "2" => Ok(crate::mqtt::packet::QoS::ExactlyOnce),
        _ => Err((
            format!("`{text}` is not a QoS"),
            "write `qos: 0`, `qos: 1` or `qos: 2`".into(),
        )),
    }
}

/// Most nodes of the embedded target.
const MAX_NODES: u16 = 256;

fn parse_nodes(text: &str) -> Result<Option<u16>, (String, String)> {
    if text == "auto" {
        return Ok(None);
    }
    match text.parse::<u16>() {
        Ok(nodes) if (1..=MAX_NODES).contains(&nodes) => Ok(Some(nodes)),
        Ok(_) | Err(_) => Err((
            format!("`{text}` is not a number of nodes"),
            format!("write `auto` or a whole number from 1 to {MAX_NODES}"),
        )),
    }
}

fn parse_finite(text: &str) -> Result<f64, (String, String)> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) | Err(_) => Err((
            format!("`{text}` is not a finite number"),
            "write for example 0, 15 or -2.5".into(),
        )),
    }
}

/// Reads a share on the command line, written as in a scenario, as a ratio from 0 to 1.
///
/// # Errors
/// A sentence with the fix, if `text` is no share.
pub fn share_argument(text: &str) -> Result<f64, String> {
    parse_share(text).map_err(|(message, help)| format!("{message}: {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ok = [
            ("250ms", 250_000_000),
            ("60s", 60_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("0s", 0),
            ("5 min", 300_000_000_000),
            ("100us", 100_000),
        ];
        for (text, ns) in ok {
            assert_eq!(parse_time(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
        for text in [
            "", "s", "60", "-1s", "1e3s", "NaN s", "infs", "1.2.3s", "1d", "5m", "9999999h",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        let (message, help) = parse_time("60").expect_err("no unit");
        assert_eq!(message, "`60` needs a unit");
        assert_eq!(help, "write 60s, 60ms or 60min");
    }

    #[test]
    fn bandwidths() {
        let ok = [
            ("250kbps", 250_000),
            ("5Mbps", 5_000_000),
            ("0.5 kbps", 500),
            ("0.1kbps", 100),
            ("100000Mbps", 100_000_000_000),
        ];
        for (text, bps) in ok {
            assert_eq!(
                parse_bandwidth(text).map(NonZeroU64::get),
                Ok(bps),
                "{text}"
            );
        }
        for text in [
            "",
            "kbps",
            "250",
            "-1kbps",
            "0kbps",
            "0.09kbps",
            "100001Mbps",
            "5mbps",
            "5Kbps",
            "5Gbps",
            "5Mbit",
            "5Mbps/s",
            "1e3kbps",
            "infkbps",
            "NaNkbps",
        ] {
            assert!(parse_bandwidth(text).is_err(), "{text}");
        }
        let (message, help) = parse_bandwidth("250").expect_err("no unit");
        assert_eq!(message, "`250` needs a unit");
        assert_eq!(help, "write 250kbps or 250Mbps");
    }

    #[test]
    fn rates_and_shares() {
        assert_eq!(parse_rate("60/min"), Ok(1.0));
        assert_eq!(parse_rate("0.5/s"), Ok(0.5));
        for text in ["0/s", "-1/s", "inf/s", "NaN/s", "1000", "1/d", "", "1/"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        assert_eq!(parse_share("30%"), Ok(0.3));
        assert_eq!(parse_share("100%"), Ok(1.0));
        assert_eq!(parse_share("99.9%"), Ok(0.999));
        assert_eq!(parse_share("99.95 %"), Ok(0.9995));
        for text in ["101%", "-1%", "NaN%", "0.3", "30", "%", "inf%"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
        assert_eq!(
            parse_share("0.25").map_err(|(_, help)| help),
            Err("write 25%".into())
        );
    }
}
