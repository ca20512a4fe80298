//! Quantities as people read them: thousands separators, units, three significant digits. Shared
//! by all renderers, so that a figure looks the same on every page.

use crate::scenario::words::Words;
use std::time::Duration;

/// A plan's settings in words, with figures as a report writes them.
pub(super) const WORDS: Words = Words {
    count,
    time: setting,
};

/// `12,345,678`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 device`, `2,000 devices`; `noun` is the singular of a regular noun.
pub fn counted(n: u64, noun: &str) -> String {
    let noun = match noun.strip_suffix("ry") {
        _ if n == 1 => noun.to_owned(),
        Some(stem) => format!("{stem}ries"),
        None if noun.ends_with("sh") => format!("{noun}es"),
        None => format!("{noun}s"),
    };
    format!("{} {noun}", count(n))
}

/// A latency given in microseconds, with three significant digits: `850 µs`, `3.42 ms`, `1.53 s`,
/// `2 min 32 s`.
pub fn time_us(us: u64) -> String {
    time_s(us as f64 / 1e6)
}

/// A time given in seconds, as [`time_us`]; infinity is `never`.
pub fn time_s(s: f64) -> String {
    time_digits(s, 3)
}

/// A time that somebody set, with all its digits: `1.0625 s`, `300 s`.
fn setting(time: Duration) -> String {
    // As many as an f64 of seconds holds for certain.
    time_digits(time.as_secs_f64(), 15)
}

/// A ratio as a percentage: `99.95 %`. A ratio below 1 never rounds up to `100 %`.
pub fn ratio(r: f64) -> String {
    ratio_digits(r, 2)
}

/// A rate given in events per second: `1,500/s`, `12.5/s`.
pub fn rate(per_s: f64) -> String {
    rate_digits(per_s, 1)
}

/// So many times as much: `6.0x`; infinity is `never`.
pub fn factor(factor: f64) -> String {
    factor_digits(factor, 1)
}

/// Bytes in binary units: `1.21 GiB`.
pub fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        return format!("{n} B");
    }
    format!("{} {}", significant(value, 3), units[unit])
}

/// A point on the run's time axis, for tables and axes: `1:05`, `12:34:56`.
pub fn clock_s(s: f64) -> String {
    let total = s.max(0.0).floor() as u64;
    let (h, m, s) = (total / 3600, total / 60 % 60, total % 60);
    if h > 0 {
        format!("{h}:{m:02}:{s:02}")
    } else {
        format!("{m}:{s:02}")
    }
}

/// As [`clock_s`], with tenths of a second.
pub fn clock_tenths_s(s: f64) -> String {
    let tenths = (s.max(0.0) * 10.0).floor() as u64;
    format!("{}.{}", clock_s((tenths / 10) as f64), tenths % 10)
}

/// A time with this many significant digits below a minute.
pub(super) fn time_digits(s: f64, digits: usize) -> String {
    if s.is_infinite() {
        return "never".to_owned();
    }
    if s >= 60.0 && digits <= 3 {
        let whole = s.round() as u64;
        let (h, m, s) = (whole / 3600, whole / 60 % 60, whole % 60);
        return match (h, m, s) {
            (0, m, 0) => format!("{m} min"),
            (0, m, s) => format!("{m} min {s} s"),
            (h, 0, 0) => format!("{h} h"),
            (h, m, 0) => format!("{h} h {m} min"),
            (h, m, s) => format!("{h} h {m} min {s} s"),
        };
    }
    if s < 0.0009995 {
        format!("{} µs", significant(s * 1e6, digits))
    } else if s < 0.9995 {
        format!("{} ms", significant(s * 1e3, digits))
    } else {
        format!("{} s", significant(s, digits))
    }
}

/// A percentage with at least this many decimals where they say something.
pub(super) fn ratio_digits(r: f64, decimals: usize) -> String {
    for decimals in decimals..=9 {
        let text = format!("{:.decimals$}", r * 100.0);
        let rounded_away = r < 1.0 && text.parse::<f64>().is_ok_and(|shown| shown >= 100.0)
            || r > 0.0 && text.parse::<f64>().is_ok_and(|shown| shown <= 0.0);
        if !rounded_away || decimals == 9 {
            return format!("{} %", trim_zeros(&text));
        }
    }
    format!("{} %", r * 100.0)
}

/// A rate with at most this many decimals.
pub(super) fn rate_digits(per_s: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", per_s.max(0.0));
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    format!("{whole}{point}{rest}/s")
}

/// A factor with exactly this many decimals.
pub(super) fn factor_digits(factor: f64, decimals: usize) -> String {
    if factor.is_infinite() {
        return "never".to_owned();
    }
    format!("{factor:.decimals$}x")
}

/// `value` with this many significant digits, no exponent, no trailing zeros.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = usize::try_from(digits as i32 - 1 - magnitude).unwrap_or(0);
    trim_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(counted(1, "device"), "1 device");
        assert_eq!(counted(2_000, "device"), "2,000 devices");
        for (us, text) in [
            (0, "0 µs"),
            (1, "1 µs"),
            (999, "999 µs"),
            (1_000, "1 ms"),
            (3_424, "3.42 ms"),
            (412_300, "412 ms"),
            (999_800, "1 s"),
            (1_530_000, "1.53 s"),
            (59_960_000, "60 s"),
            (60_000_000, "1 min"),
            (152_000_000, "2 min 32 s"),
            (3_600_000_000, "1 h"),
        ] {
            assert_eq!(time_us(us), text, "{us}");
        }
        assert_eq!(time_s(f64::INFINITY), "never");
        assert_eq!(rate(1_500.0), "1,500/s");
        assert_eq!(rate(12.52), "12.5/s");
        assert_eq!(rate_digits(12.52, 3), "12.52/s");
        assert_eq!(factor(6.0), "6.0x");
        assert_eq!(factor_digits(1.256, 2), "1.26x");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_300_000_000), "1.21 GiB");
        assert_eq!(clock_s(65.9), "1:05");
        assert_eq!(clock_s(45_296.0), "12:34:56");
        assert_eq!(clock_tenths_s(65.97), "1:05.9");
    }

    #[test]
    fn a_setting_keeps_its_digits() {
        let us = Duration::from_micros;
        for (time, text) in [
            (Duration::ZERO, "0 µs"),
            (Duration::from_nanos(1), "0.001 µs"),
            (us(50), "50 µs"),
            (us(60_000), "60 ms"),
            (us(440_000), "440 ms"),
            (us(1_062_500), "1.0625 s"),
            (us(300_000_000), "300 s"),
            (us(86_400_000_001), "86400.000001 s"),
        ] {
            assert_eq!((WORDS.time)(time), text);
        }
    }

    #[test]
    fn a_ratio_below_one_never_prints_as_all() {
        assert_eq!(ratio(1.0), "100 %");
        assert_eq!(ratio(0.9995), "99.95 %");
        assert_eq!(ratio(0.9999999), "99.99999 %");
        assert_eq!(ratio(0.9), "90 %");
        assert_eq!(ratio(0.0), "0 %");
        assert_eq!(ratio(0.0000012), "0.0001 %");
    }
}
