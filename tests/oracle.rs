//! The client session against an independent one, `mqtt_protocol_core`: the same operations, the same
//! server, the same losses and cuts, and after each step the same bytes, exchanges and deliveries.

mod oracle_pair;

use fleetstorm::mqtt::packet::QoS;
use fleetstorm::mqtt::session::HELD_MAX;
use oracle_pair::pair::{Pair, Step, Tally};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::Cell;

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![
        1 => Just(QoS::AtMostOnce),
        3 => Just(QoS::AtLeastOnce),
        6 => Just(QoS::ExactlyOnce),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0usize..8;
    prop_oneof![
        24 => (qos(), any::<bool>()).prop_map(|(qos, retain)| Step::Publish(qos, retain)),
        3 => (1u8..4).prop_map(Step::Subscribe),
        2 => Just(Step::Unsubscribe),
        6 => prop_oneof![0u64..5_000, 0u64..70_000].prop_map(Step::Wait),
        2 => Just(Step::TimeOut),
        24 => prop_oneof![2 => Just(100u8), 1 => 0u8..100].prop_map(Step::Read),
        40 => (which.clone(), proptest::option::weighted(0.2, 0usize..20))
            .prop_map(|(which, split)| Step::Send(which, split)),
        3 => which.clone().prop_map(Step::Lose),
        3 => which.clone().prop_map(Step::Twice),
        10 => qos().prop_map(Step::Message),
        5 => which.prop_map(Step::Repeat),
        4 => (0usize..200, 0usize..200).prop_map(|(up, down)| Step::Cut(up, down)),
        16 => prop::bool::weighted(0.15).prop_map(Step::Connect),
        1 => Just(Step::PowerCut),
    ]
}

/// A life of up to `most` steps: the first connection is there. One in four meets a server that
/// also lies.
fn life(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let lie = (any::<u8>(), 0u16..12).prop_map(|(kind, back)| Step::Lie(kind, back));
    let honest = proptest::collection::vec(step(), 1..most);
    let lying = proptest::collection::vec(prop_oneof![19 => step(), 1 => lie], 1..most);
    prop_oneof![3 => honest, 1 => lying]
}

fn live(clean: bool, window: u16, steps: &[Step]) -> Tally {
    let mut pair = Pair::new(clean, window);
    pair.step(&Step::Connect(false));
    for step in steps {
        pair.step(step);
    }
    pair.finish();
    pair.tally
}

/// Runs lives with a fixed seed until they have `steps` steps, and shrinks one that differs.
fn run(cases: u32, most: usize, steps: u64) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let total = Cell::new(Tally::default());
    let strategy = (prop::bool::weighted(0.2), 1u16..6, life(most));
    let result = runner.run(&strategy, |(clean, window, steps)| {
        let lived = std::panic::catch_unwind(|| live(clean, window, &steps));
        let tally = lived.map_err(|_| TestCaseError::fail("they differ: see the panic above"))?;
        total.set(total.get().and(&tally));
        Ok(())
    });
    result.unwrap_or_else(|difference| panic!("{difference}"));
    let total = total.get();
    eprintln!("{total:?}");
    assert!(total.steps >= steps, "{total:?}");
    let paths = [
        total.completed,
        total.delivered,
        total.duplicates,
        total.resent,
        total.unexpected,
        total.violations,
        total.pings,
        total.dead,
        total.late,
        total.abandoned,
    ];
    assert!(paths.iter().all(|times| *times > 0), "{total:?}");
}

#[test]
fn both_clients_live_the_same_life() {
    run(600, 200, 25_000);
}

#[test]
#[ignore = "a million steps want release speed"]
fn both_clients_live_the_same_life_for_a_million_steps() {
    run(20_000, 250, 1_000_000);
}

/// Everything that a client does, once or twice, in about 900 bytes upwards.
fn script() -> Vec<Step> {
    use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
    let read = || Step::Read(100);
    let send = |which| Step::Send(which, None);
    vec![
        Step::Connect(false),
        Step::Subscribe(2),
        read(),
        send(0),
        Step::Publish(ExactlyOnce, false),
        Step::Publish(AtLeastOnce, true),
        Step::Publish(ExactlyOnce, false),
        read(),
        send(2),
        send(0),
        read(),
        Step::Publish(AtMostOnce, false),
        Step::Message(ExactlyOnce),
        send(0),
        send(0),
        Step::Publish(ExactlyOnce, false),
        Step::Message(AtLeastOnce),
        send(0),
        send(1),
        read(),
        Step::Repeat(0),
        send(0),
        Step::TimeOut,
        Step::Publish(AtLeastOnce, false),
        read(),
        send(3),
        Step::Unsubscribe,
        Step::Publish(ExactlyOnce, true),
        read(),
        send(0),
        send(0),
        Step::Message(ExactlyOnce),
        send(2),
        send(0),
        read(),
        Step::Wait(65_000),
        read(),
        send(0),
        send(0),
        send(0),
        Step::Publish(ExactlyOnce, false),
        read(),
        send(0),
        read(),
        send(0),
    ]
}

/// Runs the script with the first connection cut after so many bytes up or down. The next one comes
/// at once, and the server still has the session or has forgotten it.
fn cut_at(clean: bool, up: Option<usize>, down: Option<usize>, forget: bool) -> Pair {
    let mut pair = Pair::new(clean, 8);
    (pair.up_left, pair.down_left) = (up, down);
    for step in &script() {
        let was_up = pair.is_up();
        pair.step(step);
        if was_up && !pair.is_up() {
            pair.step(&Step::Connect(forget));
        }
    }
    pair.finish();
    pair
}

#[test]
fn a_connection_may_be_cut_at_every_byte_in_either_direction() {
    let whole = cut_at(false, None, None, false);
    let (up, down) = (whole.passed_up, whole.passed_down);
    assert!(up > 150 && down > 100, "{up} bytes up, {down} down");
    for (clean, forget) in [(false, false), (false, true), (true, false)] {
        for at in 0..=up {
            whole_story(&cut_at(clean, Some(at), None, forget), clean || forget);
        }
        for at in 0..=down {
            whole_story(&cut_at(clean, None, Some(at), forget), clean || forget);
        }
    }
}

/// With a session that lasts, each publish of QoS 2 arrived once and each of QoS 1 at least once.
fn whole_story(pair: &Pair, session_lost: bool) {
    let (once, at_least_once) = pair.published();
    assert!(session_lost || pair.not_once(QoS::ExactlyOnce, once) == 0);
    assert!(session_lost || pair.not_once(QoS::AtLeastOnce, at_least_once) == 0);
    let more_than_once = once
        .iter()
        .filter(|number| pair.model.accepted.get(number) > Some(&1));
    assert_eq!(more_than_once.count(), 0, "even then not twice");
}

/// Identifiers come round after 65 535 publishes, and those that are still held are passed over.
/// The oracle refuses an identifier that is in use.
#[test]
fn held_identifiers_are_passed_over_when_the_numbers_come_round() {
    let mut pair = Pair::new(false, 4);
    pair.step(&Step::Connect(false));
    for _ in 0..4 {
        pair.step(&Step::Publish(QoS::ExactlyOnce, false));
        // Answered by PUBREC at most, and timed out.
        pair.step(&Step::Read(100));
        pair.step(&Step::Send(0, None));
        pair.step(&Step::Read(100));
        pair.step(&Step::Lose(0));
        pair.step(&Step::TimeOut);
    }
    for _ in 0..66_000 {
        pair.step(&Step::Publish(QoS::AtLeastOnce, false));
        pair.step(&Step::Read(100));
        pair.step(&Step::Send(0, None));
    }
    assert_eq!(pair.tally.completed, 66_000);
    pair.finish();
    assert_eq!(pair.tally.completed, 66_004);
}

/// With all identifiers held that may be, nothing more is begun until something ends.
#[test]
fn a_client_whose_publishes_all_time_out_stops_at_the_bound() {
    let mut pair = Pair::new(false, 4);
    pair.step(&Step::Connect(false));
    for _ in 0..HELD_MAX + 10 {
        pair.step(&Step::Publish(QoS::ExactlyOnce, false));
        pair.step(&Step::TimeOut);
    }
    assert_eq!(pair.tally.held_up, 10);
    pair.step(&Step::PowerCut);
    pair.step(&Step::Connect(false));
    pair.step(&Step::Publish(QoS::AtLeastOnce, false));
    assert_eq!(pair.tally.held_up, 11, "abandoned ones are held as well");
    pair.finish();
    assert_eq!(pair.tally.abandoned, HELD_MAX as u64);
    pair.step(&Step::Publish(QoS::AtLeastOnce, false));
    assert_eq!(pair.tally.held_up, 11);
}
