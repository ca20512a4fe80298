//! AWS IoT's MQTT-based file delivery. Members, errors, the bitmap's example: awsdocs/aws-iot-docs,
//! `developerguide/mqtt-based-file-delivery-in-devices.md`; order of a request's members and the token in
//! CBOR: aws/ota-for-aws-iot-embedded-sdk, `source/ota_cbor.c` and `ota_mqtt.c`. CBOR by hand after RFC 8949.

use super::text;
use crate::wire::BadMessage;
use crate::wire::aws_streams::*;

const BOTH: [Encoding; 2] = Encoding::ALL;

#[test]
fn topics() {
    assert_eq!(
        subscriptions("meters-7", "fs-0a1b2c3d-0", Encoding::Cbor),
        [
            "$aws/things/meters-7/streams/fs-0a1b2c3d-0/data/cbor",
            "$aws/things/meters-7/streams/fs-0a1b2c3d-0/rejected/cbor",
        ]
    );
    let get = Topic {
        thing: "meters-7",
        stream: "fs-0a1b2c3d-0",
        kind: Kind::Get,
        encoding: Encoding::Json,
    };
    let cases = [
        (
            Kind::Get,
            "$aws/things/meters-7/streams/fs-0a1b2c3d-0/get/json",
        ),
        (
            Kind::Describe,
            "$aws/things/meters-7/streams/fs-0a1b2c3d-0/describe/json",
        ),
        (
            Kind::Data,
            "$aws/things/meters-7/streams/fs-0a1b2c3d-0/data/json",
        ),
        (
            Kind::Description,
            "$aws/things/meters-7/streams/fs-0a1b2c3d-0/description/json",
        ),
        (
            Kind::Rejected,
            "$aws/things/meters-7/streams/fs-0a1b2c3d-0/rejected/json",
        ),
    ];
    for (kind, topic) in cases {
        assert_eq!(get.with(kind).write(), topic);
        assert_eq!(Topic::read(topic), Ok(get.with(kind)));
    }
    let none = [
        "",
        "$aws/things/a/streams/s/get",
        "$aws/things/a/streams/s/get/xml",
        "$aws/things/a/streams/s/put/json",
        "$aws/things/a/streams/s/get/json/",
        "$aws/things//streams/s/get/json",
        "$aws/things/a/streams//get/json",
        "$aws/things/a/jobs/s/get/json",
    ];
    for topic in none {
        assert_eq!(Topic::read(topic), Err(BadMessage::Topic), "{topic}");
    }
}

/// What our devices send for a block.
#[test]
fn a_request_for_one_block() {
    let get = Get::one(0, 4096, 2);
    let json = br#"{"c":"rdy","f":0,"l":4096,"o":2,"n":1}"#;
    assert_eq!(text(&get.write(Encoding::Json)), text(json));
    assert_eq!(Get::read(Encoding::Json, json), Ok(get.clone()));
    let cbor = [
        0xa5, // a map of five
        0x61, b'c', 0x63, b'r', b'd', b'y', // "c": "rdy"
        0x61, b'f', 0x00, // "f": 0
        0x61, b'l', 0x19, 0x10, 0x00, // "l": 4096
        0x61, b'o', 0x02, // "o": 2
        0x61, b'n', 0x01, // "n": 1
    ];
    assert_eq!(get.write(Encoding::Cbor), cbor);
    assert_eq!(Get::read(Encoding::Cbor, &cbor), Ok(get.clone()));
    let blocks = get.blocks(1, 0, 262_144).expect("fulfilled");
    assert_eq!(blocks.block_bytes, 4096);
    assert_eq!(blocks.collect::<Vec<_>>(), [2]);
}

/// The guide's example: blocks 20, 21, 24 and 43.
#[test]
fn a_request_with_a_bitmap() {
    let get = Get {
        token: Some("1".into()),
        version: Some(1),
        file: 1,
        block_bytes: 256,
        offset: Some(20),
        count: Some(32),
        bitmap: Some(vec![0x13, 0x00, 0x80].into()),
    };
    let json = br#"{"c":"1","s":1,"f":1,"l":256,"o":20,"n":32,"b":"0x130080"}"#;
    assert_eq!(text(&get.write(Encoding::Json)), text(json));
    assert_eq!(Get::read(Encoding::Json, json), Ok(get.clone()));
    let without_0x = br#"{"c":"1","s":1,"l":256,"f":1,"o":20,"n":32,"b":"130080"}"#;
    assert_eq!(Get::read(Encoding::Json, without_0x), Ok(get.clone()));
    let cbor = [
        0xa7, // a map of seven
        0x61, b'c', 0x61, b'1', // "c": "1"
        0x61, b's', 0x01, // "s": 1
        0x61, b'f', 0x01, // "f": 1
        0x61, b'l', 0x19, 0x01, 0x00, // "l": 256
        0x61, b'o', 0x14, // "o": 20
        0x61, b'b', 0x43, 0x13, 0x00, 0x80, // "b": h'130080'
        0x61, b'n', 0x18, 0x20, // "n": 32
    ];
    assert_eq!(get.write(Encoding::Cbor), cbor);
    assert_eq!(Get::read(Encoding::Cbor, &cbor), Ok(get.clone()));
    let blocks = get.blocks(1, 1, 51_200).expect("fulfilled");
    assert_eq!(blocks.collect::<Vec<_>>(), [20, 21, 24, 43]);
    let two = Get {
        count: Some(2),
        ..get
    };
    let blocks = two.blocks(1, 1, 51_200).expect("fulfilled");
    assert_eq!(blocks.collect::<Vec<_>>(), [20, 21]);
}

fn get(file: u64, block_bytes: u64, offset: Option<u64>, count: Option<u64>) -> Get<'static> {
    Get {
        token: None,
        version: None,
        file,
        block_bytes,
        offset,
        count,
        bitmap: None,
    }
}

/// A file of 1 MiB: 256 blocks of 4096.
fn blocks_of(get: &Get<'_>) -> Result<Vec<u32>, ErrorCode> {
    Ok(get.blocks(1, 0, 1 << 20)?.collect())
}

#[test]
fn limits_of_requests() {
    let bitmap = |bytes: Vec<u8>| Get {
        bitmap: Some(bytes.into()),
        ..get(0, 256, None, None)
    };
    let cases = [
        (get(0, 255, None, None), ErrorCode::BlockSizeOutOfBounds),
        (get(0, 131_073, None, None), ErrorCode::BlockSizeOutOfBounds),
        (
            get(0, u64::MAX, None, None),
            ErrorCode::BlockSizeOutOfBounds,
        ),
        (
            get(0, 4096, Some(98_305), None),
            ErrorCode::OffsetOutOfBounds,
        ),
        (
            get(0, 4096, Some(u64::MAX), None),
            ErrorCode::OffsetOutOfBounds,
        ),
        (
            get(0, 4096, None, Some(98_305)),
            ErrorCode::BlockCountLimitExceeded,
        ),
        (bitmap(vec![1; 12_288]), ErrorCode::BlockBitmapLimitExceeded),
        (get(1, 4096, None, None), ErrorCode::ResourceNotFound),
        (get(256, 4096, None, None), ErrorCode::ResourceNotFound),
        (
            get(0, 4096, Some(256), Some(1)),
            ErrorCode::ResourceNotFound,
        ),
        (get(0, 4096, None, Some(0)), ErrorCode::ResourceNotFound),
        (bitmap(vec![0; 12]), ErrorCode::ResourceNotFound),
        (bitmap(vec![]), ErrorCode::ResourceNotFound),
        (
            Get {
                version: Some(2),
                ..get(0, 4096, None, None)
            },
            ErrorCode::VersionMismatch,
        ),
        (
            Get {
                token: Some("x".repeat(65).into()),
                ..get(0, 4096, None, None)
            },
            ErrorCode::InvalidRequest,
        ),
    ];
    for (request, code) in cases {
        assert_eq!(blocks_of(&request), Err(code), "{request:?}");
    }
    let good = [
        (
            get(0, 256, Some(98_304 - 1), None),
            Err(ErrorCode::ResourceNotFound),
        ),
        (get(0, 131_072, None, None), Ok(vec![0])),
        (get(0, 4096, Some(255), Some(98_304)), Ok(vec![255])),
        (get(0, 4096, Some(254), None), Ok(vec![254, 255])),
        (
            bitmap({
                let mut bytes = vec![0; 12_287];
                bytes[1] = 0x81;
                bytes
            }),
            Ok(vec![8, 15]),
        ),
        (
            Get {
                version: Some(1),
                token: Some("x".repeat(64).into()),
                ..get(0, 4096, None, Some(1))
            },
            Ok(vec![0]),
        ),
    ];
    for (request, blocks) in good {
        assert_eq!(blocks_of(&request), blocks, "{request:?}");
    }
}

/// 128 KiB are what one request brings; the rest has to be asked for.
#[test]
fn a_request_brings_128_kib_at_most() {
    for (block_bytes, most) in [(4096, 32), (100_000, 1), (256, 512), (131_072, 1)] {
        for count in [None, Some(98_304)] {
            let blocks = blocks_of(&get(0, block_bytes, None, count)).expect("fulfilled");
            assert_eq!(blocks.len(), most, "{block_bytes} {count:?}");
        }
    }
    let all = Get {
        bitmap: Some(vec![0xff; 8].into()),
        ..get(0, 4096, Some(3), None)
    };
    let blocks = blocks_of(&all).expect("fulfilled");
    assert_eq!((blocks[0], blocks[31], blocks.len()), (3, 34, 32));
}

#[test]
fn a_block() {
    let bytes = [0x01, 0x02, 0xff];
    let data = Data {
        token: Some("rdy".into()),
        file: 0,
        len: 3,
        index: 2,
        bytes: &bytes,
    };
    let json = br#"{"c":"rdy","f":0,"l":3,"i":2,"p":"AQL/"}"#;
    let cbor = [
        0xa5, // a map of five
        0x61, b'c', 0x63, b'r', b'd', b'y', // "c": "rdy"
        0x61, b'f', 0x00, // "f": 0
        0x61, b'l', 0x03, // "l": 3
        0x61, b'i', 0x02, // "i": 2
        0x61, b'p', 0x43, 0x01, 0x02, 0xff, // "p": h'0102ff'
    ];
    for (encoding, golden) in [(Encoding::Json, &json[..]), (Encoding::Cbor, &cbor)] {
        assert_eq!(data.write(encoding), golden);
        assert_eq!(encode_block(encoding, 0, 2, &bytes), golden);
        let mut scratch = vec![7; 9];
        let read = Data::read(encoding, golden, &mut scratch);
        assert_eq!(read, Ok(data.clone()), "{encoding:?}");
    }
    let mut scratch = Vec::new();
    let read = Data::read(Encoding::Cbor, &cbor, &mut scratch).expect("a block");
    assert_eq!(
        read.bytes.as_ptr(),
        cbor[cbor.len() - 3..].as_ptr(),
        "not copied"
    );
    let unasked = Data {
        token: None,
        ..data
    };
    assert_eq!(
        text(&unasked.write(Encoding::Json)),
        r#"{"f":0,"l":3,"i":2,"p":"AQL/"}"#
    );
    assert_eq!(unasked.write(Encoding::Cbor)[0], 0xa4);
}

#[test]
fn blocks_that_are_none() {
    let json: [(&str, BadMessage); 7] = [
        ("", BadMessage::Json),
        (r#"{"f":0,"l":3,"i":2}"#, BadMessage::Form),
        (r#"{"f":0,"l":3,"i":-2,"p":"AQL/"}"#, BadMessage::Form),
        (r#"{"f":0,"l":3,"i":2,"i":2,"p":"AQL/"}"#, BadMessage::Form),
        (r#"{"f":0,"l":4,"i":2,"p":"AQL/"}"#, BadMessage::Value("l")),
        (r#"{"f":0,"l":3,"i":2,"p":"AQL"}"#, BadMessage::Value("p")),
        (r#"{"f":0,"l":3,"i":2,"p":"AQL_"}"#, BadMessage::Value("p")),
    ];
    for (payload, bad) in json {
        let mut scratch = Vec::new();
        let read = Data::read(Encoding::Json, payload.as_bytes(), &mut scratch);
        assert_eq!(read, Err(bad), "{payload}");
    }
    let block: &[u8] = b"\xa4afaXaiaXalaXapaX";
    let with = |f: &[u8], i: &[u8], l: &[u8], p: &[u8]| {
        let mut payload = vec![0xa4];
        for (key, value) in [(b"f", f), (b"i", i), (b"l", l), (b"p", p)] {
            payload.push(0x61);
            payload.extend_from_slice(key);
            payload.extend_from_slice(value);
        }
        payload
    };
    let cbor = [
        (Vec::new(), BadMessage::Cbor),
        (vec![0xa0], BadMessage::Form),
        (vec![0x80], BadMessage::Form),
        (vec![0xa1, 0x01, 0x01], BadMessage::Form),
        (
            vec![0xbb, 255, 255, 255, 255, 255, 255, 255, 255],
            BadMessage::Cbor,
        ),
        (block.to_vec(), BadMessage::Form),
        (with(&[0], &[2], &[3], &[0x43, 1, 2]), BadMessage::Cbor),
        (
            with(&[0], &[2], &[3], &[0x63, b'a', b'b', b'c']),
            BadMessage::Form,
        ),
        (
            with(&[0], &[0x21], &[3], &[0x43, 1, 2, 3]),
            BadMessage::Form,
        ),
        (
            with(&[0], &[2], &[4], &[0x43, 1, 2, 3]),
            BadMessage::Value("l"),
        ),
        (
            with(&[0], &[2], &[3], &[0x43, 1, 2, 3, 4]),
            BadMessage::Cbor,
        ),
    ];
    for (payload, bad) in cbor {
        let mut scratch = Vec::new();
        let read = Data::read(Encoding::Cbor, &payload, &mut scratch);
        assert_eq!(read, Err(bad), "{payload:02x?}");
    }
}

/// Other encoders may order members as they like, add some, and leave lengths open.
#[test]
fn cbor_of_other_encoders() {
    let cbor = [
        0xbf, // a map of any length
        0x61, b'x', 0x82, 0x01, 0xbf, 0xff, // "x": [1, {}]
        0x61, b'p', 0x43, 0x01, 0x02, 0xff, // "p": h'0102ff'
        0x61, b'i', 0x18, 0x02, // "i": 2, longer than it has to be
        0x61, b'l', 0x03, // "l": 3
        0x61, b'f', 0x00, // "f": 0
        0xff, // its end
    ];
    let mut scratch = Vec::new();
    let read = Data::read(Encoding::Cbor, &cbor, &mut scratch).expect("a block");
    assert_eq!((read.index, read.bytes), (2, &[1, 2, 255][..]));
    let open = &cbor[..cbor.len() - 1];
    let mut scratch = Vec::new();
    let read = Data::read(Encoding::Cbor, open, &mut scratch);
    assert_eq!(read, Err(BadMessage::Cbor));
}

#[test]
fn requests_that_are_none() {
    let json = [
        ("{}", BadMessage::Form, ErrorCode::InvalidRequest),
        (r#"{"f":0}"#, BadMessage::Form, ErrorCode::InvalidRequest),
        (
            r#"{"f":0,"l":4096,"b":"0x1"}"#,
            BadMessage::Form,
            ErrorCode::InvalidRequest,
        ),
        (
            r#"{"f":0,"l":4096,"b":"xyz0"}"#,
            BadMessage::Form,
            ErrorCode::InvalidRequest,
        ),
        (
            r#"{"f":0,"l":4096,"n":1.5}"#,
            BadMessage::Form,
            ErrorCode::InvalidRequest,
        ),
        ("nonsense", BadMessage::Json, ErrorCode::InvalidJson),
    ];
    for (payload, bad, code) in json {
        let read = Get::read(Encoding::Json, payload.as_bytes());
        assert_eq!(read, Err(bad), "{payload}");
        assert_eq!(ErrorCode::of_bad_message(bad), code);
    }
    let read = Get::read(Encoding::Cbor, &[0xa1, 0x61]);
    assert_eq!(read, Err(BadMessage::Cbor));
    assert_eq!(
        ErrorCode::of_bad_message(BadMessage::Cbor),
        ErrorCode::InvalidCbor
    );
    assert_eq!(
        ErrorCode::of_bad_message(BadMessage::Topic),
        ErrorCode::InvalidTopic
    );
}

#[test]
fn a_description_asked_for_and_sent() {
    let asked = Describe {
        token: Some("a".into()),
    };
    let goldens = [
        (Encoding::Json, &br#"{"c":"a"}"#[..]),
        (Encoding::Cbor, &[0xa1, 0x61, b'c', 0x61, b'a']),
    ];
    for (encoding, golden) in goldens {
        assert_eq!(asked.write(encoding), golden);
        assert_eq!(Describe::read(encoding, golden), Ok(asked.clone()));
    }
    for (encoding, golden) in [(Encoding::Json, &b"{}"[..]), (Encoding::Cbor, &[0xa0])] {
        assert_eq!(Describe::default().write(encoding), golden);
        assert_eq!(Describe::read(encoding, golden), Ok(Describe::default()));
    }
    let files = [(0, 131_072), (1, 51_200)];
    let described = Described {
        token: Some("a".into()),
        version: 1,
        description: "x".into(),
        files: files.map(|(file, bytes)| File { file, bytes }).to_vec(),
    };
    let json = br#"{"c":"a","s":1,"d":"x","r":[{"f":0,"z":131072},{"f":1,"z":51200}]}"#;
    let cbor = [
        0xa4, // a map of four
        0x61, b'c', 0x61, b'a', // "c": "a"
        0x61, b's', 0x01, // "s": 1
        0x61, b'd', 0x61, b'x', // "d": "x"
        0x61, b'r', 0x82, // "r": two
        0xa2, 0x61, b'f', 0x00, 0x61, b'z', 0x1a, 0x00, 0x02, 0x00, 0x00, // 0, 131072
        0xa2, 0x61, b'f', 0x01, 0x61, b'z', 0x19, 0xc8, 0x00, // 1, 51200
    ];
    for (encoding, golden) in [(Encoding::Json, &json[..]), (Encoding::Cbor, &cbor)] {
        assert_eq!(described.write(encoding), golden);
        assert_eq!(Described::read(encoding, golden), Ok(described.clone()));
    }
}

#[test]
fn an_error() {
    let error = StreamError {
        code: ErrorCode::ResourceNotFound,
        message: "x".into(),
        token: Some("rdy".into()),
    };
    let json = br#"{"o":"ResourceNotFound","m":"x","c":"rdy"}"#;
    let mut cbor = vec![0xa3, 0x61, b'o', 0x70];
    cbor.extend_from_slice(b"ResourceNotFound");
    cbor.extend_from_slice(&[0x61, b'm', 0x61, b'x', 0x61, b'c', 0x63, b'r', b'd', b'y']);
    for (encoding, golden) in [(Encoding::Json, &json[..]), (Encoding::Cbor, &cbor)] {
        assert_eq!(error.write(encoding), golden);
        assert_eq!(StreamError::read(encoding, golden), Ok(error.clone()));
    }
    // The long names of the guide's note on older services.
    let long = br#"{"code":"ResourceNotFound","message":"x","clientToken":"rdy"}"#;
    assert_eq!(StreamError::read(Encoding::Json, long), Ok(error));
}

/// All codes of the guide, in both encodings.
#[test]
fn codes() {
    let words = [
        "InvalidTopic",
        "InvalidJson",
        "InvalidCbor",
        "InvalidRequest",
        "Unauthorized",
        "BlockSizeOutOfBounds",
        "OffsetOutOfBounds",
        "BlockCountLimitExceeded",
        "BlockBitmapLimitExceeded",
        "ResourceNotFound",
        "VersionMismatch",
        "ETagMismatch",
        "InternalError",
    ];
    for word in words {
        let code = ErrorCode::of_word(word);
        assert_ne!(code, ErrorCode::Unknown, "{word}");
        assert_eq!(code.word(), word);
        for encoding in BOTH {
            let error = StreamError {
                code,
                message: "".into(),
                token: None,
            };
            let payload = error.write(encoding);
            assert!(
                payload
                    .windows(word.len())
                    .any(|part| part == word.as_bytes())
            );
            assert_eq!(StreamError::read(encoding, &payload), Ok(error));
        }
    }
    assert_eq!(ErrorCode::of_word("invalidtopic"), ErrorCode::Unknown);
    let new = StreamError::read(Encoding::Json, br#"{"o":"SomethingNew"}"#);
    assert_eq!(new.map(|error| error.code), Ok(ErrorCode::Unknown));
}
