//! Downloads over HTTP in virtual time: when pieces come, what breaks them, and what is refused.

use super::*;
use crate::device::path::HEADER_BYTES;
use crate::device::{Fetch, FetchEnd, backoff};
use crate::scenario::campaign::{Campaign, Firmware, Image, Order, Population, Rollout, Server};
use crate::scenario::plan::{Delay, Direction, Link, NetworkFault, Selector};
use crate::sim::desks::Staff;
use crate::stats::event::Cause;
use crate::stats::recorder::ErrorKind;
use crate::wire::image;
use std::num::NonZero;

const BYTES: u32 = 200_000;

/// A plan whose operator has an image; its campaign never begins by itself.
fn with_image(mut plan: Plan) -> Plan {
    plan.firmware = Firmware {
        attribute: "fw".into(),
        versions: vec!["1".into(), "2".into()],
    };
    plan.campaigns = vec![Campaign {
        name: "fw-2".into(),
        phase: 0,
        start: Duration::ZERO,
        server: Server::Operator,
        targets: Population::default(),
        image: Image {
            version: 1,
            bytes: BYTES,
            defects: Vec::new(),
        },
        priorities: Vec::new(),
        order: Order::Shuffled,
        rollout: Rollout::AtOnce,
        aborts: Vec::new(),
        in_progress_timeout: None,
        step_timeout: None,
        retries: 0,
        pauses: Vec::new(),
        cancel: None,
    }];
    plan
}

fn linked(mut plan: Plan, bandwidth_bps: Option<u64>) -> Plan {
    let direction = Direction {
        delay: Delay::Uniform {
            base: ms(20),
            jitter: Duration::ZERO,
        },
        loss: 0.0,
        bandwidth_bps: bandwidth_bps.and_then(NonZero::new),
    };
    plan.cohorts[0].link = Some(Link {
        preset: None,
        up: direction,
        down: direction,
    });
    plan
}

/// A run at T0 + 15 s, with one device and without the operator's own doings.
fn world(plan: Plan) -> World {
    let plan = Arc::new(with_image(plan));
    let mut world = World::new(&plan, &shape(&plan), 7);
    world.staff = Staff::default();
    world.begin(Instant::ZERO);
    go(&mut world, ms(15_000));
    world
}

/// Goes on until `after` T0.
fn go(world: &mut World, after: Duration) {
    let until = world.start().after(after);
    while world.now() < until {
        world.advance(1);
    }
}

fn fetch(world: &mut World, url: &str, offset: u32) -> Instant {
    let now = world.now();
    let url = url.to_owned();
    world.begin_fetch(now, 0, Fetch { url, offset });
    now
}

/// What the device got, and how long after `since`.
fn got(world: &World, since: Instant) -> Vec<(Duration, &str)> {
    let got = world.fetches.got.iter();
    got.map(|(at, _, what)| (at.since(since), what.as_str()))
        .collect()
}

fn end(world: &World, since: Instant) -> (Duration, &str) {
    *got(world, since).last().expect("something came")
}

fn image() -> image::Image {
    image::Image::new(42, "2", BYTES)
}

#[test]
fn an_image_comes_whole_after_handshake_and_request() {
    let mut world = world(plan(1, ms(5_000)));
    let began = fetch(&mut world, "/images/fw-2", 0);
    go(&mut world, ms(16_000));
    assert_eq!(world.fetches.bytes, image().bytes);
    let passage = |n: u32| n * LINK_DELAY;
    // A window of four pieces; each makes room for the next.
    let pieces: Vec<_> = (0..13u32)
        .map(|piece| {
            (
                passage(4 + piece / 4),
                if piece < 12 { "16384" } else { "3392" },
            )
        })
        .chain([(passage(7), "Complete")])
        .collect();
    assert_eq!(got(&world, began), pieces);
}

#[test]
fn a_download_takes_what_the_link_takes_for_its_bytes() {
    // 8 Mbit/s: a byte per microsecond.
    let mut world = world(linked(plan(1, ms(60_000)), Some(8_000_000)));
    let began = fetch(&mut world, "http://images.example/a/fw-2", 0);
    go(&mut world, ms(17_000));
    assert_eq!(world.fetches.bytes, image().bytes);
    let passages = 4 * (ms(20) + LINK_DELAY);
    let pieces = BYTES.div_ceil(4_096);
    let headers = (pieces + 3) * u32::try_from(HEADER_BYTES).expect("40");
    let bytes = BYTES + headers + 160;
    let (took, what) = end(&world, began);
    assert_eq!(what, "Complete");
    assert_eq!(took, passages + Duration::from_micros(bytes.into()));
}

#[test]
fn a_part_is_what_is_left_and_what_there_is_not_is_refused() {
    let mut world = world(plan(1, ms(5_000)));
    let table = [
        ("/images/fw-2", BYTES - 10, "Complete"),
        ("/images/fw-2", BYTES, "Refused(416)"),
        ("/images/fw-3", 0, "Refused(404)"),
        ("/", 0, "Refused(404)"),
        ("images/fw-2", 0, "BadUri"),
        ("http:///fw-2", 0, "BadUri"),
        ("ftp://a/fw-2", 0, "BadUri"),
    ];
    for (second, (url, offset, expected)) in (16_u64..).zip(table) {
        let began = fetch(&mut world, url, offset);
        go(&mut world, ms(second * 1_000));
        assert_eq!(end(&world, began).1, expected, "{url}");
    }
    assert_eq!(world.fetches.bytes, image().bytes[BYTES as usize - 10..]);
}

fn fault(plan: Plan, clear: Duration, fault: NetworkFault) -> Plan {
    let who = Selector::default();
    with(plan, ms(6_000), clear, FaultKind::Network { who, fault })
}

fn failures(world: World) -> Vec<(ErrorKind, u64)> {
    let errors = Simulation(world).finish().totals.errors;
    let errors = errors.into_iter().map(|error| (error.kind, error.count));
    errors
        .filter(|(kind, _)| matches!(kind, ErrorKind::Fetch(_)))
        .collect()
}

#[test]
fn an_outage_that_cuts_a_device_breaks_its_download_in_the_middle() {
    let reset = NetworkFault::Reset { within: ms(0) };
    let plan = fault(linked(plan(1, ms(60_000)), Some(800_000)), ms(9_000), reset);
    let mut world = world(plan);
    let began = fetch(&mut world, "/images/fw-2", 0);
    go(&mut world, ms(30_000));
    let (took, what) = end(&world, began);
    assert_eq!(what, "Broken");
    assert_eq!(began.after(took), world.start().after(ms(16_000)));
    let whole = image().bytes;
    let part = &world.fetches.bytes;
    // One second at 100 kB/s, less headers and passages.
    assert!((80_000..100_000).contains(&part.len()), "{}", part.len());
    assert!(whole.starts_with(part));
    let expected = vec![(ErrorKind::Fetch(Cause::Reset), 1)];
    assert_eq!(failures(world), expected);
}

#[test]
fn a_refusal_fails_a_download_that_begins_when_that_has_cost_its_time() {
    let plan = fault(plan(1, ms(60_000)), ms(9_000), NetworkFault::Refuse);
    let mut world = world(plan);
    go(&mut world, ms(17_000));
    let began = fetch(&mut world, "/images/fw-2", 0);
    go(&mut world, ms(30_000));
    let cost = backoff::attempt_cost(42, 0, 0);
    assert_eq!(got(&world, began), [(cost, "Broken")]);
    let expected = vec![(ErrorKind::Fetch(Cause::Refused), 1)];
    assert_eq!(failures(world), expected);
}

#[test]
fn a_blackhole_holds_a_download_and_breaks_it_if_it_lasts() {
    for (clear_ms, expected) in [(26_000, "Complete"), (50_000, "Broken")] {
        let slow = linked(plan(1, ms(60_000)), Some(800_000));
        let plan = fault(slow, ms(clear_ms), NetworkFault::Blackhole);
        let mut world = world(plan);
        let began = fetch(&mut world, "/images/fw-2", 0);
        go(&mut world, ms(65_000));
        let (took, what) = end(&world, began);
        assert_eq!(what, expected);
        let hole = world.start().after(ms(16_000));
        let whole = image().bytes;
        let in_hole = got(&world, hole).into_iter().filter(|(after, what)| {
            *what != "Broken" && !after.is_zero() && *after < ms(clear_ms - 6_000)
        });
        assert_eq!(in_hole.count(), 0, "nothing comes through");
        match expected {
            "Complete" => assert_eq!(world.fetches.bytes, whole),
            _ => {
                assert!(whole.starts_with(&world.fetches.bytes));
                // From the first piece that did not come.
                let gave_up = began.after(took).since(hole);
                assert!((ms(30_000)..ms(30_100)).contains(&gave_up), "{gave_up:?}");
                let expected = vec![(ErrorKind::Fetch(Cause::Unreachable), 1)];
                assert_eq!(failures(world), expected);
            }
        }
    }
}

#[test]
fn a_download_that_begins_in_a_blackhole_waits_for_its_syn() {
    for (clear_ms, expected) in [(9_000, "Complete"), (30_000, "Broken")] {
        let plan = fault(plan(1, ms(60_000)), ms(clear_ms), NetworkFault::Blackhole);
        let mut world = world(plan);
        go(&mut world, ms(16_500));
        let began = fetch(&mut world, "/images/fw-2", 0);
        go(&mut world, ms(45_000));
        let (took, what) = end(&world, began);
        assert_eq!(what, expected);
        match expected {
            // The SYN goes again after 1 and 3 s.
            "Complete" => assert_eq!(took, ms(3_000) + 7 * LINK_DELAY),
            _ => assert_eq!(took, ms(10_000)),
        }
    }
}

#[test]
fn a_download_that_is_stopped_replaced_or_has_lost_its_device_is_over() {
    let slow = || linked(plan(1, ms(60_000)), Some(800_000));
    let enders: [&dyn Fn(&mut World); 2] = [&|world| world.stop_fetch(0), &|world| {
        world.cut_power(world.now(), 0)
    }];
    for over in enders {
        let mut world = world(slow());
        fetch(&mut world, "/images/fw-2", 0);
        go(&mut world, ms(16_000));
        let before = world.fetches.got.len();
        assert!(before > 0);
        over(&mut world);
        go(&mut world, ms(40_000));
        assert_eq!(world.fetches.got.len(), before);
    }
    let mut world = world(slow());
    fetch(&mut world, "/images/fw-2", 0);
    go(&mut world, ms(16_000));
    world.fetches.bytes.clear();
    let again = fetch(&mut world, "/images/fw-2", 100_000);
    go(&mut world, ms(40_000));
    assert_eq!(end(&world, again).1, format!("{:?}", FetchEnd::Complete));
    assert_eq!(world.fetches.bytes, image().bytes[100_000..]);
}
