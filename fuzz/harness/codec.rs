//! The codec: arbitrary bytes and split points. It never panics, gives the same however the bytes
//! are cut, encodes what it decoded to the same bytes, and agrees with rumqttc's codec.

use super::script::Script;
use bytes::BytesMut;
use fleetstorm::mqtt::codec::{self, CodecError};
use fleetstorm::mqtt::packet::{Connect, Packet};
use rumqttc::mqttbytes::v4;

/// Limits on the packet length that scripts may choose from, in bytes.
const LIMITS: [usize; 4] = [16, 200, 4096, usize::MAX];

/// The first byte chooses the limit, the second the size of the pieces, the rest is the stream.
pub(crate) fn check(data: &[u8]) {
    let mut script = Script(data);
    let max_len = LIMITS[usize::from(script.byte_or_zero()) % LIMITS.len()];
    let piece = usize::from(script.byte_or_zero()).max(1);
    let stream = script.0;

    let mut at = 0;
    let end = loop {
        let rest = &stream[at..];
        let decoded = codec::decode(rest, max_len);
        check_pieces(rest, max_len, piece, &decoded);
        match decoded {
            Ok(Some((packet, len))) => {
                assert!(len <= max_len && len <= rest.len());
                check_packet(&packet, &rest[..len]);
                at += len;
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if let Some(CodecError::TooLong { len, max }) = end {
        assert!(len > max && max == max_len);
    }
}

/// However the bytes come, the answer is the same: first `None`, then this one.
fn check_pieces(
    rest: &[u8],
    max_len: usize,
    piece: usize,
    whole: &Result<Option<(Packet<'_>, usize)>, CodecError>,
) {
    let mut end = 0;
    while end < rest.len() {
        end = (end + piece).min(rest.len());
        let framed = codec::frame_len(&rest[..end], max_len);
        match codec::decode(&rest[..end], max_len) {
            Ok(None) => {
                if let (Ok(Some(len)), Ok(Some((_, whole_len)))) = (framed, whole) {
                    assert_eq!(len, *whole_len);
                }
            }
            first @ (Ok(Some(_)) | Err(_)) => return assert_eq!(first, *whole),
        }
    }
    assert!(matches!(whole, Ok(None)), "{whole:?}");
}

fn check_packet(packet: &Packet<'_>, bytes: &[u8]) {
    let mut again = Vec::new();
    codec::encode(packet, &mut again).expect("what was decoded can be encoded");
    assert_eq!(again.len(), codec::encoded_len(packet));
    // The fixed header may have been longer than it has to be; the first byte and the body may not
    // differ.
    assert_eq!(again[0], bytes[0]);
    assert_eq!(body(&again), body(bytes));

    let theirs = v4::Packet::read(&mut BytesMut::from(bytes), usize::MAX)
        .expect("rumqttc accepts all that is sound");
    if says_empty_login(packet) {
        return;
    }
    let mut written = BytesMut::new();
    theirs
        .write(&mut written, usize::MAX)
        .expect("rumqttc writes what it has read");
    assert_eq!(again, written);
}

/// rumqttc writes an empty user name or password as none.
fn says_empty_login(packet: &Packet<'_>) -> bool {
    let Packet::Connect(connect) = packet else {
        return false;
    };
    let Connect {
        username, password, ..
    } = &**connect;
    [username, password]
        .into_iter()
        .any(|text| text.as_deref() == Some(""))
}

/// A packet without its fixed header.
fn body(bytes: &[u8]) -> &[u8] {
    let continued = bytes[1..].iter().take_while(|b| **b & 0x80 != 0).count();
    &bytes[1 + continued + 1..]
}
