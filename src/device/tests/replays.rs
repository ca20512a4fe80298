//! What a replay must find, and what a record must not hold.

use super::*;
use crate::device::payload::Scratch;
use crate::device::record::{Record, RecordedInput, RecordedOutput, Wire};
use crate::device::replay::{Replay, ReplayError};
use crate::scenario::plan::{Auth, BrokerUrl, Brokers, Secret, Target, Topology};
use crate::scenario::template::{Segment, Template};

fn at(seconds: u64) -> Instant {
    Instant::ZERO.after(Duration::from_secs(seconds))
}

/// Power-on to the PUBACK of the second message.
fn records(plan: Plan) -> Vec<Record> {
    let mut device = device(plan);
    let script = [
        (0, Input::PowerOn),
        (0, Input::Timeout),
        (1, Input::Opened),
        (2, conn_ack(false)),
        (3, pub_ack(1)),
        (10, Input::Timeout),
        (11, pub_ack(2)),
        (12, Input::Closed(Cause::Reset)),
        (17, Input::Timeout),
    ];
    let mut scratch = Scratch::default();
    let mut records = Vec::new();
    for (seconds, input) in script {
        let mut out = Vec::new();
        device.handle_input(at(seconds), input.clone(), &mut out);
        records.push(device.record(at(seconds), &input, &out, &mut scratch));
    }
    records
}

/// Feeds all until an error.
fn replay(plan: Plan, run: u32, records: &[Record]) -> Result<(), ReplayError> {
    let mut replay = Replay::new(&Arc::new(plan), run, Instant::ZERO);
    records.iter().try_for_each(|record| replay.feed(record))
}

fn difference(result: Result<(), ReplayError>) -> String {
    let Err(ReplayError::Differs(difference)) = &result else {
        panic!("no difference: {result:?}");
    };
    difference.to_string()
}

#[test]
fn what_differs_is_named() {
    let good = records(plan());
    assert_eq!(replay(plan(), 7, &good), Ok(()));
    // Record 3 is the CONNACK, which lets the first message go; record 5 is when the second is due.
    type Change = fn(&mut Vec<Record>);
    let changes: [(Change, &str); 7] = [
        (
            |r| r[5].now = r[5].now.after_ns(1),
            "\"sent\":10000000000,\"replayed\":false}}} in the run",
        ),
        (
            |r| {
                r[3].outputs.pop();
            },
            "was nothing in the run, is {\"event\":{\"sent\"",
        ),
        (
            |r| r[3].outputs.push(RecordedOutput::Open),
            "was \"open\" in the run, is nothing in the replay",
        ),
        (
            |r| {
                let packet = r[5].outputs.iter_mut().find_map(|output| match output {
                    RecordedOutput::Packet(Wire(bytes)) => Some(bytes),
                    RecordedOutput::Open
                    | RecordedOutput::Close
                    | RecordedOutput::Unencodable(_)
                    | RecordedOutput::Fetch(..)
                    | RecordedOutput::StopFetch
                    | RecordedOutput::Result(_)
                    | RecordedOutput::Event(_) => None,
                });
                let bytes = packet.expect("a message is put out");
                *bytes.last_mut().expect("not empty") ^= 1;
            },
            "device 0 at 10.000000000s",
        ),
        (
            |r| r[6].deadline = None,
            "the next deadline was never in the run, is 20.000000000s in the replay",
        ),
        (
            |r| r[6].input = RecordedInput::Received(Wire(vec![0x40, 2, 0, 1])),
            "device 0 at 11.000000000s",
        ),
        (
            |r| {
                r.remove(5);
            },
            "device 0 at 11.000000000s",
        ),
    ];
    for (change, expected) in changes {
        let mut changed = good.clone();
        change(&mut changed);
        let text = difference(replay(plan(), 7, &changed));
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn another_plan_run_or_fleet_is_found() {
    let good = records(plan());
    // The stamp in each payload names the run, the value is drawn from the seed.
    difference(replay(plan(), 8, &good));
    let mut other = plan();
    other.seed += 1;
    difference(replay(other, 7, &good));

    let mut strange = good.clone();
    strange[0].device = 1;
    assert_eq!(
        replay(plan(), 7, &strange),
        Err(ReplayError::NotInTheFleet(1))
    );
    let mut broken = good;
    broken[3].input = RecordedInput::Received(Wire(vec![0x20, 2, 0]));
    assert_eq!(
        replay(plan(), 7, &broken),
        Err(ReplayError::NotAPacket(0, at(2)))
    );
}

#[test]
fn secrets_stay_out_and_are_not_needed() {
    let with_password = |password: &str| {
        let mut plan = plan();
        plan.target = Target::Brokers(Brokers {
            urls: vec![BrokerUrl {
                host: "h".into(),
                port: 1883,
            }],
            topology: Topology::Independent,
            auth: Auth {
                username: Some(Template(vec![Segment::Literal("somebody".into())])),
                password: Some(Template(vec![Segment::Secret(Secret(password.into()))])),
                tokens: Vec::new(),
            },
        });
        plan
    };
    let records = records(with_password("hunter2"));
    let RecordedOutput::Packet(Wire(bytes)) = &records[2].outputs[0] else {
        panic!("no CONNECT: {:?}", records[2]);
    };
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(b"meters-0") && !has(b"hunter2") && !has(b"somebody"));
    // That there is a user name and a password is compared.
    assert_eq!(replay(with_password(""), 7, &records), Ok(()));
    let mut without = with_password("");
    let Target::Brokers(brokers) = &mut without.target else {
        unreachable!("just made");
    };
    brokers.auth = Auth::default();
    difference(replay(without, 7, &records));
}
