//! Tests of what is known of a fleet.

use super::*;
use crate::cloud::operator::tests::{at, plan, t0};
use crate::scenario::campaign::Versions;
use crate::scenario::plan::Selector;

fn fleet() -> Fleet {
    let mut fleet = Fleet::new(&Arc::new(plan(4)));
    fleet.begin(t0());
    fleet
}

fn below(version: VersionIdx) -> Population {
    Population {
        who: Selector::default(),
        firmware: Some(Versions::Below(version)),
    }
}

#[test]
fn who_has_never_reported_has_the_firmware_it_was_built_with() {
    let mut fleet = fleet();
    assert_eq!(fleet.firmware(0), Some(0));
    assert_eq!(fleet.age(at(1_000), 0), None);
    fleet.report(0, 1_500, Some("2.0.0"));
    assert_eq!(fleet.firmware(0), Some(1));
    assert_eq!(fleet.members(&below(1)), [1, 2, 3]);
    // A report without firmware is a report nonetheless.
    fleet.report(0, 1_600, None);
    assert_eq!(fleet.firmware(0), Some(1));
    assert_eq!(fleet.age(at(2_000), 0), Some(Duration::from_millis(400)));
    fleet.report(0, 1_700, Some("unheard-of"));
    assert_eq!(fleet.firmware(0), None);
    assert_eq!(fleet.members(&below(2)), [1, 2, 3]);
}

#[test]
fn an_older_report_changes_nothing() {
    let mut fleet = fleet();
    fleet.report(2, 3_000, Some("2.0.0"));
    fleet.report(2, 2_999, Some("1.4.2"));
    assert_eq!(fleet.firmware(2), Some(1));
    fleet.report(2, 3_000, Some("1.4.2"));
    assert_eq!(fleet.firmware(2), Some(0));
    // A clock that is ahead makes no age below zero, and one that is out of its mind none at all.
    assert_eq!(fleet.age(at(2_000), 2), Some(Duration::ZERO));
    fleet.report(2, u64::MAX, Some("2.0.0"));
    assert_eq!(fleet.age(at(2_000), 2), Some(Duration::ZERO));
}

#[test]
fn presence_goes_by_words_and_wills() {
    let mut fleet = fleet();
    assert_eq!(fleet.presence(1), Presence::Unheard);
    assert!(fleet.contact(1));
    assert!(!fleet.contact(1));
    fleet.gone(1);
    assert_eq!(fleet.presence(1), Presence::Gone);
    assert!(fleet.contact(1));
    assert_eq!(fleet.presence(1), Presence::Online);
}

#[test]
fn percentiles_of_ages_are_exact() {
    let of = |ages_ms: Vec<u32>| Census {
        matched: 0,
        unknown: 0,
        ages_ms,
    };
    let hundred = of((1..=100).collect());
    let ages = [500, 990, 1_000].map(|share| hundred.age_us(share));
    assert_eq!(ages, [50_000, 99_000, 100_000]);
    assert_eq!(of(vec![7]).age_us(500), 7_000);
    assert_eq!(of(vec![7, 9]).age_us(500), 7_000);
    assert_eq!(of(vec![7, 9]).age_us(990), 9_000);
    assert_eq!(of(Vec::new()).age_us(990), 0);
}
