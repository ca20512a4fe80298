//! Hand-computed herds.

use crate::mqtt::packet::ConnectCode;
use crate::stats::event::{Cause, Event};
use crate::stats::recorder::{Audit, Episode, HerdCounts, Layout, Recorder, ResumeCounts, Totals};
use crate::time::Instant;

fn at_s(s: u64) -> Instant {
    Instant::from_ns((1 + s) * 1_000_000_000)
}

/// T0 at 1 s; two phases of 20 s; a fault of 10 s in each, at 5 s and at 25 s.
fn recorder() -> Recorder {
    let layout = Layout {
        start: at_s(0),
        phase_ends: vec![at_s(20), at_s(40)],
        streams: 0,
    };
    let episode = |fault, start, end| Episode {
        fault,
        start: at_s(start),
        clear: at_s(start + 10),
        end: at_s(end),
    };
    let episodes = [episode(0, 5, 25), episode(1, 25, 40)];
    Recorder::new(layout).with_recovery(&episodes, &[0..3, 10..11])
}

fn begun(s: u64) -> Event {
    Event::AttemptStarted { intended: at_s(s) }
}

fn connected(session_present: bool) -> Event {
    Event::Connected {
        intended: at_s(0),
        session_present,
    }
}

const LOST: Event = Event::Disconnected {
    cause: Cause::Reset,
};

fn totals(recorder: &mut Recorder) -> Totals {
    recorder.totals(at_s(45), &Audit::new(0, 2), Default::default())
}

#[test]
fn attempts_and_sessions_are_counted_in_their_episode() {
    let refused = Event::AttemptFailed {
        intended: at_s(0),
        cause: Cause::ConnAck(ConnectCode::ServerUnavailable),
        written: false,
    };
    let mut r = recorder();
    for device in 0..5 {
        r.record(at_s(0), device, &Event::PoweredOn);
        r.record(at_s(0), device, &begun(0));
        if device < 4 {
            // First connects are no reconnects, session or not.
            r.record(at_s(1), device, &connected(true));
        }
    }
    // Device 4 never had a connection, 0 loses it before the fault and tries once in the episode.
    r.record(at_s(4), 0, &LOST);
    r.record(at_s(5), 0, &begun(5));
    r.record(at_s(6), 1, &LOST);
    r.record(at_s(7), 1, &begun(7));
    r.record(at_s(8), 1, &refused);
    r.record(at_s(9), 1, &begun(9));
    // Before the clearing at 15 s: of the phase, not of the recovery.
    r.record(at_s(10), 1, &connected(true));
    r.record(at_s(15), 0, &connected(false));
    // Not persistent.
    r.record(at_s(16), 3, &LOST);
    r.record(at_s(17), 3, &begun(17));
    r.record(at_s(18), 3, &connected(true));
    // Power off is no loss of connection, and power on needs one.
    let stopped = Cause::DeviceStopped;
    r.record(at_s(19), 2, &Event::Disconnected { cause: stopped });
    r.record(at_s(19), 2, &Event::PoweredOff);
    // The next fault begins: its own count.
    r.record(at_s(25), 1, &LOST);
    r.record(at_s(36), 1, &connected(true));
    // After the run.
    r.record(at_s(41), 1, &LOST);
    r.record(at_s(41), 1, &begun(41));
    r.record(at_s(42), 1, &connected(true));
    let totals = totals(&mut r);
    let counts = |devices, attempts, reconnects, resumed| HerdCounts {
        devices,
        attempts,
        resumes: ResumeCounts {
            reconnects,
            resumed,
        },
    };
    assert_eq!(totals.herds, [counts(4, 4, 1, 0), counts(2, 0, 1, 1)]);
    let resumes = |reconnects, resumed| ResumeCounts {
        reconnects,
        resumed,
    };
    assert_eq!(totals.resumes, [resumes(2, 1), resumes(1, 1)]);

    let mut twice = Totals::default();
    twice.merge(&totals);
    twice.merge(&totals);
    assert_eq!(twice.herds, [counts(8, 8, 2, 0), counts(4, 0, 2, 2)]);
    assert_eq!(twice.resumes, [resumes(4, 2), resumes(2, 2)]);
}

#[test]
fn an_episode_in_which_nothing_happens_counts_who_was_down() {
    let mut r = recorder();
    for device in 60..70 {
        r.record(at_s(0), device, &Event::PoweredOn);
    }
    r.record(at_s(1), 64, &connected(false));
    let totals = totals(&mut r);
    let down = HerdCounts {
        devices: 9,
        ..HerdCounts::default()
    };
    assert_eq!(totals.herds, [down; 2]);
}
