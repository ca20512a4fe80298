//! What a managed device says at QoS 1 or 2: statuses, questions, answers and reports. Unlike
//! telemetry they cannot be regenerated, so they lie here until they are acknowledged, for a
//! resumed session may want them again.

use super::OwnedPublish;
use crate::mqtt::packet::{PacketId, QoS};

/// Messages that may lie here at a time. A status or a question is said again anyway; of an answer the
/// asker asks again.
pub(super) const OUTBOX_MAX: usize = 32;

/// What a message is, for whoever wants to know that it has arrived.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Of the state; only the latest one counts.
    Report,
    /// For the next job; only the latest one counts.
    Question,
    /// Of the update; which one.
    Status(u32),
    /// To a command.
    Answer,
}

/// A message to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// What it is.
    pub(super) what: What,
    /// Quality of service.
    pub(super) qos: QoS,
    /// Topic Name.
    pub(super) topic: String,
    /// Application message.
    pub(super) payload: Vec<u8>,
}

impl Letter {
    /// As it goes out.
    pub(super) fn publish(&self, packet_id: PacketId, dup: bool) -> OwnedPublish {
        OwnedPublish {
            qos: self.qos,
            retain: false,
            dup,
            packet_id,
            topic: self.topic.clone(),
            payload: self.payload.clone(),
        }
    }
}

impl Letter {
    /// As it goes out at QoS 0.
    pub(super) fn into_publish(self) -> OwnedPublish {
        OwnedPublish {
            qos: self.qos,
            retain: false,
            dup: false,
            packet_id: 0,
            topic: self.topic,
            payload: self.payload,
        }
    }
}

/// No place.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The messages that are not acknowledged, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: Vec<Entry>,
    /// The number given out last.
    last: u16,
}

#[derive(Debug)]
struct Entry {
    number: u16,
    /// It was written, and waits for its acknowledgement.
    written: bool,
    letter: Letter,
}

impl Outbox {
    /// Takes `letter`. A report or question that still waits to be written makes way for a newer one.
    ///
    /// # Errors
    /// If [`OUTBOX_MAX`] messages lie here.
    pub(super) fn put(&mut self, letter: Letter) -> Result<(), Full> {
        let replaces = match letter.what {
            What::Report | What::Question => true,
            What::Status(_) | What::Answer => false,
        };
        if replaces {
            self.entries
                .retain(|entry| entry.written || entry.letter.what != letter.what);
        }
        if self.entries.len() >= OUTBOX_MAX {
            return Err(Full);
        }
        self.last = self.last.wrapping_add(1);
        self.entries.push(Entry {
            number: self.last,
            written: false,
            letter,
        });
        Ok(())
    }

    /// Takes the statuses back that were not written yet: there is a newer one.
    pub(super) fn withdraw_statuses(&mut self) {
        self.entries.retain(|entry| match entry.letter.what {
            What::Status(_) => entry.written,
            What::Report | What::Question | What::Answer => true,
        });
    }

    /// The oldest message that was not written, and its number.
    pub(super) fn next(&self) -> Option<(u16, &Letter)> {
        let entry = self.entries.iter().find(|entry| !entry.written)?;
        Some((entry.number, &entry.letter))
    }

    /// Message `number` was written.
    pub(super) fn wrote(&mut self, number: u16) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.number == number) {
            entry.written = true;
        }
    }

    /// Message `number`, to be written again.
    pub(super) fn get(&self, number: u16) -> Option<&Letter> {
        let entry = self.entries.iter().find(|entry| entry.number == number)?;
        Some(&entry.letter)
    }

    /// Message `number` is acknowledged; what it was.
    pub(super) fn take(&mut self, number: u16) -> Option<What> {
        let index = self.entries.iter().position(|e| e.number == number)?;
        Some(self.entries.remove(index).letter.what)
    }

    /// The session is gone, the memory is not: what was written is to be written anew.
    pub(super) fn again(&mut self) {
        for entry in &mut self.entries {
            entry.written = false;
        }
    }

    /// The memory is gone.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Bytes it holds on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let texts = |entry: &Entry| entry.letter.topic.capacity() + entry.letter.payload.capacity();
        let texts: usize = self.entries.iter().map(texts).sum();
        texts + self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(what: What, payload: &str) -> Letter {
        Letter {
            what,
            qos: QoS::AtLeastOnce,
            topic: "t".into(),
            payload: payload.into(),
        }
    }

    #[test]
    fn what_is_written_stays_until_it_is_acknowledged() {
        let mut outbox = Outbox::default();
        for (what, payload) in [
            (What::Report, "old"),
            (What::Status(1), "s"),
            (What::Report, "new"),
        ] {
            assert_eq!(outbox.put(letter(what, payload)), Ok(()));
        }
        let (number, first) = outbox.next().expect("two wait");
        assert_eq!(first.payload, b"s", "the old report has made way");
        outbox.wrote(number);
        // Only one that is not written can be taken back.
        assert_eq!(outbox.put(letter(What::Status(2), "old")), Ok(()));
        outbox.withdraw_statuses();
        let (report, next) = outbox.next().expect("one waits");
        assert_eq!(next.payload, b"new");
        outbox.wrote(report);
        // Written, so it may not make way: a resumed session may want it again.
        assert_eq!(outbox.put(letter(What::Report, "newer")), Ok(()));
        assert_eq!(outbox.get(report).expect("kept").payload, b"new");
        assert_eq!(outbox.take(number), Some(What::Status(1)));
        assert_eq!(outbox.take(number), None);
        outbox.again();
        assert_eq!(outbox.next().expect("waits anew").0, report);
    }

    #[test]
    fn it_is_bounded() {
        let mut outbox = Outbox::default();
        for _ in 0..OUTBOX_MAX {
            assert_eq!(outbox.put(letter(What::Answer, "")), Ok(()));
        }
        assert_eq!(outbox.put(letter(What::Answer, "")), Err(Full));
        outbox.clear();
        assert_eq!(outbox.put(letter(What::Answer, "")), Ok(()));
    }
}
