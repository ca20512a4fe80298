//! Tests of the delivery ledger: planted faults one by one.

use super::*;
use crate::mqtt::packet::QoS;
use crate::scenario::fixture;
use crate::time::Instant;

mod oracle;

/// The end of a drain, long after everything that is seen at zero.
const END: Instant = Instant::from_ns(60_000_000_000);

/// Devices 3, 7 and 11 of a fleet of 12; streams 0 (QoS 1) and 1 (QoS 0) each; booted once.
fn ledger() -> Ledger {
    ledger_at(QoS::AtLeastOnce)
}

/// The same with stream 0 at `qos`.
fn ledger_at(qos: QoS) -> Ledger {
    let mut plan = fixture::plan(12);
    plan.streams[0].qos = qos;
    let mut quiet = plan.streams[0].clone();
    quiet.qos = QoS::AtMostOnce;
    plan.streams.push(quiet);
    plan.cohorts[0].streams = 0..2;
    let owned = [3, 7, 11];
    let mut ledger = Ledger::new(&plan, &owned);
    owned.iter().for_each(|d| ledger.booted(*d, 1));
    ledger
}

fn op(seq: u32) -> Operation {
    Operation {
        stream: 0,
        seq,
        intended: Instant::ZERO,
    }
}

fn stamp(seq: u32) -> Stamp {
    Stamp {
        run: 1,
        device: 7,
        stream: 0,
        boot: 1,
        seq,
        intended: Instant::ZERO,
    }
}

/// Device 7 sends `seqs`.
fn send(ledger: &mut Ledger, seqs: std::ops::Range<u32>) {
    seqs.for_each(|seq| ledger.sent(7, &op(seq), false));
}

fn ack(ledger: &mut Ledger, seqs: std::ops::Range<u32>) {
    seqs.for_each(|seq| ledger.acked(7, &op(seq)));
}

fn see(ledger: &mut Ledger, seqs: std::ops::Range<u32>) {
    for seq in seqs {
        let first = Sighting::First { replayed: false };
        assert_eq!(ledger.seen(&stamp(seq), Instant::ZERO), first, "seq {seq}");
    }
}

#[test]
fn a_stream_costs_little() {
    assert!(size_of::<Stream>() <= 96, "{} bytes", size_of::<Stream>());
    assert!(size_of::<Entry>() <= 8);
}

#[test]
fn planted_losses_are_reported_exactly() {
    for k in [0u32, 1, 7, 1000] {
        let mut ledger = ledger();
        let n = 5_000;
        for seq in 0..n {
            ledger.sent(7, &op(seq), false);
            ledger.acked(7, &op(seq));
            // Every fifth message up to k of them never comes.
            if !(seq.is_multiple_of(5) && seq / 5 < k) {
                ledger.seen(&stamp(seq), Instant::ZERO);
            }
        }
        assert_eq!(
            ledger.is_settled(),
            k != 1000,
            "the lost ones have left the window: k {k}"
        );
        let counts = ledger.finish(END);
        let expected = DeliveryCounts {
            verified_acks: n.into(),
            seen: (n - k).into(),
            lost: k.into(),
            ..DeliveryCounts::default()
        };
        assert_eq!(counts, expected);
        assert!(ledger.is_settled());
        assert_eq!(
            ledger.finish(END),
            expected,
            "judging twice changes nothing"
        );
    }
}

#[test]
fn each_fate_has_its_count() {
    let mut ledger = ledger();
    send(&mut ledger, 0..8);
    // 0 acked and seen; 1 acked; 2 seen; 3 neither; 4 and 5 swapped; 6 and 7 twice.
    ack(&mut ledger, 0..2);
    ack(&mut ledger, 4..8);
    see(&mut ledger, 0..1);
    see(&mut ledger, 2..3);
    see(&mut ledger, 5..6);
    see(&mut ledger, 4..5);
    see(&mut ledger, 6..8);
    assert!(!ledger.is_settled());
    ledger.retransmitted(7, &op(6));
    assert_eq!(ledger.seen(&stamp(6), Instant::ZERO), Sighting::Repeated);
    assert_eq!(ledger.seen(&stamp(7), Instant::ZERO), Sighting::Repeated);
    ledger.corrupt();
    assert_eq!(
        ledger.finish(END),
        DeliveryCounts {
            verified_acks: 6,
            seen: 6,
            lost: 1,
            duplicated_explained: 1,
            duplicated: 1,
            reordered: 1,
            recovered: 1,
            undelivered: 1,
            corrupt: 1,
            ..DeliveryCounts::default()
        }
    );
}

#[test]
fn what_is_not_ours_is_foreign() {
    let mut ledger = ledger();
    send(&mut ledger, 0..1);
    let ours = stamp(0);
    let foreign = [
        Stamp { device: 8, ..ours },
        Stamp { device: 2, ..ours },
        Stamp { device: 15, ..ours },
        Stamp { stream: 2, ..ours },
        Stamp {
            stream: u16::MAX,
            ..ours
        },
        Stamp { boot: 2, ..ours },
        // Never sent: nothing can have delivered it.
        Stamp { seq: 1, ..ours },
        Stamp { device: 3, ..ours },
    ];
    for stamp in &foreign {
        assert_eq!(
            ledger.seen(stamp, Instant::ZERO),
            Sighting::Unknown,
            "{stamp:?}"
        );
    }
    ledger.foreign();
    // Devices that are not observed here are no error.
    ledger.sent(8, &op(0), false);
    ledger.acked(8, &op(0));
    ledger.gap_began(&[8]);
    ledger.booted(8, 1);
    let counts = ledger.finish(END);
    assert_eq!((counts.foreign, counts.undelivered, counts.seen), (9, 1, 0));
}

#[test]
fn only_observed_devices_are_kept() {
    let mut plan = fixture::plan(1000);
    plan.observe.devices = 250;
    let owned: Vec<_> = (1..1000).step_by(4).collect();
    let ledger = Ledger::new(&plan, &owned);
    let observed = owned.iter().filter(|d| plan.observed(**d)).count();
    assert_eq!(
        (ledger.streams.len(), ledger.entries.len()),
        (observed, 250)
    );
    assert!(Ledger::new(&plan, &[]).finish(END) == DeliveryCounts::default());
}

#[test]
fn replays_are_told_at_their_first_sighting() {
    let mut ledger = ledger();
    ledger.sent(7, &op(0), true);
    send(&mut ledger, 1..3);
    ledger.retransmitted(7, &op(1));
    let replays = [0, 1, 2].map(|seq| ledger.seen(&stamp(seq), Instant::ZERO));
    assert_eq!(
        replays,
        [true, true, false].map(|replayed| Sighting::First { replayed })
    );
    // One that waited and was written once has no excuse for coming twice.
    ledger.seen(&stamp(0), Instant::ZERO);
    ledger.seen(&stamp(1), Instant::ZERO);
    let counts = ledger.finish(END);
    assert_eq!((counts.duplicated, counts.duplicated_explained), (1, 1));
    // A seq that shares its bit with a replayed one is none itself.
    let mut ledger = self::ledger();
    ledger.sent(7, &op(0), true);
    send(&mut ledger, 256..257);
    assert!(ledger.streams.iter().all(|s| !s.is_marked()));
    assert_eq!(
        ledger.seen(&stamp(256), Instant::ZERO),
        Sighting::First { replayed: false }
    );
}

#[test]
fn without_acknowledgements_nothing_is_lost() {
    let mut ledger = ledger();
    for seq in 0..1000 {
        let op = Operation {
            stream: 1,
            ..op(seq)
        };
        ledger.sent(7, &op, false);
        if seq % 10 != 0 {
            ledger.seen(
                &Stamp {
                    stream: 1,
                    ..stamp(seq)
                },
                Instant::ZERO,
            );
        }
    }
    ledger.gap_began(&[7]);
    let counts = ledger.finish(END);
    let expected = DeliveryCounts {
        seen: 900,
        undelivered: 100,
        ..DeliveryCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn what_comes_below_the_window_is_unresolved_and_takes_a_loss_back() {
    let mut ledger = ledger();
    send(&mut ledger, 0..256);
    ack(&mut ledger, 0..256);
    see(&mut ledger, 2..256);
    // 0 and 1 leave the window: lost, as far as anyone can know.
    send(&mut ledger, 256..258);
    assert_eq!(ledger.tally.counts.lost, 2);
    assert_eq!(ledger.seen(&stamp(0), Instant::ZERO), Sighting::Repeated);
    assert_eq!(ledger.tally.counts.lost, 1);
    // A late PUBACK leaves no verdict either, but it excuses no loss.
    ack(&mut ledger, 1..2);
    assert_eq!(ledger.tally.counts.lost, 1);
    // There are only two losses to take back, however many come late.
    ledger.seen(&stamp(1), Instant::ZERO);
    ledger.seen(&stamp(1), Instant::ZERO);
    let counts = ledger.finish(END);
    assert_eq!(
        (counts.lost, counts.unresolved, counts.duplicated),
        (0, 4, 0)
    );
    assert_eq!(
        (counts.seen, counts.verified_acks, counts.undelivered),
        (254, 254, 2)
    );
}

#[test]
fn what_is_written_after_256_newer_ones_is_unresolved() {
    let mut ledger = ledger();
    send(&mut ledger, 300..301);
    ledger.sent(7, &op(44), true);
    ledger.retransmitted(7, &op(44));
    assert!(ledger.streams.iter().all(|s| !s.is_marked()));
    // 45 is the lowest in the window.
    ledger.sent(7, &op(45), true);
    ack(&mut ledger, 45..46);
    let replayed = Sighting::First { replayed: true };
    assert_eq!(ledger.seen(&stamp(45), Instant::ZERO), replayed);
    let counts = ledger.finish(END);
    let expected = DeliveryCounts {
        verified_acks: 1,
        seen: 1,
        unresolved: 1,
        undelivered: 1,
        ..DeliveryCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn a_message_of_an_earlier_boot_is_late() {
    let mut ledger = ledger();
    send(&mut ledger, 0..3);
    ack(&mut ledger, 0..3);
    see(&mut ledger, 0..1);
    ledger.booted(7, 2);
    assert!(ledger.is_settled());
    send(&mut ledger, 0..1);
    assert_eq!(ledger.seen(&stamp(1), Instant::ZERO), Sighting::Repeated);
    let again = Stamp {
        boot: 2,
        ..stamp(0)
    };
    assert_eq!(
        ledger.seen(&again, Instant::ZERO),
        Sighting::First { replayed: false }
    );
    let counts = ledger.finish(END);
    assert_eq!((counts.lost, counts.unresolved, counts.seen), (1, 1, 2));
    assert_eq!(
        (counts.recovered, counts.reordered, counts.foreign),
        (1, 0, 0)
    );
}

#[test]
fn a_gap_with_a_kept_session_excuses_what_was_acked_in_it() {
    let mut ledger = ledger();
    send(&mut ledger, 0..5);
    ack(&mut ledger, 0..2);
    see(&mut ledger, 1..2);
    // 0 is missing before the gap; 2 and 3 are acked in it, 4 is written in it and acked after.
    ledger.gap_began(&[3, 7]);
    ack(&mut ledger, 2..4);
    ledger.gap_ended(&[3, 7], true);
    ack(&mut ledger, 4..5);
    assert!(!ledger.is_settled());
    see(&mut ledger, 3..4);
    // The session delivers 1 again, because our PUBACK for it had not arrived; but only once.
    assert_eq!(ledger.seen(&stamp(1), Instant::ZERO), Sighting::Repeated);
    assert_eq!(ledger.seen(&stamp(1), Instant::ZERO), Sighting::Repeated);
    // All is as usual for what is sent after the gap.
    send(&mut ledger, 5..7);
    ack(&mut ledger, 5..7);
    see(&mut ledger, 5..6);
    let counts = ledger.finish(END);
    assert_eq!((counts.lost, counts.unverified, counts.seen), (2, 2, 3));
    assert_eq!((counts.redelivered, counts.duplicated), (1, 1));
    assert_eq!(counts.duplicated_explained, 0);
}

#[test]
fn a_retransmission_explains_a_duplicate_before_the_observers_gap_does() {
    let mut ledger = ledger();
    send(&mut ledger, 0..3);
    see(&mut ledger, 0..3);
    ledger.retransmitted(7, &op(1));
    ledger.gap_began(&[7]);
    ledger.gap_ended(&[7], true);
    for seq in [0, 1] {
        assert_eq!(ledger.seen(&stamp(seq), Instant::ZERO), Sighting::Repeated);
    }
    // The session that could deliver 2 again is gone.
    ledger.gap_began(&[7]);
    ledger.gap_ended(&[7], false);
    assert_eq!(ledger.seen(&stamp(2), Instant::ZERO), Sighting::Repeated);
    let counts = ledger.finish(END);
    assert_eq!((counts.redelivered, counts.duplicated_explained), (1, 1));
    assert_eq!(counts.duplicated, 1);
}

#[test]
fn exactly_once_excuses_no_duplicate() {
    let duplicates = |downgraded: bool| {
        let mut ledger = ledger_at(QoS::ExactlyOnce);
        if downgraded {
            ledger.downgraded(&[3, 7]);
        }
        send(&mut ledger, 0..4);
        ack(&mut ledger, 0..1);
        ledger.retransmitted(7, &op(1));
        // Its PUBREL was written again, and only then the server passes it on.
        let first = Sighting::First { replayed: true };
        assert_eq!(ledger.seen(&stamp(1), Instant::ZERO), first);
        see(&mut ledger, 2..3);
        ledger.retransmitted(7, &op(2));
        for seq in [1, 2] {
            assert_eq!(ledger.seen(&stamp(seq), Instant::ZERO), Sighting::Repeated);
        }
        ledger.gap_began(&[7]);
        ledger.gap_ended(&[7], true);
        assert_eq!(ledger.seen(&stamp(1), Instant::ZERO), Sighting::Repeated);
        let counts = ledger.finish(END);
        assert_eq!(counts.duplicated_explained, 0);
        assert_eq!((counts.lost, counts.undelivered), (1, 1));
        (counts.duplicated, counts.redelivered)
    };
    assert_eq!(duplicates(false), (3, 0));
    assert_eq!(duplicates(true), (2, 1), "only what a gap may repeat");
}

#[test]
fn a_stored_copy_is_counted_apart() {
    let mut ledger = ledger();
    ledger.stored();
    let counts = ledger.finish(END);
    assert_eq!(counts.stored, 1);
    let others = DeliveryCounts {
        stored: 0,
        ..counts
    };
    assert_eq!(others, DeliveryCounts::default());
}

#[test]
fn a_gap_whose_session_is_gone_excuses_all_that_was_under_way() {
    let mut ledger = ledger();
    send(&mut ledger, 0..4);
    ack(&mut ledger, 0..2);
    see(&mut ledger, 0..1);
    ledger.gap_began(&[7]);
    ack(&mut ledger, 2..3);
    assert!(!ledger.is_settled());
    ledger.gap_ended(&[7], false);
    assert!(ledger.is_settled(), "nothing of it can come any more");
    ack(&mut ledger, 3..4);
    assert!(ledger.is_settled());
    send(&mut ledger, 4..6);
    ack(&mut ledger, 4..6);
    see(&mut ledger, 4..5);
    // It came all the same: routed after the new subscription, before we knew of that.
    see(&mut ledger, 3..4);
    let counts = ledger.finish(END);
    assert_eq!((counts.lost, counts.unverified, counts.seen), (1, 2, 3));
    assert_eq!(counts.duplicated + counts.unresolved, 0);
}

#[test]
fn an_observer_that_never_comes_back_loses_nothing() {
    let mut ledger = ledger();
    for seq in 0..1000 {
        if seq == 500 {
            ledger.gap_began(&[3, 7, 11]);
        }
        if seq == 900 {
            ledger.booted(7, 2);
        }
        let seq = if seq < 900 { seq } else { seq - 900 };
        ledger.sent(7, &op(seq), false);
        ledger.acked(7, &op(seq));
        if seq < 490 && ledger.streams[2].boot() == 1 {
            ledger.seen(&stamp(seq), Instant::ZERO);
        }
    }
    let counts = ledger.finish(END);
    // 490..500 were acked before the gap and may lie in the observer's dead connection.
    assert_eq!((counts.lost, counts.seen), (0, 490));
    assert_eq!(counts.unverified, 510);
    assert_eq!(counts.verified_acks, 490);
}

#[test]
fn what_leaves_the_window_in_a_gap_is_unverified_and_before_it_lost() {
    let mut ledger = ledger();
    // 0 leaves the window before the gap, 1 and 2 in it, 3 after it.
    send(&mut ledger, 0..256);
    ack(&mut ledger, 0..4);
    send(&mut ledger, 256..257);
    ledger.gap_began(&[7]);
    send(&mut ledger, 257..259);
    ledger.gap_ended(&[7], true);
    send(&mut ledger, 259..260);
    let counts = ledger.finish(END);
    assert_eq!((counts.lost, counts.unverified), (2, 2));
}

#[test]
fn what_a_drain_did_not_wait_for_is_unresolved() {
    let second = |s: u64| Instant::from_ns(s * 1_000_000_000);
    // Seconds between the last sighting and the end; then lost, unresolved, verified.
    for (idle, expected) in [(0, (0, 2, 1)), (4, (0, 2, 1)), (5, (2, 0, 3))] {
        let mut ledger = ledger();
        send(&mut ledger, 0..5);
        // 0 is seen, 1 and 2 are on their way, 3 is only seen, 4 is neither.
        ack(&mut ledger, 0..3);
        see(&mut ledger, 3..4);
        ledger.seen(&stamp(0), second(100));
        // A repetition does not say that the rest will come.
        ledger.seen(&stamp(0), second(104));
        let counts = ledger.finish(second(100 + idle));
        let told = (counts.lost, counts.unresolved, counts.verified_acks);
        assert_eq!(told, expected, "idle for {idle} s");
        assert_eq!((counts.recovered, counts.undelivered), (1, 1));
        assert!(ledger.is_settled());
        assert_eq!(ledger.finish(second(100 + idle)), counts, "judged once");
    }
}

#[test]
fn sightings_more_than_a_window_behind_lose_nothing_either() {
    for (end, lost, unresolved) in [(Instant::ZERO, 1, 548), (END, 548, 1)] {
        let mut ledger = ledger();
        see_all_but(&mut ledger, 5);
        // The broker falls behind by 548 messages and delivers one of them before the end.
        for seq in 10..558 {
            send(&mut ledger, seq..seq + 1);
            ack(&mut ledger, seq..seq + 1);
        }
        assert_eq!(ledger.tally.counts.lost, 293);
        assert_eq!(ledger.seen(&stamp(10), Instant::ZERO), Sighting::Repeated);
        let counts = ledger.finish(end);
        assert_eq!((counts.lost, counts.unresolved), (lost, unresolved));
    }
}

/// Device 7 sends 0..10; all but `missing` are acknowledged and seen, that one is acknowledged.
fn see_all_but(ledger: &mut Ledger, missing: u32) {
    send(ledger, 0..10);
    ack(ledger, 0..10);
    see(ledger, 0..missing);
    see(ledger, missing + 1..10);
}
