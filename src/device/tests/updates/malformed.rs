//! Answers that no sound server gives: each is left and counted, or ends the update for the right reason.

use super::servers::{Speaker, THING};
use super::*;
use crate::wire::aws_jobs::JobStatus;
use crate::wire::aws_streams::{Data, ErrorCode, Kind, StreamError, Topic};

/// A download that waits for its first block.
fn waiting(encoding: Encoding) -> World {
    let mut speaker = Speaker::new();
    speaker.encoding = encoding;
    speaker.ignore_blocks = 1;
    speaker.execution = Some((JobStatus::Queued, 1, 1));
    let mut world = World::new(aws(encoding), speaker);
    world.run(1.0);
    world
}

/// What becomes of a download after a block came that `change` has made.
fn block(encoding: Encoding, change: impl FnOnce(&mut Data<'_>)) -> World {
    let mut world = waiting(encoding);
    let image = image();
    let mut data = Data {
        token: Some("rdy".into()),
        file: 0,
        len: 1024,
        index: 0,
        bytes: &image.bytes[..1024],
    };
    change(&mut data);
    let message = (world.speaker.data_topic(), data.write(encoding));
    world.push(message);
    world.run(60.0);
    world
}

const SOUND: (Outcome, Reason) = (Outcome::Confirmed, Reason::Success);
const BROKEN: (Outcome, Reason) = (Outcome::Failed, Reason::Integrity);

#[test]
fn blocks() {
    type Change = fn(&mut Data<'_>);
    let cases: [(&str, Change, UpdateEvent, (Outcome, Reason)); 9] = [
        ("sound", |_| {}, UpdateEvent::HashMatched, SOUND),
        (
            "wrong file",
            |data| data.file = 1,
            UpdateEvent::UnwantedBlock,
            SOUND,
        ),
        (
            "not asked for",
            |data| data.index = 1,
            UpdateEvent::UnwantedBlock,
            SOUND,
        ),
        (
            "out of range",
            |data| data.index = 11,
            UpdateEvent::BadAnswer,
            SOUND,
        ),
        (
            "far out of range",
            |data| data.index = u64::MAX,
            UpdateEvent::BadAnswer,
            SOUND,
        ),
        (
            "other length than it says",
            |data| data.len = 7,
            UpdateEvent::BadAnswer,
            SOUND,
        ),
        (
            "empty",
            |data| (data.len, data.bytes) = (0, &[]),
            UpdateEvent::HashMatched,
            BROKEN,
        ),
        (
            "short",
            |data| (data.len, data.bytes) = (1023, &data.bytes[..1023]),
            UpdateEvent::HashMatched,
            BROKEN,
        ),
        (
            "other bytes",
            |data| data.bytes = &[7; 1024],
            UpdateEvent::HashDiffered,
            BROKEN,
        ),
    ];
    for encoding in Encoding::ALL {
        for (name, change, event, ends) in &cases {
            let world = block(encoding, change);
            assert_eq!(world.outcome(), *ends, "{name}: {}", world.text);
            let wanted = usize::from(*event != UpdateEvent::HashMatched || *ends == SOUND);
            assert_eq!(world.count(*event), wanted, "{name}: {}", world.text);
            world.assert_replays();
        }
        // Longer than a block of this download.
        let long = [7; 1025];
        let mut world = waiting(encoding);
        let message = world.speaker.block(0, &long);
        world.push(message);
        assert_eq!(world.outcome(), BROKEN);
    }
}

#[test]
fn a_duplicate_is_counted_and_changes_nothing() {
    let mut world = waiting(Encoding::Json);
    let image = image();
    let first = world.speaker.block(0, &image.bytes[..1024]);
    world.speaker.ignore_blocks = 1;
    world.push(first.clone());
    world.push(first);
    world.run(60.0);
    assert_eq!(world.outcome(), SOUND);
    assert_eq!(world.count(UpdateEvent::UnwantedBlock), 1);
    assert_eq!(world.row().bytes, u64::from(BYTES) + 1024);
}

#[test]
fn garbage_everywhere() {
    let jobs = format!("$aws/things/{THING}/jobs");
    let streams = format!("$aws/things/{THING}/streams");
    let topics = [
        format!("{jobs}/notify-next"),
        format!("{jobs}/$next/get/accepted"),
        format!("{jobs}/$next/get/rejected"),
        format!("{jobs}/fs-00000007-0/update/accepted"),
        format!("{jobs}/fs-00000007-0/update/rejected"),
        format!("{streams}/fs-00000007-0/data/json"),
        format!("{streams}/fs-00000007-0/rejected/json"),
    ];
    let payloads: [&[u8]; 9] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        br#"{"execution":7}"#,
        br#"{"execution":{"jobId":"x","status":"LOST","versionNumber":1}}"#,
        br#"{"c":"rdy","f":0,"l":3,"i":0,"p":"***"}"#,
        br#"{"c":"rdy","f":-1,"l":1e9,"i":0.5,"p":""}"#,
    ];
    for topic in &topics {
        for payload in payloads {
            let mut world = waiting(Encoding::Json);
            world.push((topic.clone(), payload.to_vec()));
            world.run(60.0);
            assert_eq!(
                world.outcome(),
                SOUND,
                "{topic} {payload:?}: {}",
                world.text
            );
        }
    }
    // Of somebody else, or nobody.
    for topic in [
        "$aws/things/other/jobs/notify-next",
        "$aws/things//streams/x/data/json",
        "$aws/things/meters-0/shadow/update",
        "$aws/things/meters-0/jobs/other/update/accepted",
        "$aws",
        "x",
    ] {
        let mut world = waiting(Encoding::Json);
        world.push((topic.into(), b"{}".to_vec()));
        assert_eq!(world.count(UpdateEvent::BadAnswer), 0, "{topic}");
    }
}

#[test]
fn refusals_of_blocks() {
    let cases = [
        (ErrorCode::ResourceNotFound, Some(Reason::BadUri)),
        (ErrorCode::Unauthorized, Some(Reason::BadUri)),
        (ErrorCode::VersionMismatch, Some(Reason::Integrity)),
        (ErrorCode::ETagMismatch, Some(Reason::Integrity)),
        (
            ErrorCode::BlockSizeOutOfBounds,
            Some(Reason::UnsupportedProtocol),
        ),
        (
            ErrorCode::OffsetOutOfBounds,
            Some(Reason::UnsupportedProtocol),
        ),
        (ErrorCode::InternalError, None),
    ];
    for (code, reason) in cases {
        let mut world = waiting(Encoding::Cbor);
        let topic = Topic::read(&world.speaker.data_topic())
            .expect("sound")
            .with(Kind::Rejected)
            .write();
        let error = StreamError {
            code,
            message: "".into(),
            token: None,
        };
        world.push((topic, error.write(Encoding::Cbor)));
        world.run(60.0);
        match reason {
            Some(reason) => assert_eq!(world.outcome(), (Outcome::Failed, reason), "{code:?}"),
            None => assert_eq!(world.outcome(), SOUND, "{code:?}"),
        }
    }
}

#[test]
fn jobs_that_cannot_be_done() {
    let bad_hash = |image: &mut Image| image.sha256[0] ^= 1;
    // The announced size is not that of what comes.
    let too_small = |image: &mut Image| image.bytes.truncate(9_000);
    let empty = |image: &mut Image| image.bytes.truncate(0);
    type Change = fn(&mut Image);
    let cases: [(&str, Change, (Outcome, Reason)); 3] = [
        ("bad hash", bad_hash, BROKEN),
        ("another size", too_small, BROKEN),
        (
            "no bytes",
            empty,
            (Outcome::Rejected, Reason::UnsupportedPackage),
        ),
    ];
    for (name, change, ends) in cases {
        let mut speaker = Speaker::new();
        change(&mut speaker.image);
        speaker.execution = Some((JobStatus::Queued, 1, 1));
        let mut world = World::new(aws(Encoding::Cbor), speaker);
        if name == "another size" {
            // The job says 9000 bytes, the stream has all of them.
            world.speaker.ignore_blocks = 1;
            world.run(1.0);
            world.speaker.image = image();
        }
        world.run(60.0);
        if name == "no bytes" {
            // A document without a usable version is of no campaign: rejected, and no row.
            assert!(world.rows.is_empty());
            let said = world.speaker.heard[0];
            assert_eq!(said.reason, ends.1);
        } else {
            assert_eq!(world.outcome(), ends, "{name}: {}", world.text);
        }
    }
}
