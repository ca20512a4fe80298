//! Tests of the recorder.

use super::*;
use crate::mqtt::packet::ConnectCode;
use crate::stats::books::WillCounts;
use crate::stats::event::Note;
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// T0 at 1 s; phases of 10 s and 20 s; two streams.
fn layout() -> Layout {
    Layout {
        start: Instant::from_ns(S),
        phase_ends: vec![Instant::from_ns(11 * S), Instant::from_ns(31 * S)],
        streams: 2,
    }
}

fn at_ms(ms: u64) -> Instant {
    Instant::from_ns(S + ms * MS)
}

fn op(stream: u16, seq: u32, intended_ms: u64) -> Operation {
    Operation {
        stream,
        seq,
        intended: at_ms(intended_ms),
    }
}

fn sent(op: Operation, qos: QoS) -> Event {
    Event::Sent {
        op,
        qos,
        replayed: false,
    }
}

fn histogram(snapshot: &Snapshot, metric: Metric, phase: u16) -> Histogram {
    let found = snapshot
        .histograms
        .iter()
        .find(|d| d.metric == metric && d.phase == phase);
    found.map_or_else(Histogram::new, |d| {
        Histogram::from_v2(&d.v2).expect("own encoding")
    })
}

#[test]
fn phases_own_their_start_and_clamp_at_both_ends() {
    let layout = layout();
    for (ms, phase) in [
        (0, 0),
        (9_999, 0),
        (10_000, 1),
        (29_999, 1),
        (30_000, 1),
        (90_000, 1),
    ] {
        assert_eq!(layout.phase_of(at_ms(ms)), phase, "at {ms} ms");
    }
    assert_eq!(layout.phase_of(Instant::ZERO), 0);
    let empty = Layout {
        phase_ends: Vec::new(),
        ..layout
    };
    assert_eq!((empty.phase_of(at_ms(5)), empty.phases()), (0, 1));
}

#[test]
fn every_operation_lands_in_the_book_of_its_intended_phase() {
    let mut r = Recorder::new(layout());
    let record = |r: &mut Recorder, ms: u64, e: Event| r.record(at_ms(ms), 7, &e);
    // Due in phase 0, acknowledged in phase 1.
    let late = op(0, 0, 9_990);
    record(&mut r, 9_990, Event::Planned(late));
    record(&mut r, 9_991, sent(late, QoS::AtLeastOnce));
    record(&mut r, 10_040, Event::Retransmitted(late));
    let acked = Event::Acked {
        op: late,
        sent: at_ms(9_991),
        replayed: true,
    };
    record(&mut r, 10_050, acked);
    // One of each other fate in phase 1.
    for seq in 1..=6 {
        record(&mut r, 12_000, Event::Planned(op(1, seq, 12_000)));
    }
    record(&mut r, 12_000, sent(op(1, 1, 12_000), QoS::AtMostOnce));
    record(&mut r, 12_000, sent(op(1, 2, 12_000), QoS::AtLeastOnce));
    record(&mut r, 12_000, sent(op(1, 3, 12_000), QoS::AtLeastOnce));
    record(
        &mut r,
        14_000,
        Event::TimedOut {
            op: op(1, 2, 12_000),
            sent: at_ms(12_000),
        },
    );
    record(&mut r, 14_500, Event::LateAck(op(1, 2, 12_000)));
    record(&mut r, 13_000, Event::SessionGone(op(1, 3, 12_000)));
    record(
        &mut r,
        12_000,
        Event::Unsent(op(1, 4, 12_000), Unsent::Skipped),
    );
    record(
        &mut r,
        12_000,
        Event::Unsent(op(1, 5, 12_000), Unsent::DeviceOff),
    );
    record(
        &mut r,
        12_000,
        Event::Unsent(op(1, 6, 12_000), Unsent::DroppedByPolicy),
    );
    record(&mut r, 14_600, Event::UnexpectedAck);

    let mut audit = Audit::new(2, 2);
    audit.planned = vec![vec![1, 0], vec![0, 6]];
    let totals = r.totals(at_ms(15_000), &audit, DeliveryCounts::default());
    assert!(totals.schedule_agrees);
    assert!(totals.books.iter().flatten().all(Books::balance));
    assert_eq!(
        totals.books[0][0],
        Books {
            planned: 1,
            sent: 1,
            acked: 1,
            retransmitted: 1,
            ..Books::default()
        }
    );
    assert_eq!(
        totals.books[1][1],
        Books {
            planned: 6,
            sent: 3,
            skipped: 1,
            dropped_by_policy: 1,
            device_off: 1,
            written: 1,
            timed_out: 1,
            failed: 1,
            late_acks: 1,
            ..Books::default()
        }
    );
    let snapshot = r.take_snapshot(at_ms(15_000), 14, ProcessGauges::default());
    assert_eq!(
        snapshot.counters,
        Counters {
            planned: 7,
            sent: 4,
            acked: 1,
            written: 1,
            timed_out: 1,
            failed: 1,
            unsent: 3,
            retransmitted: 1,
            late_acks: 2,
            ..Counters::default()
        }
    );
    let replayed = histogram(&snapshot, Metric::AckResponseReplayed, 0);
    assert_eq!(replayed.min_max_us(), Some((60_000, 60_031)));
    assert_eq!(histogram(&snapshot, Metric::AckService, 0).count(), 0);
    assert_eq!(histogram(&snapshot, Metric::AckService, 1).count(), 1);
}

#[test]
fn an_audit_that_differs_anywhere_is_noticed() {
    let mut r = Recorder::new(layout());
    r.record(at_ms(1), 0, &Event::Planned(op(0, 0, 1)));
    let mut audit = Audit::new(2, 2);
    audit.planned[0][0] = 1;
    audit.waiting[0][0] = 1;
    let totals = r.totals(at_ms(2), &audit, DeliveryCounts::default());
    assert!(totals.schedule_agrees && totals.books[0][0].balance());
    audit.planned[1][1] = 1;
    assert!(
        !r.totals(at_ms(2), &audit, DeliveryCounts::default())
            .schedule_agrees
    );
    assert!(
        !r.totals(at_ms(2), &Audit::default(), DeliveryCounts::default())
            .schedule_agrees
    );
}

#[test]
fn failing_never_looks_fast() {
    // 2 % of publishes are never acknowledged: p99 is their timeout, not the others' 5 ms.
    let timeouts = [Duration::from_secs(2); 2];
    let mut r = Recorder::new(layout()).with_ack_timeouts(&timeouts);
    for seq in 0..100 {
        let op = op(0, seq, 1_000);
        r.record(at_ms(1_000), 0, &sent(op, QoS::AtLeastOnce));
        let (ms, end) = match seq {
            0 => (
                3_000,
                Event::TimedOut {
                    op,
                    sent: at_ms(1_000),
                },
            ),
            // The connection broke 1 ms after the write.
            1 => (1_001, Event::SessionGone(op)),
            _ => (
                1_005,
                Event::Acked {
                    op,
                    sent: at_ms(1_000),
                    replayed: false,
                },
            ),
        };
        r.record(at_ms(ms), 0, &end);
    }
    let snapshot = r.take_snapshot(at_ms(3_000), 3, ProcessGauges::default());
    let response = histogram(&snapshot, Metric::AckResponse, 0);
    assert_eq!(response.percentile_us(98.0), Some(5_003));
    assert_eq!(response.percentile_us(98.5), Some(2_000_895));
    assert_eq!(response.percentile_us(99.0), Some(2_000_895));
}

#[test]
fn attempts_count_failures_at_the_time_they_took() {
    let mut r = Recorder::new(layout());
    let intended = at_ms(9_000);
    r.record(at_ms(9_000), 3, &Event::AttemptStarted { intended });
    let cause = Cause::ConnectTimeout;
    r.record(
        at_ms(19_000),
        3,
        &Event::AttemptFailed {
            intended,
            cause,
            written: true,
        },
    );
    let cause = Cause::ConnAck(ConnectCode::ServerUnavailable);
    r.record(
        at_ms(9_500),
        4,
        &Event::AttemptFailed {
            intended,
            cause,
            written: true,
        },
    );
    r.record(
        at_ms(9_600),
        2,
        &Event::AttemptFailed {
            intended,
            cause,
            written: true,
        },
    );
    r.record(
        at_ms(9_700),
        5,
        &Event::Connected {
            intended,
            session_present: true,
        },
    );
    let stopped = Event::AttemptFailed {
        intended,
        cause: Cause::DeviceStopped,
        written: true,
    };
    r.record(at_ms(9_800), 6, &stopped);
    r.record(
        at_ms(9_900),
        5,
        &Event::Disconnected {
            cause: Cause::Reset,
        },
    );
    r.record(
        at_ms(9_950),
        5,
        &Event::Disconnected {
            cause: Cause::DeviceStopped,
        },
    );
    r.record_error(at_ms(9_960), 0, ErrorKind::Observer(Cause::Refused));

    let totals = r.totals(at_ms(20_000), &Audit::new(2, 2), DeliveryCounts::default());
    let counts = |accepted, failed, wasted| AttemptCounts {
        accepted,
        failed,
        wasted,
    };
    // The timeout came in the next phase, but the attempt is the first one's.
    assert_eq!(totals.attempts, [counts(1, 3, 1), counts(0, 0, 0)]);
    let told = |r: &mut Recorder| r.take_snapshot(at_ms(20_000), 19, ProcessGauges::default());
    let snapshot = told(&mut r);
    let latency = histogram(&snapshot, Metric::ConnectLatency, 0);
    assert_eq!(latency.count(), 4);
    assert!(latency.percentile_us(100.0) >= Some(10_000_000));
    let kinds: Vec<_> = snapshot.errors.iter().map(|e| (e.kind, e.count)).collect();
    assert_eq!(
        kinds,
        [
            (ErrorKind::Attempt(Cause::ConnectTimeout), 1),
            (
                ErrorKind::Attempt(Cause::ConnAck(ConnectCode::ServerUnavailable)),
                2
            ),
            (ErrorKind::Connection(Cause::Reset), 1),
            (ErrorKind::Observer(Cause::Refused), 1),
        ]
    );
    assert_eq!(snapshot.errors[1].example_device, 4);
    assert_eq!(snapshot.errors[1].first, at_ms(9_500));
    assert_eq!(snapshot.errors[1].last, at_ms(9_600));
    let next = told(&mut r);
    assert!(next.errors.is_empty() && next.histograms.is_empty());
    assert_eq!(next.counters, Counters::default());
    // The run's errors are the same before and after they went out with a snapshot.
    let after = r.totals(at_ms(20_000), &Audit::new(2, 2), DeliveryCounts::default());
    assert_eq!(after.errors, totals.errors);
}

#[test]
fn an_attempt_counts_in_the_phase_that_its_latency_is_in() {
    let mut r = Recorder::new(layout());
    let cause = Cause::Refused;
    for (intended_ms, end_ms, accepted) in [
        (9_990, 9_999, true),
        (9_990, 10_000, true),
        (9_990, 10_001, false),
        (10_000, 10_010, false),
        (29_000, 31_000, true),
    ] {
        let intended = at_ms(intended_ms);
        let event = if accepted {
            Event::Connected {
                intended,
                session_present: false,
            }
        } else {
            Event::AttemptFailed {
                intended,
                cause,
                written: true,
            }
        };
        r.record(at_ms(end_ms), 1, &event);
    }
    let totals = r.totals(at_ms(32_000), &Audit::new(2, 2), DeliveryCounts::default());
    let counts = |accepted, failed, wasted| AttemptCounts {
        accepted,
        failed,
        wasted,
    };
    assert_eq!(totals.attempts, [counts(2, 1, 0), counts(1, 1, 0)]);
    let snapshot = r.take_snapshot(at_ms(32_000), 31, ProcessGauges::default());
    for (phase, ended) in [(0, 3), (1, 2)] {
        let latency = histogram(&snapshot, Metric::ConnectLatency, phase);
        assert_eq!(latency.count(), ended, "phase {phase}");
    }
}

#[test]
fn availability_is_exact_and_split_at_phase_boundaries() {
    let mut r = Recorder::new(layout());
    let connected = |ms| Event::Connected {
        intended: at_ms(ms),
        session_present: false,
    };
    let gone = Event::Disconnected {
        cause: Cause::Reset,
    };
    // Device 1 (another word of flags than 70) is expected from 2 s, up 2..8 s and 12 s to the end.
    r.record(at_ms(1_000), 1, &Event::PoweredOn);
    r.record(at_ms(2_000), 1, &Event::Expected);
    r.record(at_ms(2_000), 1, &connected(1_000));
    r.record(at_ms(8_000), 1, &gone);
    // Device 70 has a session before it counts, and loses power at 20 s without a word.
    r.record(at_ms(9_000), 70, &Event::PoweredOn);
    r.record(at_ms(9_500), 70, &connected(9_000));
    r.record(at_ms(11_000), 70, &Event::Expected);
    r.record(at_ms(12_000), 1, &connected(12_000));
    r.record(at_ms(20_000), 70, &Event::PoweredOff);
    let gauges = r
        .take_snapshot(at_ms(21_000), 20, ProcessGauges::default())
        .gauges;
    assert_eq!(
        gauges,
        Gauges {
            powered: 1,
            expected: 1,
            connected: 1,
            waiting: 0
        }
    );
    // The drain, after the last phase, does not count.
    let totals = r.totals(at_ms(45_000), &Audit::new(2, 2), DeliveryCounts::default());
    assert_eq!(totals.availability, [(6.0, 8.0), (18.0 + 9.0, 20.0 + 9.0)]);
}

#[test]
fn lag_is_told_per_second() {
    let mut r = Recorder::new(layout());
    let snap =
        |r: &mut Recorder, s: u64| r.take_snapshot(at_ms(1_000 * s), 0, ProcessGauges::default());
    assert_eq!(snap(&mut r, 1).lag_p99_us, None);
    // Deadlines on both sides of a phase boundary belong to one second.
    for i in 0..99 {
        r.record_lag(
            at_ms(9_999),
            Instant::from_ns(at_ms(9_999).ns() + i * 1_000),
        );
    }
    r.record_lag(at_ms(10_000), at_ms(10_007));
    let snapshot = snap(&mut r, 10);
    assert_eq!(snapshot.lag_p99_us, Some(98));
    assert_eq!(snapshot.counters.timers, 100);
    assert_eq!(histogram(&snapshot, Metric::DriverLag, 1).count(), 1);
    r.record_lag(at_ms(11_000), at_ms(11_002));
    assert_eq!(snap(&mut r, 12).lag_p99_us, Some(2_000));
}

#[test]
fn gaps_between_turns_are_lag_however_many_timers_are_on_time() {
    let mut r = Recorder::new(layout());
    for _ in 0..10_000 {
        r.record_lag(at_ms(9_000), at_ms(9_001));
    }
    // Two of a hundred turns took 300 ms; the last begins in the next phase.
    for i in 0..99 {
        let took = if i == 0 { 300 } else { 2 };
        r.record_hiccup(at_ms(9_000), at_ms(9_000 + took));
    }
    r.record_hiccup(at_ms(10_000), at_ms(10_300));
    let snapshot = r.take_snapshot(at_ms(10_000), 9, ProcessGauges::default());
    let p99 = snapshot.lag_p99_us.expect("timers were due");
    assert!((300_000..300_500).contains(&p99), "{p99} us");
    assert_eq!(snapshot.counters.timers, 10_000, "a gap is no timer");
    let lag = |phase| histogram(&snapshot, Metric::DriverLag, phase).count();
    assert_eq!((lag(0), lag(1)), (10_099, 1));
    // Slow timers are not hidden by quick turns, and nothing stays for the next second.
    r.record_lag(at_ms(10_500), at_ms(10_520));
    r.record_hiccup(at_ms(10_500), at_ms(10_501));
    let p99 = r.take_snapshot(at_ms(11_000), 10, ProcessGauges::default());
    assert!(p99.lag_p99_us >= Some(20_000), "{:?}", p99.lag_p99_us);
    assert!(p99.lag_p99_us < Some(20_100), "{:?}", p99.lag_p99_us);
    // A second with gaps alone has a lag, too.
    r.record_hiccup(at_ms(11_500), at_ms(11_501));
    let snapshot = r.take_snapshot(at_ms(12_000), 11, ProcessGauges::default());
    assert_eq!(snapshot.lag_p99_us, Some(1_000));
    assert_eq!(histogram(&snapshot, Metric::DriverLag, 1).count(), 1);
}

#[test]
fn recoveries_belong_to_the_phase_of_their_fault() {
    let mut r = Recorder::new(layout());
    // The fault fills the first phase, so it clears at the very start of the second.
    r.record_affected(1);
    r.record_affected(1);
    r.record_recovered(1, at_ms(10_000), at_ms(13_000));
    r.record_seen(at_ms(10_020), at_ms(9_990), false);
    r.record_seen(at_ms(10_030), at_ms(9_990), true);
    let snapshot = r.take_snapshot(at_ms(14_000), 13, ProcessGauges::default());
    let time = histogram(&snapshot, Metric::ReconnectTime, 0);
    assert_eq!(time.min_max_us(), Some((2_998_272, 3_000_319)));
    assert_eq!(
        histogram(&snapshot, Metric::EndToEnd, 0).percentile_us(50.0),
        Some(30_015)
    );
    assert_eq!(histogram(&snapshot, Metric::EndToEndReplayed, 0).count(), 1);
    assert_eq!(snapshot.counters.seen, 2);
    let totals = r.totals(at_ms(14_000), &Audit::new(2, 2), DeliveryCounts::default());
    let none = Recovery::default();
    assert_eq!(
        totals.recoveries,
        [
            none,
            Recovery {
                affected: 2,
                recovered: 1
            }
        ]
    );
}

#[test]
fn what_lies_out_of_range_is_counted() {
    let mut r = Recorder::new(layout());
    r.record_seen(at_ms(3_700_000), at_ms(0), false);
    let totals = r.totals(at_ms(1), &Audit::new(2, 2), DeliveryCounts::default());
    assert_eq!(totals.out_of_range, 1);
    assert_eq!(
        totals.errors[0].kind,
        ErrorKind::Limit(Limit::HistogramRange)
    );
}

#[test]
fn what_the_driver_let_go_blames_the_generator() {
    let mut r = Recorder::new(layout());
    let own = Cause::GeneratorFds;
    let kinds = [
        (ErrorKind::Attempt(own), true),
        (ErrorKind::Attempt(Cause::Refused), false),
        (ErrorKind::Connection(own), true),
        (ErrorKind::Connection(Cause::ProtocolError), false),
        (ErrorKind::Limit(Limit::OutputBytes), false),
        (ErrorKind::AckTimeout, false),
        (ErrorKind::GaveUp, false),
        (ErrorKind::Observer(own), true),
        (ErrorKind::Operator(own), true),
        (ErrorKind::Fetch(own), true),
        (ErrorKind::Noted(Note::QueueFull), true),
        (ErrorKind::Noted(Note::Refused), false),
        (ErrorKind::GeneratorUnsent, true),
    ];
    for (kind, _) in kinds {
        r.record_error(at_ms(5), 3, kind);
    }
    let totals = r.totals(at_ms(6), &Audit::new(2, 2), DeliveryCounts::default());
    let told: Vec<_> = (totals.errors.iter())
        .map(|e| (e.kind, e.kind.blames_generator()))
        .collect();
    for kind in kinds {
        assert!(told.contains(&kind), "{kind:?} in {told:?}");
    }
}

/// Feeds operation `i` of a run to `r`.
fn feed(r: &mut Recorder, i: u32, latency_us: u64) {
    let op = op((i % 2) as u16, i / 2, u64::from(i) * 29);
    let end = Instant::from_ns(op.intended.ns() + latency_us * 1_000);
    r.record(op.intended, i, &Event::Planned(op));
    r.record(op.intended, i, &sent(op, QoS::AtLeastOnce));
    let event = match i % 11 {
        0 => Event::TimedOut {
            op,
            sent: op.intended,
        },
        1 => Event::SessionGone(op),
        _ => Event::Acked {
            op,
            sent: op.intended,
            replayed: i.is_multiple_of(5),
        },
    };
    r.record(end, i, &event);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Totals and histograms are the same whether one worker or several did the work, in whatever
    /// order they are merged, however the run is cut into snapshots.
    #[test]
    fn workers_and_snapshots_add_up(
        latencies in prop::collection::vec(1u64..5_000_000, 1..300),
        workers in 1usize..6,
        cut in 1usize..50,
    ) {
        let mut whole = Recorder::new(layout());
        let mut parts: Vec<_> = (0..workers).map(|_| Recorder::new(layout())).collect();
        let mut snapshots = Vec::new();
        for (i, latency) in latencies.iter().enumerate() {
            let id = u32::try_from(i).expect("small");
            feed(&mut whole, id, *latency);
            feed(&mut parts[i % workers], id, *latency);
            if i.is_multiple_of(cut) {
                let part = &mut parts[i % workers];
                snapshots.push(part.take_snapshot(at_ms(0), 0, ProcessGauges::default()));
            }
        }
        for part in &mut parts {
            snapshots.push(part.take_snapshot(at_ms(0), 0, ProcessGauges::default()));
        }
        let all = [whole.take_snapshot(at_ms(0), 0, ProcessGauges::default())];
        for metric in Metric::ALL {
            prop_assert_eq!(merge_histograms(&snapshots, metric), merge_histograms(&all, metric));
        }
        let end = at_ms(30_000);
        let audit = Audit::new(2, 2);
        let mut totals: Vec<_> = parts
            .iter_mut()
            .map(|p| p.totals(end, &audit, DeliveryCounts { lost: 1, ..DeliveryCounts::default() }))
            .collect();
        let mut merged = Totals::default();
        totals.iter().for_each(|t| merged.merge(t));
        totals.reverse();
        let mut reversed = Totals::default();
        totals.iter().for_each(|t| reversed.merge(t));
        prop_assert_eq!(&merged, &reversed);
        let lost = workers as u64;
        let single = whole.totals(end, &audit, DeliveryCounts { lost, ..DeliveryCounts::default() });
        prop_assert_eq!(merged, single);
    }
}

#[test]
fn merging_into_nothing_takes_the_claim_over_and_one_disagreement_spoils_it() {
    let agreeing =
        Recorder::new(layout()).totals(at_ms(0), &Audit::new(2, 2), DeliveryCounts::default());
    let mut merged = Totals::default();
    assert!(!merged.schedule_agrees);
    merged.merge(&agreeing);
    assert!(merged.schedule_agrees);
    merged.merge(&Totals::default());
    assert!(merged.schedule_agrees);
    merged.merge(&Totals {
        schedule_agrees: false,
        ..agreeing
    });
    assert!(!merged.schedule_agrees);
}

#[test]
fn wills_of_workers_add_up_and_stay_unasked_if_they_are() {
    let with = |wills| Totals {
        schedule_agrees: true,
        wills,
        ..Totals::default()
    };
    let counts = |n: u64| WillCounts {
        watched: n,
        fired: 2 * n,
        devices: n,
        devices_repeated: n,
        redelivered: 3 * n,
        gaps: 4 * n,
    };
    let mut merged = with(None);
    merged.merge(&with(None));
    assert_eq!(merged.wills, None);
    merged.merge(&with(Some(counts(5))));
    merged.merge(&with(Some(counts(2))));
    assert_eq!(merged.wills, Some(counts(7)));
}

#[test]
fn what_devices_tell_of_updates_and_commands_is_counted_by_kind_and_adds_up() {
    use crate::stats::books::{CommandCounts, UpdateCounts};
    use crate::stats::event::{CommandEvent as C, UpdateEvent as U};

    let kinds = [
        U::UnwantedBlock,
        U::BlockAskedAgain,
        U::BadAnswer,
        U::StatusAgain,
        U::Resumed,
        U::Restarted,
        U::HashMatched,
        U::HashDiffered,
    ];
    let commands = [
        C::Executed,
        C::Failed,
        C::Repeated,
        C::ExecutedAgain,
        C::BadRequest,
    ];
    let mut recorder = Recorder::new(layout());
    for (times, kind) in (1..).zip(kinds) {
        (0..times).for_each(|_| recorder.record(at_ms(1), 0, &Event::Update(kind)));
    }
    for (times, kind) in (1..).zip(commands) {
        (0..times).for_each(|_| recorder.record(at_ms(1), 0, &Event::Command(kind)));
    }
    let one = recorder.totals(at_ms(2), &Audit::new(2, 2), DeliveryCounts::default());
    let mut two = one.clone();
    two.merge(&one);
    for (totals, n) in [(&one, 1), (&two, 2)] {
        let updates = UpdateCounts {
            unwanted_blocks: n,
            blocks_asked_again: 2 * n,
            bad_answers: 3 * n,
            statuses_again: 4 * n,
            resumed: 5 * n,
            restarted: 6 * n,
            hashes_matched: 7 * n,
            hashes_differed: 8 * n,
        };
        let commands = CommandCounts {
            executed: n,
            failed: 2 * n,
            repeated: 3 * n,
            executed_again: 4 * n,
            bad_requests: 5 * n,
        };
        assert_eq!((totals.updates, totals.commands), (updates, commands));
    }
}

#[test]
fn totals_of_before_campaigns_are_read() {
    let mut json = serde_json::to_value(Totals::default()).expect("plain values");
    let fields = json.as_object_mut().expect("a map");
    for new in ["updates", "commands"] {
        assert!(fields.remove(new).is_some(), "{new}");
    }
    let read: Totals = serde_json::from_value(json).expect("readable");
    assert_eq!(read, Totals::default());
}
