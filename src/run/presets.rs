//! `fleetstorm presets`: the SDK and link presets, what each stands for, and the herd that each SDK
//! makes.

use super::check::WORDS;
use crate::device::herd::{self, Herd, herd};
use crate::scenario::durations;
use crate::scenario::links;
use crate::scenario::sdks::{SDKS, Sdk};
use crate::scenario::template::Template;
use std::fmt::Write as _;
use std::time::Duration;

/// Seed of the herds' draws, so that the page is the same each time.
const SEED: u64 = 42;

/// The page, for people.
pub fn text() -> String {
    let mut out = String::new();
    write_text(&mut out).expect("a String accepts every write");
    out
}

fn write_text(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "SDK presets    client: {{ preset: NAME }}; other words of `client` beside it replace its settings"
    )?;
    writeln!(
        out,
        "herd           {} devices, reset within {:?}; the target is away for {:?}, a failed attempt takes\n               \
         about 0.1s; times from the target's return",
        (WORDS.count)(herd::DEVICES.into()),
        herd::WITHIN,
        herd::OUTAGE,
    )?;
    for sdk in &SDKS {
        write_sdk(out, sdk)?;
    }
    writeln!(
        out,
        "\nlink presets   link: NAME, or link: {{ preset: NAME, … }}\n"
    )?;
    for link in links::presets() {
        writeln!(out, "  {}", WORDS.link(link))?;
    }
    writeln!(
        out,
        "\noutage presets for: {{ preset: NAME, at_most: TIME }} of a fault; its length, drawn once per fault\n"
    )?;
    for preset in &durations::PRESETS {
        writeln!(out, "  {:<18}{}", preset.name, preset.about)?;
        writeln!(out, "    assumed in it   {}", preset.assumed)?;
    }
    Ok(())
}

fn write_sdk(out: &mut String, sdk: &Sdk) -> std::fmt::Result {
    writeln!(out, "\n  {:<18}{}", sdk.name, sdk.about)?;
    let mut client = sdk.client(Template(Vec::new()));
    client.preset = None;
    writeln!(out, "    client          {}", WORDS.client(&client))?;
    if !sdk.assumed.is_empty() {
        writeln!(out, "    assumed in it   {}", sdk.assumed)?;
    }
    let herd = herd_text(&herd(&sdk.backoff, SEED));
    writeln!(out, "    herd            {herd}")
}

fn herd_text(herd: &Herd) -> String {
    let stranded = 100.0 * herd.stranded;
    let attempts = WORDS.per_s(herd.attempts);
    let mut text = format!("{attempts} attempts per device");
    if let (Some(t50), Some(t95), Some(t99), Some(t100)) = (herd.t50, herd.t95, herd.t99, herd.t100)
    {
        let s = |time: Duration| time.as_secs_f64();
        write!(
            text,
            "; T50 {:.1} s, T95 {:.1} s, T99 {:.1} s, T100 {:.1} s; {:.1} % of the fleet in the busiest second",
            s(t50),
            s(t95),
            s(t99),
            s(t100),
            100.0 * herd.peak_1s
        )
        .expect("a String accepts every write");
    }
    if stranded > 0.0 {
        write!(text, "; {stranded:.1} % give up").expect("a String accepts every write");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_told_with_its_herd() {
        let text = text();
        for sdk in &SDKS {
            let line = format!("  {:<18}{}", sdk.name, sdk.about);
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let names = links::presets().iter().filter_map(|link| link.preset);
        for name in names {
            let begin = format!("  {name}: ");
            assert!(text.lines().any(|line| line.starts_with(&begin)), "{name}");
        }
        assert_eq!(
            text.matches("    client          CONNACK").count(),
            SDKS.len()
        );
        assert_eq!(text.matches("    herd            ").count(), SDKS.len());
        assert!(text.lines().all(|line| line.len() < 260), "{text}");
    }

    #[test]
    fn a_herd_is_told_in_a_line() {
        let time = |ms| Some(Duration::from_millis(ms));
        let herd = Herd {
            attempts: 29.987,
            t50: time(3_360),
            t95: time(3_900),
            t99: time(4_100),
            t100: time(4_560),
            peak_1s: 0.889,
            stranded: 0.0,
        };
        assert_eq!(
            herd_text(&herd),
            "30 attempts per device; T50 3.4 s, T95 3.9 s, T99 4.1 s, T100 4.6 s; 88.9 % of the fleet in \
             the busiest second"
        );
        let gone = Herd {
            attempts: 6.0,
            t50: None,
            t95: None,
            t99: None,
            t100: None,
            peak_1s: 0.0,
            stranded: 1.0,
        };
        assert_eq!(herd_text(&gone), "6 attempts per device; 100.0 % give up");
    }
}
