//! The normative statements of MQTT 3.1.1 (appendix B of the specification) that bind a client, or
//! both ends, or say what a server may demand of a client's packets: for each the tests that prove
//! it, or the reason why there is none. A test that is renamed or gone fails here.
//!
//! Statements that bind a server alone are not in it. What fleetstorm does when a server breaks one
//! is under 4.8.0-1.

use std::collections::BTreeSet;
use std::path::Path;

/// Why a statement is kept.
enum Proof {
    /// By these tests: file and name.
    Tests(&'static [(&'static str, &'static str)]),
    /// By what fleetstorm is.
    Reason(&'static str),
}

use Proof::{Reason, Tests};

const CODEC: &str = "src/mqtt/codec/tests/statements.rs";
const DEVICE: &str = "src/device/tests/statements.rs";
const SCRIPTS: &str = "src/device/tests/scripts.rs";
const EXACTLY_ONCE: &str = "src/device/tests/scripts/exactly_once.rs";
const SESSION: &str = "src/mqtt/session/tests.rs";
const EXCHANGES: &str = "src/mqtt/session/tests/exchanges.rs";
const MODEL: &str = "src/mqtt/session/tests/model.rs";
const VIOLATIONS: &str = "tests/live_violations/mod.rs";
const MOSQUITTO: &str = "tests/live_mosquitto.rs";
const HERE: &str = "tests/statements.rs";

const CLOSES: (&str, &str) = (
    VIOLATIONS,
    "a_violation_closes_the_connection_and_nothing_follows_on_it",
);
const NO_WEBSOCKET: Proof = Reason("it speaks MQTT over TCP only; there is no WebSocket in it");

/// Number of the statement, what it asks in our words, why it is kept.
const STATEMENTS: &[(&str, &str, Proof)] = &[
    // Strings.
    (
        "1.5.3-1",
        "strings are well-formed UTF-8; an ill-formed one closes the connection",
        Tests(&[(CODEC, "ill_formed_utf8_is_refused"), CLOSES]),
    ),
    (
        "1.5.3-2",
        "no U+0000 in strings; one that is received closes the connection",
        Tests(&[
            (CODEC, "the_null_character_is_neither_written_nor_read"),
            CLOSES,
        ]),
    ),
    (
        "1.5.3-3",
        "U+FEFF stays where it is",
        Tests(&[(CODEC, "a_byte_order_mark_is_a_character_like_any_other")]),
    ),
    // Headers and identifiers.
    (
        "2.2.2-1",
        "reserved flags have the listed values",
        Tests(&[(CODEC, "reserved_flags_are_written_as_listed")]),
    ),
    (
        "2.2.2-2",
        "other flags close the connection",
        Tests(&[(CODEC, "a_packet_with_other_flags_is_refused"), CLOSES]),
    ),
    (
        "2.3.1-1",
        "SUBSCRIBE, UNSUBSCRIBE and PUBLISH above QoS 0 have an identifier that is not 0",
        Tests(&[(CODEC, "what_is_answered_has_an_identifier")]),
    ),
    (
        "2.3.1-2",
        "a new packet gets an identifier that is not in use",
        Tests(&[
            (DEVICE, "a_new_publish_has_an_unused_identifier_and_no_dup"),
            (
                SESSION,
                "a_request_never_gets_an_identifier_that_a_publish_uses",
            ),
            (SESSION, "identifiers_wrap_around_without_zero"),
            (
                SESSION,
                "held_identifiers_are_never_given_out_and_the_next_publish_waits_for_one",
            ),
            (MODEL, "any_sequence_matches_the_model"),
        ]),
    ),
    (
        "2.3.1-3",
        "a packet written again keeps its identifier, which is free after its last acknowledgement",
        Tests(&[
            (
                DEVICE,
                "a_stored_session_writes_again_what_is_unacknowledged_under_its_identifiers",
            ),
            (MODEL, "any_sequence_matches_the_model"),
        ]),
    ),
    (
        "2.3.1-5",
        "a QoS 0 PUBLISH has no identifier",
        Tests(&[(CODEC, "a_qos_0_publish_has_neither_identifier_nor_dup")]),
    ),
    (
        "2.3.1-6",
        "PUBACK, PUBREC and PUBREL carry the identifier of their PUBLISH",
        Tests(&[
            (
                DEVICE,
                "a_message_is_answered_by_its_qos_under_its_identifier",
            ),
            (
                DEVICE,
                "acknowledgements_are_written_in_the_order_of_what_they_acknowledge",
            ),
        ]),
    ),
    // CONNECT.
    (
        "3.1.0-1",
        "the first packet of a connection is CONNECT",
        Tests(&[
            (
                DEVICE,
                "the_first_packet_of_each_connection_is_its_only_connect",
            ),
            (DEVICE, "nothing_follows_a_connect_before_its_connack"),
        ]),
    ),
    (
        "3.1.0-2",
        "a second CONNECT is a violation: none is written",
        Tests(&[(
            DEVICE,
            "the_first_packet_of_each_connection_is_its_only_connect",
        )]),
    ),
    (
        "3.1.2-1",
        "the protocol name is MQTT",
        Tests(&[(
            CODEC,
            "a_connect_names_the_protocol_and_leaves_the_reserved_flag_alone",
        )]),
    ),
    (
        "3.1.2-2",
        "the protocol level is one that the server speaks: 4",
        Tests(&[(
            CODEC,
            "a_connect_names_the_protocol_and_leaves_the_reserved_flag_alone",
        )]),
    ),
    (
        "3.1.2-3",
        "the reserved connect flag is 0",
        Tests(&[(
            CODEC,
            "a_connect_names_the_protocol_and_leaves_the_reserved_flag_alone",
        )]),
    ),
    (
        "3.1.2-4",
        "without Clean Session both ends keep the session after a disconnect",
        Tests(&[
            (
                DEVICE,
                "a_stored_session_writes_again_what_is_unacknowledged_under_its_identifiers",
            ),
            (
                EXCHANGES,
                "each_step_of_receiving_survives_a_lost_connection",
            ),
            (MOSQUITTO, "sessions_resume_after_resets_at_any_byte"),
        ]),
    ),
    (
        "3.1.2-6",
        "with Clean Session both ends begin anew, and nothing is taken over",
        Tests(&[
            (DEVICE, "a_clean_session_takes_nothing_over"),
            (SCRIPTS, "a_clean_session_ends_what_was_in_flight_at_once"),
        ]),
    ),
    (
        "3.1.2-9",
        "with the Will Flag there are Will Topic and Will Message",
        Tests(&[(CODEC, "will_flags_and_will_fields_go_together")]),
    ),
    (
        "3.1.2-11",
        "without it there are none, and Will QoS and Will Retain are 0",
        Tests(&[(CODEC, "will_flags_and_will_fields_go_together")]),
    ),
    (
        "3.1.2-13",
        "without the Will Flag the Will QoS is 0",
        Tests(&[(CODEC, "will_flags_and_will_fields_go_together")]),
    ),
    (
        "3.1.2-14",
        "the Will QoS is 0, 1 or 2",
        Tests(&[(CODEC, "will_flags_and_will_fields_go_together")]),
    ),
    (
        "3.1.2-15",
        "without the Will Flag the Will Retain flag is 0",
        Tests(&[(CODEC, "will_flags_and_will_fields_go_together")]),
    ),
    (
        "3.1.2-18",
        "without the User Name Flag there is no user name",
        Tests(&[(CODEC, "login_flags_and_login_fields_go_together")]),
    ),
    (
        "3.1.2-19",
        "with it there is one",
        Tests(&[(CODEC, "login_flags_and_login_fields_go_together")]),
    ),
    (
        "3.1.2-20",
        "without the Password Flag there is no password",
        Tests(&[(CODEC, "login_flags_and_login_fields_go_together")]),
    ),
    (
        "3.1.2-21",
        "with it there is one",
        Tests(&[(CODEC, "login_flags_and_login_fields_go_together")]),
    ),
    (
        "3.1.2-22",
        "there is no password without a user name",
        Tests(&[(CODEC, "login_flags_and_login_fields_go_together")]),
    ),
    (
        "3.1.2-23",
        "the client is never silent for longer than the keep-alive; with nothing else to say it pings",
        Tests(&[
            (
                DEVICE,
                "the_silence_of_a_connected_client_never_exceeds_the_keep_alive",
            ),
            (
                SESSION,
                "keep_alive_pings_after_silence_and_notices_a_dead_peer",
            ),
        ]),
    ),
    (
        "3.1.3-1",
        "the payload is client identifier, will topic, will message, user name, password",
        Tests(&[(
            CODEC,
            "the_payload_of_a_connect_has_its_order_and_begins_with_the_client_identifier",
        )]),
    ),
    (
        "3.1.3-2",
        "both ends know a session by its client identifier",
        Tests(&[(DEVICE, "a_device_has_one_client_identifier_for_life")]),
    ),
    (
        "3.1.3-3",
        "the client identifier is there and comes first",
        Tests(&[(
            CODEC,
            "the_payload_of_a_connect_has_its_order_and_begins_with_the_client_identifier",
        )]),
    ),
    (
        "3.1.3-4",
        "the client identifier is a UTF-8 string",
        Tests(&[
            (
                CODEC,
                "the_payload_of_a_connect_has_its_order_and_begins_with_the_client_identifier",
            ),
            (CODEC, "the_null_character_is_neither_written_nor_read"),
        ]),
    ),
    (
        "3.1.3-7",
        "an empty client identifier asks for Clean Session: none is ever empty",
        Tests(&[(HERE, "a_scenario_cannot_make_a_client_identifier_empty")]),
    ),
    (
        "3.1.3-10",
        "the will topic is a UTF-8 string",
        Tests(&[(
            CODEC,
            "the_payload_of_a_connect_has_its_order_and_begins_with_the_client_identifier",
        )]),
    ),
    (
        "3.1.3-11",
        "the user name is a UTF-8 string",
        Tests(&[(
            CODEC,
            "the_payload_of_a_connect_has_its_order_and_begins_with_the_client_identifier",
        )]),
    ),
    // PUBLISH.
    (
        "3.3.1-1",
        "DUP is set when a PUBLISH is delivered again",
        Tests(&[
            (
                DEVICE,
                "a_stored_session_writes_again_what_is_unacknowledged_under_its_identifiers",
            ),
            (MOSQUITTO, "sessions_resume_after_resets_at_any_byte"),
        ]),
    ),
    (
        "3.3.1-2",
        "DUP is not set at QoS 0",
        Tests(&[(CODEC, "a_qos_0_publish_has_neither_identifier_nor_dup")]),
    ),
    (
        "3.3.1-4",
        "a PUBLISH has not both QoS bits; one that has closes the connection",
        Tests(&[(CODEC, "a_publish_with_both_qos_bits_is_refused"), CLOSES]),
    ),
    (
        "3.3.2-1",
        "the topic name comes first and is a UTF-8 string",
        Tests(&[(CODEC, "a_topic_name_comes_first_and_has_no_wildcard")]),
    ),
    (
        "3.3.2-2",
        "a topic name has no wildcard",
        Tests(&[
            (CODEC, "a_topic_name_comes_first_and_has_no_wildcard"),
            CLOSES,
        ]),
    ),
    (
        "3.3.4-1",
        "a PUBLISH is answered by its QoS: nothing, PUBACK, PUBREC",
        Tests(&[
            (
                DEVICE,
                "a_message_is_answered_by_its_qos_under_its_identifier",
            ),
            (
                MOSQUITTO,
                "what_comes_from_outside_is_acknowledged_by_its_qos",
            ),
        ]),
    ),
    (
        "3.6.1-1",
        "the flags of a PUBREL are 0010",
        Tests(&[(CODEC, "reserved_flags_are_written_as_listed")]),
    ),
    // SUBSCRIBE, UNSUBSCRIBE, DISCONNECT.
    (
        "3.8.1-1",
        "the flags of a SUBSCRIBE are 0010",
        Tests(&[(CODEC, "reserved_flags_are_written_as_listed")]),
    ),
    (
        "3.8.3-1",
        "the filters of a SUBSCRIBE are UTF-8 strings",
        Tests(&[(
            CODEC,
            "a_subscribe_and_an_unsubscribe_name_at_least_one_filter",
        )]),
    ),
    (
        "3.8.3-3",
        "a SUBSCRIBE has at least one filter with its QoS",
        Tests(&[(
            CODEC,
            "a_subscribe_and_an_unsubscribe_name_at_least_one_filter",
        )]),
    ),
    (
        "3.8.3-4",
        "the requested QoS is 0, 1 or 2, and the bits above are 0",
        Tests(&[(
            CODEC,
            "a_subscribe_and_an_unsubscribe_name_at_least_one_filter",
        )]),
    ),
    (
        "3.10.1-1",
        "the flags of an UNSUBSCRIBE are 0010",
        Tests(&[(CODEC, "reserved_flags_are_written_as_listed")]),
    ),
    (
        "3.10.3-1",
        "the filters of an UNSUBSCRIBE are UTF-8 strings, packed without gaps",
        Tests(&[(
            CODEC,
            "a_subscribe_and_an_unsubscribe_name_at_least_one_filter",
        )]),
    ),
    (
        "3.10.3-2",
        "an UNSUBSCRIBE has at least one filter",
        Tests(&[(
            CODEC,
            "a_subscribe_and_an_unsubscribe_name_at_least_one_filter",
        )]),
    ),
    (
        "3.14.1-1",
        "the flags of a DISCONNECT are 0",
        Tests(&[(CODEC, "reserved_flags_are_written_as_listed")]),
    ),
    (
        "3.14.4-1",
        "after a DISCONNECT the client closes the connection",
        Tests(&[(
            DEVICE,
            "a_disconnect_is_the_last_packet_and_the_connection_is_closed",
        )]),
    ),
    (
        "3.14.4-2",
        "after a DISCONNECT the client writes nothing more",
        Tests(&[(
            DEVICE,
            "a_disconnect_is_the_last_packet_and_the_connection_is_closed",
        )]),
    ),
    // Sessions.
    (
        "4.1.0-1",
        "both ends keep the state of a session for as long as it lasts",
        Tests(&[
            (
                DEVICE,
                "a_stored_session_writes_again_what_is_unacknowledged_under_its_identifiers",
            ),
            (
                EXACTLY_ONCE,
                "a_power_cut_reserves_open_qos_2_identifiers_until_they_are_finished",
            ),
            (EXCHANGES, "a_power_cut_keeps_what_the_server_would_mistake"),
        ]),
    ),
    (
        "4.1.0-2",
        "a session lasts at least as long as its connection",
        Tests(&[
            (DEVICE, "a_session_lasts_as_long_as_its_connection"),
            (EXACTLY_ONCE, "an_ack_timeout_does_not_end_a_qos_2_exchange"),
        ]),
    ),
    // Delivery.
    (
        "4.3.1-1",
        "a sender at QoS 0 writes QoS 0 and no DUP",
        Tests(&[(CODEC, "a_qos_0_publish_has_neither_identifier_nor_dup")]),
    ),
    (
        "4.3.2-1",
        "a sender at QoS 1: unused identifier, no DUP, unacknowledged until its PUBACK",
        Tests(&[
            (DEVICE, "a_new_publish_has_an_unused_identifier_and_no_dup"),
            (
                DEVICE,
                "a_publish_is_unacknowledged_until_its_own_acknowledgement",
            ),
            (EXCHANGES, "each_acknowledgement_in_each_state"),
        ]),
    ),
    (
        "4.3.2-2",
        "a receiver at QoS 1: PUBACK, and then the identifier names a new message, DUP or not",
        Tests(&[
            (
                DEVICE,
                "a_message_is_answered_by_its_qos_under_its_identifier",
            ),
            (
                DEVICE,
                "after_its_puback_an_identifier_names_a_new_message_whatever_dup_says",
            ),
        ]),
    ),
    (
        "4.3.3-1",
        "a sender at QoS 2: unused identifier, no DUP, PUBREL on PUBREC, unacknowledged until \
         PUBCOMP, and no PUBLISH after the PUBREL",
        Tests(&[
            (DEVICE, "a_new_publish_has_an_unused_identifier_and_no_dup"),
            (
                DEVICE,
                "a_publish_is_unacknowledged_until_its_own_acknowledgement",
            ),
            (DEVICE, "a_released_publish_is_never_written_again"),
            (EXCHANGES, "each_acknowledgement_in_each_state"),
            (MODEL, "any_sequence_matches_the_model"),
        ]),
    ),
    (
        "4.3.3-2",
        "a receiver at QoS 2: PUBREC each time, delivered once, PUBCOMP on PUBREL, then new",
        Tests(&[
            (
                DEVICE,
                "a_message_is_answered_by_its_qos_under_its_identifier",
            ),
            (
                DEVICE,
                "a_qos_2_message_is_delivered_once_until_its_pubcomp",
            ),
            (
                EXCHANGES,
                "each_step_of_receiving_survives_a_lost_connection",
            ),
        ]),
    ),
    (
        "4.4.0-1",
        "after a reconnect without Clean Session both ends write PUBLISHes and PUBRELs again",
        Tests(&[
            (
                DEVICE,
                "a_stored_session_writes_again_what_is_unacknowledged_under_its_identifiers",
            ),
            (
                EXACTLY_ONCE,
                "a_resumed_qos_2_exchange_goes_on_where_it_was",
            ),
            (MOSQUITTO, "sessions_resume_after_resets_at_any_byte"),
        ]),
    ),
    (
        "4.5.0-2",
        "a client acknowledges each message, whether it does anything with it or not",
        Tests(&[(DEVICE, "a_message_of_no_interest_is_acknowledged_too")]),
    ),
    (
        "4.6.0-1",
        "PUBLISHes are written again in the order of their first writing",
        Tests(&[
            (
                DEVICE,
                "publishes_are_written_again_in_the_order_of_their_first_writing",
            ),
            (
                EXCHANGES,
                "a_resumed_session_releases_first_and_then_writes_in_the_first_order",
            ),
        ]),
    ),
    (
        "4.6.0-2",
        "PUBACKs are written in the order of their PUBLISHes",
        Tests(&[(
            DEVICE,
            "acknowledgements_are_written_in_the_order_of_what_they_acknowledge",
        )]),
    ),
    (
        "4.6.0-3",
        "PUBRECs are written in the order of their PUBLISHes",
        Tests(&[(
            DEVICE,
            "acknowledgements_are_written_in_the_order_of_what_they_acknowledge",
        )]),
    ),
    (
        "4.6.0-4",
        "PUBRELs are written in the order of their PUBRECs",
        Tests(&[(
            DEVICE,
            "acknowledgements_are_written_in_the_order_of_what_they_acknowledge",
        )]),
    ),
    // Topics.
    (
        "4.7.1-1",
        "wildcards are for filters, not for topic names",
        Tests(&[(CODEC, "a_topic_name_comes_first_and_has_no_wildcard")]),
    ),
    (
        "4.7.1-2",
        "# is a level of its own and the last",
        Tests(&[(
            CODEC,
            "a_wildcard_fills_a_level_of_a_filter_and_the_multi_level_one_is_last",
        )]),
    ),
    (
        "4.7.1-3",
        "+ is a level of its own",
        Tests(&[(
            CODEC,
            "a_wildcard_fills_a_level_of_a_filter_and_the_multi_level_one_is_last",
        )]),
    ),
    (
        "4.7.3-1",
        "topic names and filters have at least one character",
        Tests(&[(CODEC, "a_topic_and_a_filter_have_1_to_65_535_bytes")]),
    ),
    (
        "4.7.3-2",
        "topic names and filters have no U+0000",
        Tests(&[(CODEC, "the_null_character_is_neither_written_nor_read")]),
    ),
    (
        "4.7.3-3",
        "topic names and filters have at most 65 535 bytes",
        Tests(&[(CODEC, "a_topic_and_a_filter_have_1_to_65_535_bytes")]),
    ),
    // Errors.
    (
        "4.8.0-1",
        "a protocol violation closes the connection on which it came",
        Tests(&[
            (DEVICE, "a_protocol_violation_closes_the_connection"),
            (
                EXCHANGES,
                "a_client_s_own_packets_are_violations_in_each_state",
            ),
            (SESSION, "what_the_server_must_not_send_is_a_violation"),
            CLOSES,
        ]),
    ),
    (
        "4.8.0-2",
        "a transient error with a packet, such as one too long to hold, closes the connection",
        Tests(&[CLOSES]),
    ),
    // Transports and conformance.
    (
        "6.0.0-1",
        "MQTT goes into binary frames of a WebSocket",
        NO_WEBSOCKET,
    ),
    (
        "6.0.0-2",
        "packets need not be aligned with the frames of a WebSocket",
        NO_WEBSOCKET,
    ),
    (
        "6.0.0-3",
        "the client offers the subprotocol mqtt",
        NO_WEBSOCKET,
    ),
    (
        "7.0.0-2",
        "no extension is needed to work with another conformant implementation",
        Tests(&[(
            MOSQUITTO,
            "each_qos_arrives_as_it_promises_and_the_books_are_those_of_the_broker",
        )]),
    ),
    (
        "7.1.2-1",
        "a client supports a transport of ordered, lossless bytes in both directions: TCP",
        Tests(&[(
            MOSQUITTO,
            "each_qos_arrives_as_it_promises_and_the_books_are_those_of_the_broker",
        )]),
    ),
];

#[test]
fn each_statement_has_its_tests_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = BTreeSet::new();
    for (id, asks, proof) in STATEMENTS {
        assert!(seen.insert(id), "{id} is there twice");
        assert!(!asks.is_empty(), "{id}");
        match proof {
            Tests(tests) => {
                assert!(!tests.is_empty(), "{id} has neither test nor reason");
                for (file, name) in *tests {
                    assert!(is_test(&root.join(file), name), "{id}: no {name} in {file}");
                }
            }
            Reason(reason) => assert!(reason.len() > 20, "{id}: {reason:?} is no reason"),
        }
    }
    let with_tests = |(_, _, proof): &&(&str, &str, Proof)| matches!(proof, Tests(_));
    assert_eq!(STATEMENTS.len(), 78);
    assert_eq!(STATEMENTS.iter().filter(with_tests).count(), 75);
}

/// Whether the file has a test of this name.
fn is_test(file: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(file).expect("a file of the table is readable");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        // The attribute is near: a property has its own documentation between.
        line.starts_with(&head) && lines[at.saturating_sub(6)..at].contains(&"#[test]")
    })
}

#[test]
fn a_test_that_is_gone_is_noticed() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(HERE);
    assert!(is_test(&here, "a_test_that_is_gone_is_noticed"));
    assert!(!is_test(&here, "is_test"), "no test, only a function");
    assert!(!is_test(&here, "a_test_that_never_was"));
}

/// 3.1.3-7.
#[test]
fn a_scenario_cannot_make_a_client_identifier_empty() {
    use fleetstorm::scenario::file::{self, Overrides, Secrets};
    let parse = |client_id: &str, rows: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("tokens.csv"), rows).expect("writable");
        let text = format!(
            "name: one\n\
             target: {{ brokers: {{ urls: [mqtt://127.0.0.1] }}, auth: {{ username: '{{id}}', csv: tokens.csv }} }}\n\
             fleet: [ {{ cohort: m, devices: 1, client: {{ client_id: '{client_id}' }} }} ]\n\
             phases: [ {{ name: ramp, power_on: {{ rate: 1/s }} }} ]\n"
        );
        let overrides = Overrides::default();
        file::parse("s.yaml", &text, folder.path(), &overrides, Secrets::Resolve)
            .map(drop)
            .map_err(|errors| errors.to_string())
    };
    let sound = "id,token\none,1\n";
    assert_eq!(parse("{device}", sound), Ok(()));
    assert_eq!(parse("{id}", sound), Ok(()));
    let empty = parse("", sound).expect_err("it is empty");
    assert!(empty.contains("the client identifier is empty"), "{empty}");
    assert!(parse("{id}", "id,token\n,1\n").is_err());
}
