//! Store-and-forward: what an outage drops, in which order and at which pace the rest is written, and
//! what holds whatever comes.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the events that it looks at"
)]

use super::*;
use crate::scenario::plan::{DrainOrder, First, Store, WhenFull};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const STORE: Store = Store {
    messages: 3,
    age: None,
    when_full: WhenFull::DropOldest,
    drain_gap: None,
    order: DrainOrder::OldestFirst,
    first: First::Live,
};

fn seconds(seconds: u64) -> Instant {
    Instant::from_ns(seconds * 1_000_000_000)
}

fn stored(store: Store) -> Plan {
    let mut plan = plan();
    plan.cohorts[0].store = Some(store);
    plan
}

/// A device whose server answers at once while it is there.
struct World {
    device: Device,
    there: bool,
    events: Vec<(Instant, Event)>,
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut world = Self {
            device: device(plan),
            there: true,
            events: Vec::new(),
        };
        world.step(Instant::ZERO, Input::PowerOn);
        world
    }

    fn step(&mut self, now: Instant, input: Input<'static>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.device.handle_input(now, input, &mut out);
            for output in out {
                match output {
                    Output::Open if self.there => inputs.push_back(Input::Opened),
                    Output::Open => inputs.push_back(Input::Closed(Cause::Refused)),
                    Output::Send(Packet::Connect(_)) => inputs.push_back(conn_ack(false)),
                    Output::Telemetry(sent) if sent.packet_id > 0 => {
                        inputs.push_back(pub_ack(sent.packet_id));
                    }
                    Output::Event(event) => self.events.push((now, event)),
                    Output::Send(Packet::PingReq) => {
                        inputs.push_back(Input::Received(Packet::PingResp));
                    }
                    Output::Fetch(_) | Output::StopFetch | Output::Result(_) => {}
                    Output::Close | Output::Send(_) | Output::Publish(_) | Output::Telemetry(_) => {
                    }
                }
            }
        }
    }

    /// Hands over all deadlines before `end`.
    fn until(&mut self, end: Instant) {
        while self.device.poll_timeout() < end {
            self.step(self.device.poll_timeout(), Input::Timeout);
        }
    }

    /// No server from 15 s to 75 s, in which the samples 2 to 7 of each stream come due.
    fn outage(plan: Plan, back: u64, end: u64) -> Self {
        let mut world = Self::new(plan);
        world.until(seconds(15));
        world.there = false;
        world.step(seconds(15), Input::Closed(Cause::Reset));
        world.until(seconds(back));
        world.there = true;
        world.until(seconds(end));
        world
    }

    /// What was written from 15 s on, and when.
    fn sent(&self) -> String {
        let sent = self.events.iter().filter_map(|(at, event)| match event {
            Event::Sent { op, replayed, .. } if *at > seconds(15) => {
                let replayed = if *replayed { "'" } else { "" };
                Some(format!(
                    "{}{replayed}@{}",
                    name(op),
                    at.ns() / 1_000_000_000
                ))
            }
            _ => None,
        });
        sent.collect::<Vec<_>>().join(" ")
    }

    /// What was dropped, and when.
    fn dropped(&self) -> String {
        let dropped = self.events.iter().filter_map(|(at, event)| match event {
            Event::Unsent(op, Unsent::DroppedByPolicy) => {
                Some(format!("{}@{}", name(op), at.ns() / 1_000_000_000))
            }
            _ => None,
        });
        dropped.collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn each_policy_and_order_does_what_it_says() {
    let ten = Some(Duration::from_secs(10));
    let cases = [
        (
            STORE,
            "a2@50 a3@60 a4@70",
            "a5'@75 a6'@75 a7'@75 a8@80 a9@90 a10@100",
        ),
        (
            Store {
                when_full: WhenFull::DropNewest,
                ..STORE
            },
            "a5@50 a6@60 a7@70",
            "a2'@75 a3'@75 a4'@75 a8@80 a9@90 a10@100",
        ),
        (
            Store {
                order: DrainOrder::NewestFirst,
                ..STORE
            },
            "a2@50 a3@60 a4@70",
            "a7'@75 a6'@75 a5'@75 a8@80 a9@90 a10@100",
        ),
        (
            Store {
                drain_gap: ten,
                ..STORE
            },
            "a2@50 a3@60 a4@70",
            "a5'@75 a8@80 a6'@85 a9@90 a7'@95 a10@100",
        ),
        (
            Store {
                drain_gap: ten,
                order: DrainOrder::NewestFirst,
                ..STORE
            },
            "a2@50 a3@60 a4@70",
            "a7'@75 a8@80 a6'@85 a9@90 a5'@95 a10@100",
        ),
        // What comes due goes to the end of the queue, where there is room again.
        (
            Store {
                drain_gap: ten,
                first: First::Backlog,
                ..STORE
            },
            "a2@50 a3@60 a4@70",
            "a5'@75 a6'@85 a7'@95 a8@95 a9@95 a10@100",
        ),
        (
            Store {
                messages: 1_000,
                age: Some(Duration::from_secs(32)),
                ..STORE
            },
            "a2@52 a3@62 a4@72",
            "a5'@75 a6'@75 a7'@75 a8@80 a9@90 a10@100",
        ),
        // The age also holds while the backlog is written.
        (
            Store {
                messages: 1_000,
                age: Some(Duration::from_secs(32)),
                drain_gap: ten,
                ..STORE
            },
            "a2@52 a3@62 a4@72",
            "a5'@75 a8@80 a6'@85 a9@90 a7'@95 a10@100",
        ),
    ];
    for (store, dropped, sent) in cases {
        let world = World::outage(stored(store), 75, 105);
        assert_eq!(world.dropped(), dropped, "{store:?}");
        assert_eq!(world.sent(), sent, "{store:?}");
    }
}

#[test]
fn the_oldest_of_the_lowest_priority_goes() {
    let mut plan = stored(Store {
        when_full: WhenFull::DropByPriority,
        ..STORE
    });
    plan.streams[0].priority = 10;
    add_stream(&mut plan, |stream| stream.priority = 200);
    let world = World::outage(plan, 75, 76);
    let dropped = "a2@30 a3@40 a4@40 a5@50 b2@50 a6@60 b3@60 a7@70 b4@70";
    assert_eq!(world.dropped(), dropped);
    assert_eq!(world.sent(), "b5'@75 b6'@75 b7'@75");
}

/// Ten minutes without a server at a sample each 10 s: of 60 samples the store of 30 keeps 30, and at
/// 5/s the last of them is written 29 gaps of 200 ms after the reconnect.
#[test]
fn ten_minutes_fill_a_store_of_thirty_and_drain_in_closed_form() {
    let plan = stored(Store {
        messages: 30,
        drain_gap: Some(Duration::from_millis(200)),
        ..STORE
    });
    let world = World::outage(plan, 615, 700);
    assert_eq!(world.dropped().split(' ').count(), 30);
    let replayed: Vec<(Instant, u32)> = (world.events.iter())
        .filter_map(|(at, event)| match event {
            Event::Sent {
                op, replayed: true, ..
            } if *at > seconds(15) => Some((*at, op.seq)),
            _ => None,
        })
        .collect();
    let wanted: Vec<(Instant, u32)> = (0..30)
        .map(|i| (seconds(615).after_ns(u64::from(i) * 200_000_000), 32 + i))
        .collect();
    assert_eq!(replayed, wanted);
}

/// Each lost connection in the middle of a drain leaves a gap where a sample overtook the backlog.
#[test]
fn too_many_gaps_cost_the_oldest_samples_and_are_counted() {
    let plan = stored(Store {
        messages: 1_000,
        drain_gap: Some(Duration::from_secs(100_000)),
        ..STORE
    });
    let mut world = World::new(plan);
    for round in 0..70 {
        // Sample 3 * round + 1 overtakes; the next two wait.
        world.there = true;
        world.until(seconds(30 * round + 15));
        world.there = false;
        world.step(seconds(30 * round + 15), Input::Closed(Cause::Reset));
        world.until(seconds(30 * round + 35));
    }
    let limits = (world.events.iter())
        .filter(|(_, event)| *event == Event::LimitReached(Limit::StoredRuns))
        .count();
    assert!((1..=10).contains(&limits), "{limits}");
    assert!(world.dropped().starts_with("a2@"), "{}", world.dropped());
    let waiting = world.device.waiting();
    assert!(waiting.is_sorted_by(|a, b| a.seq < b.seq), "{waiting:?}");
}

#[test]
fn what_waits_in_the_store_goes_with_the_power() {
    let mut world = World::outage(stored(STORE), 71, 71);
    assert_eq!(world.device.waiting().len(), 3);
    world.step(seconds(72), Input::PowerOff);
    assert!(world.device.waiting().is_empty());
    let off = |(_, event): &&(Instant, Event)| matches!(event, Event::Unsent(_, Unsent::DeviceOff));
    assert_eq!(world.events.iter().filter(off).count(), 3);
}

fn store() -> impl Strategy<Value = Store> {
    let when_full = prop_oneof![
        Just(WhenFull::DropOldest),
        Just(WhenFull::DropNewest),
        Just(WhenFull::DropByPriority)
    ];
    let order = prop_oneof![Just(DrainOrder::OldestFirst), Just(DrainOrder::NewestFirst)];
    let first = prop_oneof![Just(First::Live), Just(First::Backlog)];
    let span = |range: std::ops::Range<u64>| prop::option::of(range.prop_map(Duration::from_secs));
    (1u32..12, span(5..200), when_full, span(1..40), order, first).prop_map(
        |(messages, age, when_full, drain_gap, order, first)| Store {
            messages,
            age,
            when_full,
            drain_gap,
            order,
            first,
        },
    )
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let phase = prop_oneof![
        Just(PhaseShape::Uniform),
        Just(PhaseShape::Boot),
        Just(PhaseShape::Aligned {
            jitter: Duration::from_secs(3)
        })
    ];
    let every = (2u64..20, phase).prop_map(|(period, phase)| Schedule::Every {
        period: Duration::from_secs(period.max(4)),
        phase,
    });
    let poisson = (4u64..20).prop_map(|mean| Schedule::Poisson {
        mean_gap: Duration::from_secs(mean),
    });
    prop_oneof![every, poisson]
}

proptest! {
    #[test]
    fn the_last_of_a_run_is_where_walking_ends(schedule in schedule(), steps in 0u32..50) {
        let mut plan = plan();
        plan.streams[0].schedule = schedule;
        let pacer = pacer::Pacer { plan: &plan, stream: 0, device: 0, boot: 1, start: Instant::ZERO };
        let first = pacer.next(pacer.first(seconds(7)));
        let walked = (0..steps).fold(first, |cursor, _| pacer.next(cursor));
        prop_assert_eq!(pacer.last_before(first, first.seq + 1 + steps), walked);
    }

    /// Books balance, the bound holds, no sample is written twice or at another instant than its own,
    /// none is written that is too old, and per connection each kind keeps its order.
    #[test]
    fn a_store_keeps_its_promises(
        store in store(),
        schedules in prop::collection::vec((schedule(), 0u8..3), 1..4),
        spells in prop::collection::vec(1u64..120, 1..12),
    ) {
        let mut plan = stored(store);
        for (index, (schedule, priority)) in schedules.into_iter().enumerate() {
            if index > 0 {
                add_stream(&mut plan, |_| {});
            }
            plan.streams[index].schedule = schedule;
            plan.streams[index].priority = priority;
        }
        let mut world = World::new(plan);
        let mut now = 0;
        for spell in spells {
            now += spell;
            while world.device.poll_timeout() < seconds(now) {
                world.step(world.device.poll_timeout(), Input::Timeout);
                prop_assert!(world.device.waiting().len() <= store.messages as usize);
            }
            world.there = !world.there;
            if !world.there && world.device.is_connected() {
                world.step(seconds(now), Input::Closed(Cause::Reset));
            }
        }
        check(&world, &store)?;
    }
}

fn check(world: &World, store: &Store) -> Result<(), TestCaseError> {
    let (mut open, mut last) = (BTreeMap::new(), BTreeMap::new());
    let mut paced: Option<Instant> = None;
    for (at, event) in &world.events {
        match *event {
            Event::Planned(op) => {
                prop_assert!(open.insert((op.stream, op.seq), op.intended).is_none());
            }
            Event::Connected { .. } => last.clear(),
            Event::Unsent(op, why) => {
                prop_assert_eq!(why, Unsent::DroppedByPolicy);
                prop_assert_eq!(open.remove(&(op.stream, op.seq)), Some(op.intended));
            }
            Event::Sent { op, replayed, .. } => {
                prop_assert_eq!(open.remove(&(op.stream, op.seq)), Some(op.intended));
                prop_assert!(store.age.is_none_or(|age| at.since(op.intended) < age));
                let before = last.insert((op.stream, replayed), op.seq);
                let newest = replayed && store.order == DrainOrder::NewestFirst;
                prop_assert!(
                    before.is_none_or(|before| (op.seq < before) == newest),
                    "{op:?} at {at:?} after {before:?} in {:?}",
                    world.sent()
                );
                if let (true, Some(gap)) = (replayed, store.drain_gap) {
                    prop_assert!(paced.is_none_or(|before| at.since(before) >= gap));
                    paced = Some(*at);
                }
            }
            _ => {}
        }
    }
    let mut waiting: Vec<_> = world.device.waiting();
    waiting.sort_by_key(|op| (op.stream, op.seq));
    let waiting: Vec<_> = waiting
        .iter()
        .map(|op| ((op.stream, op.seq), op.intended))
        .collect();
    prop_assert_eq!(waiting, open.into_iter().collect::<Vec<_>>());
    Ok(())
}
