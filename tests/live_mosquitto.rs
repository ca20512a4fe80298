//! Against a broker of others: the program's live path on a Mosquitto of the test's own. Its log must
//! be free of complaints, and an independent client must see what the report says.

mod mosquitto;
mod outages;
mod program;
mod resets;

use mosquitto::{Message, Mosquitto, Outsider};
use program::{Bench, Finished};
use resets::{Cuts, Network};
use rumqttc::QoS;
use serde_json::Value;
use std::collections::HashMap;
use std::process::Child;

/// One fleet with all that a client of MQTT 3.1.1 can do. Client identifiers are those of the
/// devices, so that the broker's log can be read.
const TEXT: &str = r#"
name: interop
seed: 9
fleet:
  - cohort: meters
    devices: 20
    client: { client_id: "{device}", keep_alive: 5s, inflight: 4, backoff: { fixed: 100ms } }
    session: { clean: false, will: { topic: "s/{device}/state", payload: "gone", qos: 2, retain: true } }
    on_connect:
      - { subscribe_many: [ { topic: "s/{device}/cmd", qos: 2 }, { topic: "g/+/{device}", qos: 1 }, { topic: "g/all/#" } ] }
      - { unsubscribe: [ "g/all/#", "g/never/asked" ] }
      - { publish: { topic: "s/{device}/state", payload: "here", qos: 2, retain: true } }
    telemetry:
      - { stream: beat, topic: "t/{device}/beat", qos: 0, every: 200ms, payload: { bytes: 60 } }
      - { stream: power, topic: "t/{device}/power", qos: 1, every: 200ms, payload: { bytes: 60 } }
      - { stream: bill, topic: "t/{device}/bill", qos: 2, every: 200ms, payload: { bytes: 60 } }
phases:
  - { name: ramp, power_on: { rate: 100/s } }
  - { name: steady, for: STEADY }
slos:
  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }
"#;

fn bench(steady: &str) -> Bench {
    Bench::new("run", &TEXT.replace("STEADY", steady))
}

/// Starts a run against `url`, to be looked at while it goes on.
fn begin(bench: &Bench, url: &str, arguments: &[&str]) -> Child {
    let mut all = vec!["--target", url, "--workers", "1"];
    all.extend(arguments);
    bench
        .command(&all)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Waits for the end of a run that was begun.
fn end(bench: &Bench, child: Child) -> Finished {
    let output = child.wait_with_output().expect("it was started here");
    bench.finish(&output)
}

/// Runs to the end.
fn run(bench: &Bench, url: &str, arguments: &[&str]) -> Finished {
    bench.run(&[&["--target", url, "--workers", "1"], arguments].concat())
}

/// Nothing was lost or doubled, and all is acknowledged. Whether a busy machine made it late is not
/// asked here.
fn must_be_sound(run: &Finished) {
    assert!(
        matches!(run.code, Some(0 | 4)),
        "{:?} {}",
        run.code,
        run.said
    );
    let (counts, delivery) = (&run.report["counts"], &run.report["delivery"]);
    assert_eq!(counts["balanced"], true, "{counts:#}");
    for nothing in ["timed_out", "failed", "in_flight", "waiting", "skipped"] {
        assert_eq!(counts[nothing], 0, "{nothing}: {counts:#}");
    }
    for nothing in [
        "lost",
        "duplicated",
        "unverified",
        "unresolved",
        "corrupt",
        "foreign",
    ] {
        assert_eq!(delivery[nothing], 0, "{nothing}: {delivery:#}");
    }
    let acked = number(counts, "acked");
    assert!(acked > 100, "{counts:#}");
    assert_eq!(acked + number(counts, "written"), number(counts, "planned"));
    assert_eq!(number(delivery, "verified_acks"), acked, "{delivery:#}");
}

fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or_else(|| panic!("no {key}"))
}

/// A figure of the books of one stream.
fn of_stream(run: &Finished, stream: &str, key: &str) -> u64 {
    let streams = run.report["counts"]["streams"].as_array().expect("a list");
    let named = |s: &&Value| s["name"] == format!("meters/{stream}");
    number(streams.iter().find(named).expect("it has books"), key)
}

/// How often each message came; a payload names its device, stream and number.
fn copies(messages: &[Message]) -> HashMap<(&str, &[u8]), u32> {
    let mut copies = HashMap::new();
    for message in messages {
        let key = (message.topic.as_str(), message.payload.as_slice());
        *copies.entry(key).or_default() += 1;
    }
    copies
}

#[test]
fn each_qos_arrives_as_it_promises_and_the_books_are_those_of_the_broker() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    let outsider = Outsider::connect(broker.port, "outsider");
    outsider.subscribe("t/#", QoS::ExactlyOnce);
    let bench = bench("2s");
    let run = run(&bench, &broker.url(), &[]);
    must_be_sound(&run);
    let planned = usize::try_from(number(&run.report["counts"], "planned")).expect("few");
    outsider
        .messages
        .wait("each message", |m| m.len() >= planned);
    for (stream, qos, end) in [
        ("beat", 0, "written"),
        ("power", 1, "acked"),
        ("bill", 2, "acked"),
    ] {
        let heard: Vec<Message> = outsider.heard("t/");
        let heard: Vec<Message> = heard
            .into_iter()
            .filter(|m| m.topic.ends_with(stream))
            .collect();
        assert!(heard.iter().all(|m| m.qos == qos && !m.retain), "{stream}");
        assert_eq!(heard.len() as u64, of_stream(&run, stream, end), "{stream}");
        assert!(copies(&heard).values().all(|n| *n == 1), "{stream}");
    }
    let bills = usize::try_from(of_stream(&run, "bill", "acked")).expect("few");
    // Each device has told its state once, at QoS 2 too.
    for word in [
        "Sending PUBREC to meters-",
        "Received PUBREL from meters-",
        "Sending PUBCOMP to meters-",
    ] {
        assert_eq!(broker.said(&[word]), bills + 20, "{word}");
    }
    assert_eq!(broker.said(&["Received PUBLISH from meters-", "d1"]), 0);
    broker.must_be_content();
}

#[test]
fn sessions_resume_after_resets_at_any_byte() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    let cuts = Cuts {
        from: 60,
        below: 2000,
        limit: 100,
    };
    let network = Network::start(broker.port, cuts);
    let outsider = Outsider::connect(broker.port, "outsider");
    outsider.subscribe("t/+/bill", QoS::ExactlyOnce);
    let bench = bench("6s");
    let run = run(&bench, &network.url(), &[]);
    must_be_sound(&run);
    assert_eq!(network.cut(), cuts.limit);
    assert!(number(&run.report["counts"], "retransmitted") > 0);
    let bills = of_stream(&run, "bill", "acked");
    outsider
        .messages
        .wait("each bill", |m| m.len() as u64 >= bills);
    let heard = outsider.heard("t/");
    assert_eq!(copies(&heard).len() as u64, bills);
    assert_eq!(heard.len() as u64, bills, "a QoS 2 message came twice");
    // Sessions were there, and unfinished exchanges of both halves went on in them.
    assert!(broker.said(&["Sending CONNACK to meters-", "(1, 0)"]) > 20);
    assert!(broker.said(&["Received PUBLISH from meters-", "(d1, q1"]) > 0);
    assert!(broker.said(&["Received PUBLISH from meters-", "(d1, q2"]) > 0);
    let released = broker.said(&["Received PUBREL from meters-"]) as u64;
    assert!(released > bills, "no PUBREL was ever written again");
    broker.must_be_content();
}

#[test]
fn a_will_fires_when_a_connection_is_cut_and_not_on_a_disconnect() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    let cuts = Cuts {
        from: 400,
        below: 3000,
        limit: 10,
    };
    let network = Network::start(broker.port, cuts);
    let outsider = Outsider::connect(broker.port, "outsider");
    outsider.subscribe("s/+/state", QoS::ExactlyOnce);
    let bench = bench("3s");
    must_be_sound(&run(&bench, &network.url(), &[]));
    assert_eq!(network.cut(), cuts.limit);
    // The teardown deletes the retained state of each device last of all.
    let is = |payload: &'static [u8]| move |m: &&Message| m.payload == payload;
    outsider
        .messages
        .wait("each deletion", |m| m.iter().filter(is(b"")).count() >= 20);
    let heard = outsider.heard("s/");
    let wills: Vec<_> = heard.iter().filter(is(b"gone")).collect();
    assert_eq!(wills.len(), 10, "one for each cut connection");
    assert!(wills.iter().all(|will| will.qos == 2));
    assert_eq!(heard.iter().filter(is(b"here")).count(), 20 + 10);
    broker.must_be_content();
}

#[test]
fn retained_messages_stay_for_later_subscribers_and_go_with_the_teardown() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    for (arguments, left) in [(&["--keep-sessions"][..], 20), (&[], 0)] {
        let bench = bench("1s");
        must_be_sound(&run(&bench, &broker.url(), arguments));
        let later = Outsider::connect(broker.port, "later");
        // Retained messages come before the SUBACK of the next subscription.
        later.subscribe("s/+/state", QoS::ExactlyOnce);
        later.subscribe("nothing", QoS::AtMostOnce);
        let heard = later.heard("s/");
        assert_eq!(heard.len(), left, "{heard:?}");
        assert!(
            heard
                .iter()
                .all(|m| m.retain && m.qos == 2 && m.payload == b"here")
        );
    }
    broker.must_be_content();
}

#[test]
fn a_device_comes_back_after_another_client_took_its_place() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    let bench = bench("3s");
    let run = begin(&bench, &broker.url(), &[]);
    let telemetry = |lines: &[String]| {
        let from =
            |line: &String| line.contains("Received PUBLISH from meters-7 ") && line.contains("t/");
        lines.iter().filter(|line| from(line)).count()
    };
    broker.log.wait("telemetry", |lines| telemetry(lines) > 3);
    let thief = Outsider::connect(broker.port, "meters-7");
    // It is a clean session: the device has to begin anew.
    thief
        .words
        .wait("end of the thief", |words| words.contains(&"END"));
    let run = end(&bench, run);
    assert_eq!(run.report["counts"]["balanced"], true, "{}", run.said);
    assert_eq!(run.report["delivery"]["lost"], 0, "{}", run.said);
    assert_eq!(run.report["delivery"]["duplicated"], 0, "{}", run.said);
    assert!(broker.said(&["Client meters-7 already connected, closing old connection"]) >= 2);
    assert!(
        broker.said(&["as meters-7 (p2, c0"]) >= 2,
        "it did not come back"
    );
    broker.must_be_content();
}

#[test]
fn the_fleet_survives_a_restart_of_a_broker_that_remembers() {
    let Some(mut broker) = Mosquitto::start() else {
        return;
    };
    let bench = bench("4s");
    let run = begin(&bench, &broker.url(), &[]);
    broker.log.wait("telemetry of all", |lines| {
        let all = |device| {
            let from = format!("Received PUBLISH from meters-{device} ");
            lines
                .iter()
                .filter(|line| line.contains(&from) && line.contains("t/"))
                .count()
                > 6
        };
        (0..20).all(all)
    });
    broker.restart();
    must_be_sound(&end(&bench, run));
    assert!(broker.said(&["Sending CONNACK to meters-", "(1, 0)"]) >= 20);
    broker.must_be_content();
}

#[test]
fn what_comes_from_outside_is_acknowledged_by_its_qos() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    let bench = bench("3s");
    let run = begin(&bench, &broker.url(), &[]);
    broker.log.wait("subscription", |lines| {
        lines
            .iter()
            .any(|line| line.contains("Sending SUBACK to meters-5"))
    });
    let outsider = Outsider::connect(broker.port, "outsider");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let sent = outsider
            .client
            .publish("s/meters-5/cmd", qos, false, "reboot");
        sent.expect("it is connected");
    }
    must_be_sound(&end(&bench, run));
    let to = |qos: &str| broker.said(&["Sending PUBLISH to meters-5", qos, "s/meters-5/cmd"]);
    assert_eq!((to("q0"), to("q1"), to("q2")), (1, 1, 1));
    for answer in ["PUBACK", "PUBREC", "PUBCOMP"] {
        let line = format!("Received {answer} from meters-5 ");
        assert_eq!(broker.said(&[&line]), 1, "{answer}");
    }
    broker.must_be_content();
}

#[test]
fn several_filters_go_into_one_packet_and_an_unsubscribed_one_is_gone() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    let bench = bench("3s");
    let run = begin(&bench, &broker.url(), &[]);
    broker.log.wait("end of the steps", |lines| {
        let told = |line: &String| line.contains("Sending PUBCOMP to meters-5 ");
        lines.iter().any(told)
    });
    let outsider = Outsider::connect(broker.port, "outsider");
    for topic in ["g/all/x", "g/north/meters-5"] {
        let sent = outsider
            .client
            .publish(topic, QoS::ExactlyOnce, false, "reboot");
        sent.expect("it is connected");
    }
    must_be_sound(&end(&bench, run));
    let to = |words: &[&str]| broker.said(&[&["Sending PUBLISH to meters-5 "], words].concat());
    assert_eq!(to(&["g/north/meters-5", "(d0, q1"]), 1);
    assert_eq!(to(&["g/all/x"]), 0);
    for packet in ["SUBSCRIBE from", "UNSUBSCRIBE from"] {
        assert_eq!(broker.said(&[&format!("Received {packet} meters-")]), 20);
    }
    assert_eq!(broker.said(&["Sending UNSUBACK to meters-"]), 20);
    broker.must_be_content();
}

#[test]
fn nothing_acknowledged_is_lost_in_any_outage() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    for (fault, faults) in outages::FAULTS {
        let bench = Bench::new("run", &outages::text(200, "", faults));
        let run = run(&bench, &broker.url(), &[]);
        outages::must_lose_nothing(fault, 200, &run);
    }
    broker.must_be_content();
}

/// A hole of 27 s at a keep-alive of 10 s: the broker notices after 15 s, and its wills fire; the
/// devices, which publish every 2 s, notice when they have heard nothing for 10 s and no PINGRESP
/// for another 10 s.
#[test]
fn a_blackhole_is_noticed_at_both_ends_and_each_will_fires_once() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    let outsider = Outsider::connect(broker.port, "outsider");
    outsider.subscribe("s/+/state", QoS::ExactlyOnce);
    let text = outages::text(200, "", "{ outage: blackhole, at: 1s, for: 27s }")
        .replace("keep_alive: 2s, ping_timeout: 500ms", "keep_alive: 10s")
        .replace(
            "every: 500ms, ack_timeout: 60s",
            "every: 2s, ack_timeout: 5s",
        )
        .replace("outage, for: 7s", "outage, for: 29s")
        + "  - { name: each will fires, indicator: will.fired, at_least: 200 }\n"
        + "  - { name: none fires twice, indicator: will.fired, at_most: 200 }\n";
    let run = run(&Bench::new("run", &text), &broker.url(), &[]);
    assert!(matches!(run.code, Some(0 | 4)), "{}", run.said);
    let errors = run.report["errors"].as_array().expect("a list");
    let kind = "connection.keep_alive_timeout";
    let silent = errors.iter().find(|error| error["kind"] == kind);
    let silent = silent.unwrap_or_else(|| panic!("{errors:#?}"));
    assert_eq!(number(silent, "count"), 200, "{silent:#}");
    for end in ["first_s", "last_s"] {
        // A second of ramp, and one more.
        let after = silent[end].as_f64().expect("seconds") - 2.0;
        assert!((10.0..=20.5).contains(&after), "{end}: {after} s");
    }
    let expired = broker.said(&["Client meters-", "has exceeded timeout"]);
    let taken = broker.said(&[
        "Client meters-",
        "already connected, closing old connection",
    ]);
    assert_eq!(
        expired + taken,
        200,
        "{expired} expired, {taken} taken over"
    );
    let heard = outsider.heard("s/");
    assert_eq!(heard.len(), 200, "one will each");
    let topics: std::collections::HashSet<_> = heard.iter().map(|m| &m.topic).collect();
    assert_eq!(topics.len(), 200);
    let wills = &run.report["delivery"]["wills"];
    for (figure, count) in [
        ("watched", 200),
        ("fired", 200),
        ("devices", 200),
        ("devices_repeated", 0),
        ("redelivered", 0),
        ("gaps", 0),
    ] {
        assert_eq!(number(wills, figure), count, "{wills:#}");
    }
    let objectives = run.report["objectives"].as_array().expect("a list");
    let of_wills = |o: &&Value| o["indicator"] == "will.fired";
    let reasons: Vec<_> = (objectives.iter().filter(of_wills))
        .map(|o| (o["verdict"].as_str(), o["reason"].as_str()))
        .collect();
    let remark = "(of 200 devices: 200 fired, 0 more than once)";
    let met = ["at least the wanted 200", "within the limit of 200"];
    let expected = met.map(|met| format!("200 wills, {met} {remark}"));
    let expected: Vec<_> = (expected.iter())
        .map(|reason| (Some("PASS"), Some(reason.as_str())))
        .collect();
    assert_eq!(reasons, expected);
    // What was written into the hole was in nobody's hands; none of it was acknowledged.
    let (counts, delivery) = (&run.report["counts"], &run.report["delivery"]);
    assert!(number(counts, "timed_out") > 0, "{counts:#}");
    assert_eq!(counts["balanced"], true, "{counts:#}");
    for nothing in ["lost", "unverified", "unresolved"] {
        assert_eq!(delivery[nothing], 0, "{nothing}: {delivery:#}");
    }
    let fates = ["verified_acks", "recovered", "undelivered"].map(|fate| number(delivery, fate));
    assert_eq!(
        fates.iter().sum::<u64>(),
        number(counts, "sent"),
        "{delivery:#}"
    );
}
