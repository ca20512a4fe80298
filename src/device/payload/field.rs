//! Generators of the fields of a JSON payload: pure functions of (seed, device, stream, boot, seq).

use super::{DeviceIdx, Purpose, Telemetry, rng};
use crate::scenario::plan::Field;
use std::io::Write as _;

/// The draws of one message.
#[derive(Copy, Clone, Debug)]
pub(super) struct Draws {
    seed: u64,
    /// Device and stream.
    subject: u64,
    boot: u16,
    seq: u32,
}

impl Draws {
    pub(super) fn new(seed: u64, device: DeviceIdx, message: &Telemetry) -> Self {
        Self {
            seed,
            subject: u64::from(message.op.stream) << 32 | u64::from(device),
            boot: message.boot,
            seq: message.op.seq,
        }
    }

    /// A generator for the message as a whole.
    pub(super) fn generator(&self) -> rng::Draw {
        let index = self.index(0, u64::from(self.seq));
        rng::draw(self.seed, self.subject, Purpose::Payload, index)
    }

    /// Appends the value of field number `i` as JSON; numbers have at most three decimals.
    pub(super) fn push_value(&self, i: usize, field: &Field, out: &mut Vec<u8>) {
        match field {
            Field::Walk { step, min, max } => push_number(self.walk(i, *step, *min, *max), out),
            Field::Uniform { min, max } => {
                let u = self.unit(i, u64::from(self.seq));
                push_number(between(*min, *max, u), out);
            }
            Field::Counter => push_integer(u64::from(self.seq), out),
            Field::Constant(json) => out.extend_from_slice(json.as_bytes()),
        }
    }

    /// Value noise: every `spacing` messages the walk passes through a hashed uniform value, in
    /// between it goes straight. Two uniform values lie a third of the range apart on average,
    /// so with `spacing = range / (3 * step)` the mean of |difference| is `step`, and no
    /// difference is above `range / spacing`, about three steps. A `step` of a third of the range
    /// or more gives independent uniform values; a `step` of 0 stands still. Each walk starts at
    /// a hashed place between two such values, so that fleets do not turn in unison.
    fn walk(&self, i: usize, step: f64, min: f64, max: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and sends NaN (0 / 0) to 0"
        )]
        let spacing = (((max - min) / (3.0 * step)).round().min(1e12) as u64).max(1);
        let offset = self.hash(i, PLACE) % spacing;
        let place = offset + u64::from(self.seq);
        let (knot, after) = (place / spacing, place % spacing);
        let from = self.unit(i, KNOTS + knot);
        if after == 0 {
            return between(min, max, from);
        }
        let to = self.unit(i, KNOTS + knot + 1);
        #[expect(clippy::cast_precision_loss, reason = "both are below 2^40")]
        let part = after as f64 / spacing as f64;
        between(min, max, from + (to - from) * part)
    }

    fn unit(&self, i: usize, n: u64) -> f64 {
        rng::to_unit(self.hash(i, n))
    }

    fn hash(&self, i: usize, n: u64) -> u64 {
        rng::hash(self.seed, self.subject, Purpose::Payload, self.index(i, n))
    }

    /// Field number (15 bits), boot (16 bits) and a number of 33 bits make one index.
    fn index(&self, i: usize, n: u64) -> u64 {
        (i as u64) << 49 | u64::from(self.boot) << 33 | n
    }
}

/// First of the indices of a walk's knots, above all sequence numbers.
const KNOTS: u64 = 1 << 32;
/// Index of where a walk starts; a walk uses no draw below [`KNOTS`] otherwise.
const PLACE: u64 = 0;

/// Appends `"name":`.
pub(super) fn push_name(name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in name.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => write!(out, "\\u{byte:04x}").expect("a Vec accepts every write"),
            _ => out.push(byte),
        }
    }
    out.extend_from_slice(b"\":");
}

/// The point at `u` (0 to 1) between `min` and `max`, never outside by rounding.
fn between(min: f64, max: f64, u: f64) -> f64 {
    (min + (max - min) * u).clamp(min, max.max(min))
}

/// Appends `value` rounded to thousandths, without trailing zeros.
fn push_number(value: f64, out: &mut Vec<u8>) {
    /// From here on an f64 has no thousandths left.
    const WHOLE: f64 = 1e12;
    if value.abs() >= WHOLE {
        write!(out, "{value:.0}").expect("a Vec accepts every write");
        return;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 1e15 by the check")]
    let thousandths = (value * 1000.0).round() as i64;
    if thousandths < 0 {
        out.push(b'-');
    }
    let thousandths = thousandths.unsigned_abs();
    push_integer(thousandths / 1000, out);
    let fraction = thousandths % 1000;
    if fraction == 0 {
        return;
    }
    let digits = [
        b'0' + (fraction / 100) as u8,
        b'0' + (fraction / 10 % 10) as u8,
        b'0' + (fraction % 10) as u8,
    ];
    let kept = digits
        .iter()
        .rposition(|&d| d != b'0')
        .map_or(0, |at| at + 1);
    out.push(b'.');
    out.extend_from_slice(&digits[..kept]);
}

fn push_integer(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_most_three_decimals() {
        let table = [
            (0.0, "0"),
            (-0.0, "0"),
            (-0.0004, "0"),
            (1.0, "1"),
            (12.5, "12.5"),
            (12.05, "12.05"),
            (-3.0206, "-3.021"),
            (0.9996, "1"),
            (999_999.999, "999999.999"),
            (1e15, "1000000000000000"),
            (-1e12, "-1000000000000"),
        ];
        for (value, text) in table {
            let mut out = Vec::new();
            push_number(value, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }

    #[test]
    fn names_are_escaped() {
        let mut out = Vec::new();
        push_name("a\"b\\c\nµ", &mut out);
        assert_eq!(String::from_utf8_lossy(&out), r#""a\"b\\c\u000aµ":"#);
    }

    fn walk(device: DeviceIdx, step: f64, min: f64, max: f64) -> Vec<f64> {
        (0..2000)
            .map(|seq| {
                let draws = Draws {
                    seed: 42,
                    subject: u64::from(device),
                    boot: 1,
                    seq,
                };
                draws.walk(3, step, min, max)
            })
            .collect()
    }

    #[test]
    fn walks_stay_in_range_and_move_by_about_a_step() {
        // (step, min, max); the last two are too steep and too flat to be exact.
        let table = [
            (15.0, 0.0, 3000.0),
            (0.5, -20.0, 60.0),
            (1.0, 0.0, 10.0),
            (0.01, 3.0, 4.2),
        ];
        for (step, min, max) in table {
            let (mut moved, mut count) = (0.0, 0.0);
            let largest = 1.2 * 3.0 * step;
            for device in 0..50 {
                let values = walk(device, step, min, max);
                assert!(values.iter().all(|v| (min..=max).contains(v)));
                for pair in values.windows(2) {
                    let difference = (pair[1] - pair[0]).abs();
                    assert!(difference <= largest, "{difference} for {step}");
                    moved += difference;
                    count += 1.0;
                }
            }
            let mean = moved / count;
            assert!((mean - step).abs() < 0.2 * step, "{mean} for {step}");
        }
    }

    #[test]
    fn walks_of_extreme_steps_are_defined() {
        let still = walk(1, 0.0, 5.0, 9.0);
        assert!((still[1999] - still[0]).abs() < 1e-6);
        let wild = walk(1, 100.0, 0.0, 1.0);
        let mean = wild.iter().sum::<f64>() / 2000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
        assert_eq!(walk(1, 1.0, 7.0, 7.0), vec![7.0; 2000]);
        assert_eq!(walk(1, 0.0, 7.0, 7.0), vec![7.0; 2000]);
    }
}
