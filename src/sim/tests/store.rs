//! Store-and-forward in whole runs, against closed forms.

use super::*;
use crate::device::pacer::Pacer;
use crate::scenario::plan::{
    BackoffShape, DrainOrder, First, NetworkFault, Selector, Store, WhenFull,
};
use crate::scenario::timeline::{self, Action};
use crate::stats::recorder::Snapshot;

const DEVICES: u32 = 40;

/// Ten minutes without a network, a sample each 10 s, room for 30, drained at 5/s; a minute before it
/// and four after it.
fn ten_minutes() -> Plan {
    let kind = FaultKind::Network {
        who: Selector::default(),
        fault: NetworkFault::Reset {
            within: Duration::ZERO,
        },
    };
    let mut plan = with(plan(DEVICES, ms(10_000)), ms(60_000), ms(660_000), kind);
    plan.phases[STEADY].length = ms(900_000);
    plan.cohorts[0].client.backoff = Backoff::of(BackoffShape::Fixed(ms(2_000)));
    plan.cohorts[0].store = Some(Store {
        messages: 30,
        age: None,
        when_full: WhenFull::DropOldest,
        drain_gap: Some(ms(200)),
        order: DrainOrder::OldestFirst,
        first: First::Live,
    });
    plan
}

/// Each device lets go of all that came due while it was away, but for 30.
#[test]
fn an_outage_drops_exactly_what_the_store_has_no_room_for() {
    let plan = ten_minutes();
    let outcome = outcome(plan.clone());
    let books = books(&outcome);
    assert_eq!(outcome.came_back.len(), DEVICES as usize);
    let fault = &plan.faults[0];
    let mut dropped = 0;
    for (device, after) in &outcome.came_back {
        let cut = outcome.start.after(fault.start);
        let back = outcome.start.after(fault.clear + *after);
        let away = arrivals(&plan, &outcome, *device)
            .into_iter()
            .filter(|at| (cut..back).contains(at))
            .count();
        assert!((60..=61).contains(&away), "{away}");
        dropped += away as u64 - 30;
    }
    assert_eq!(books.dropped_by_policy, dropped);
    assert_eq!(books.planned, books.sent + dropped);
    // Sent one by one, so all of it is acknowledged but what the cut caught in flight.
    assert_eq!(books.acked + books.failed, books.sent);
    let backlog = &outcome.totals.backlogs[0];
    assert_eq!((backlog.devices, backlog.drained), (40, 40));
    // What came due between the clearing and the reconnect is no part of the fault's time.
    let of_fault = backlog.planned - backlog.acked_live;
    assert_eq!(of_fault, backlog.recovered + backlog.dropped_by_policy);
    assert_eq!(backlog.planned, u64::from(DEVICES) * 60);
    assert!(backlog.dropped_by_policy <= dropped, "{backlog:?}");
}

/// The first sample of the backlog goes at once, each other 200 ms after the one before: the last is
/// acknowledged 29 gaps and a round trip after the first write.
#[test]
fn a_backlog_of_thirty_takes_its_closed_form_to_drain() {
    let outcome = outcome(ten_minutes());
    let back = (outcome.came_back.iter()).map(|(_, after)| *after);
    let (first, last) = (back.clone().min(), back.max());
    let (first, last) = (first.expect("all are back"), last.expect("all are back"));
    let drained = |second: &&Snapshot| second.gauges.waiting == 0;
    let clear = 10 + 660;
    let after = &outcome.snapshots[clear..];
    // Seconds of the row after which nothing waits any more.
    let empty = after.iter().position(|s| drained(&s)).expect("it drains");
    let wanted = last.as_secs_f64() + 29.0 * 0.2;
    assert!(last < first + ms(2_200), "{first:?} to {last:?}");
    assert!(
        (empty as f64 - wanted).abs() <= 1.0,
        "{empty} s, not {wanted} s"
    );
    assert_eq!(
        outcome.snapshots[clear - 1].gauges.waiting,
        u64::from(DEVICES) * 30
    );
    // Per device: its reconnect, 29 gaps, and a round trip for the last PUBACK; less what came due
    // after the clearing, which is drained at the end.
    let (_, slowest) =
        (outcome.totals.backlogs[0].drain_times().min_max_us()).expect("all drained");
    let slowest = Duration::from_micros(slowest);
    let wanted = Duration::from_secs_f64(wanted) + 2 * LINK_DELAY;
    assert!(
        slowest <= wanted.mul_f64(1.001) && slowest + ms(200) >= wanted,
        "{slowest:?}, not {wanted:?}"
    );
    let replayed: u64 = after.iter().map(|s| s.counters.replayed).sum();
    assert_eq!(replayed, u64::from(DEVICES) * 30);
}

fn arrivals(plan: &Plan, outcome: &Outcome, device: u32) -> Vec<Instant> {
    let pacer = Pacer {
        plan,
        stream: 0,
        device,
        boot: 1,
        start: outcome.start,
    };
    let powered = timeline::compile(plan, |other| other == device);
    let powered = powered
        .iter()
        .find(|entry| entry.action == Action::PowerOn(device));
    let power_on = outcome.start.after(powered.expect("all get power").at);
    let mut cursor = pacer.first(power_on);
    let mut all = Vec::new();
    while cursor.at < outcome.start.after(plan.length()) {
        all.push(cursor.at);
        cursor = pacer.next(cursor);
    }
    all
}
