//! Will messages as sessions hold them.

use super::memory::heap;
use crate::mqtt::packet::{Publish, QoS, Will};

/// A will in one allocation: flags, length of the topic (2 bytes), topic, payload. A fleet's wills
/// are held for as long as it is connected.
#[derive(Debug)]
pub(super) struct StoredWill(Box<[u8]>);

/// Of the flags: the retain flag; the two bits below it are the QoS.
const RETAIN: u8 = 0b100;

impl StoredWill {
    pub(super) fn new(will: &Will) -> Self {
        let topic_len = u16::try_from(will.topic.len()).expect("an MQTT string is below 64 KiB");
        let mut bytes = Vec::with_capacity(3 + will.topic.len() + will.payload.len());
        bytes.push(will.qos as u8 | if will.retain { RETAIN } else { 0 });
        bytes.extend_from_slice(&topic_len.to_be_bytes());
        bytes.extend_from_slice(will.topic.as_bytes());
        bytes.extend_from_slice(&will.payload);
        Self(bytes.into_boxed_slice())
    }

    /// The message to be published; it comes from no packet and has no identifier.
    pub(super) fn as_publish(&self) -> Publish<'_> {
        let topic_len = usize::from(u16::from_be_bytes([self.0[1], self.0[2]]));
        let (topic, payload) = self.0[3..].split_at(topic_len);
        Publish {
            dup: false,
            qos: match self.0[0] & !RETAIN {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            },
            retain: self.0[0] & RETAIN != 0,
            packet_id: 0,
            topic: std::str::from_utf8(topic).expect("was a String"),
            payload,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        heap(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_will_keeps_its_parts() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for retain in [false, true] {
                let will = StoredWill::new(&Will {
                    topic: "d/ü".into(),
                    payload: vec![0, 255],
                    qos,
                    retain,
                });
                let publish = will.as_publish();
                assert_eq!((publish.topic, publish.payload), ("d/ü", &[0, 255][..]));
                assert_eq!((publish.qos, publish.retain), (qos, retain));
            }
        }
    }
}
