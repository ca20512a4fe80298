//! Retained messages, one per topic, and which of them a new subscription gets. They lie sorted by
//! level, so that all topics below a level are neighbours: a filter with wildcards jumps from one
//! neighbourhood that can match to the next, and never looks at the others.

use super::Message;
use super::memory::heap;
use super::topic::has_wildcard;
use crate::mqtt::packet::QoS;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Messages that a node retains.
pub(super) const MESSAGES_MAX: usize = 2_000_000;

/// Bytes of topics and payloads that a node retains.
pub(super) const BYTES_MAX: usize = 512 << 20;

/// Bytes that an entry of the tree takes beside its key and value: its nodes are two thirds full,
/// and name a parent.
const TREE_SHARE: usize = 24;

/// The byte between the levels of a key. No topic has it, and none is lower.
const SEPARATOR: u8 = 0;

/// All retained messages of a node.
#[derive(Debug, Default)]
pub(super) struct Retained {
    /// By topic, with [`SEPARATOR`] for `/`.
    by_topic: BTreeMap<Box<[u8]>, Kept>,
    /// Of topics and payloads.
    bytes: usize,
    /// The key at hand.
    key: Vec<u8>,
}

#[derive(Debug)]
struct Kept {
    /// Of the message as it was published.
    qos: QoS,
    message: Arc<Message>,
}

impl Retained {
    /// Keeps a message in place of the one its topic had (3.3.1-5); `false` if there is no room. The
    /// old one is gone either way: it is not the topic's last message any more.
    pub(super) fn store(&mut self, qos: QoS, message: &Arc<Message>) -> bool {
        self.delete(&message.topic);
        let bytes = self.bytes + message_bytes(message);
        if self.by_topic.len() >= MESSAGES_MAX || bytes > BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        let kept = Kept {
            qos,
            message: Arc::clone(message),
        };
        // `delete` has left the key.
        self.by_topic.insert(self.key.as_slice().into(), kept);
        true
    }

    /// Forgets the message of a topic; whether there was one.
    pub(super) fn delete(&mut self, topic: &str) -> bool {
        make_key(topic, &mut self.key);
        let Some(gone) = self.by_topic.remove(self.key.as_slice()) else {
            return false;
        };
        self.bytes -= message_bytes(&gone.message);
        true
    }

    /// Names each message whose topic the filter matches, with the QoS it was published at, sorted by
    /// level.
    pub(super) fn each_matching(&self, filter: &str, mut found: impl FnMut(QoS, &Arc<Message>)) {
        let mut seek = Vec::new();
        make_key(filter, &mut seek);
        if !has_wildcard(filter) {
            if let Some(kept) = self.by_topic.get(seek.as_slice()) {
                found(kept.qos, &kept.message);
            }
            return;
        }
        let filter = Levels::new(filter);
        seek.clear();
        loop {
            let from = (Bound::Included(seek.as_slice()), Bound::Unbounded);
            let mut jumps = false;
            for (key, kept) in self.by_topic.range::<[u8], _>(from) {
                match filter.judge(key) {
                    Verdict::Match => found(kept.qos, &kept.message),
                    Verdict::TooShort => {}
                    Verdict::Jump(stem, then) => {
                        seek.clear();
                        seek.extend_from_slice(stem);
                        seek.extend_from_slice(then);
                        jumps = true;
                        break;
                    }
                    Verdict::NoMore => return,
                }
            }
            if !jumps {
                return;
            }
        }
    }

    /// Number of messages.
    pub(super) fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// Bytes of memory, heap included.
    pub(super) fn state_bytes(&self) -> usize {
        let entry = size_of::<(Box<[u8]>, Kept)>() + TREE_SHARE;
        let shared = heap(2 * size_of::<usize>() + size_of::<Message>());
        let owned = self.by_topic.iter().map(|(key, kept)| {
            let Message { topic, payload, .. } = &*kept.message;
            heap(key.len()) + shared + heap(topic.len()) + heap(payload.len())
        });
        self.by_topic.len() * entry + owned.sum::<usize>()
    }
}

/// A filter with wildcards, as keys see it; as deep as `topic::LEVELS_MAX` at most.
struct Levels<'a>(SmallVec<[Level<'a>; 8]>);

#[derive(Copy, Clone)]
enum Level<'a> {
    Text(&'a [u8]),
    /// `+`.
    One,
    /// `#`.
    Rest,
}

/// What a key is to a filter, and where the next one lies that may match.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<'a> {
    /// It matches; the next may as well.
    Match,
    /// It ends above what matches; that comes right behind it.
    TooShort,
    /// It does not match, nor does any before the one that these two spell.
    Jump(&'a [u8], &'a [u8]),
    /// It does not match, nor does any behind it.
    NoMore,
}

/// Behind a stem: past all topics that have it, and are it or lie below it.
const PAST: &[u8] = &[SEPARATOR + 1];

impl<'a> Levels<'a> {
    fn new(filter: &'a str) -> Self {
        let levels = filter.split('/').map(|level| match level {
            "+" => Level::One,
            "#" => Level::Rest,
            text => Level::Text(text.as_bytes()),
        });
        Self(levels.collect())
    }

    fn judge<'k>(&'k self, key: &'k [u8]) -> Verdict<'k> {
        let begins_wild = !matches!(self.0.first(), Some(Level::Text(_)));
        if begins_wild && key.first() == Some(&b'$') {
            // 4.7.2-1.
            return Verdict::Jump(&[b'$' + 1], &[]);
        }
        // Where the key's next level begins; behind its end if it has none left.
        let mut from = 0;
        // Where the latest level ends that a `+` took.
        let mut plus_end = None;
        for level in &self.0 {
            if matches!(level, Level::Rest) {
                return Verdict::Match;
            }
            let Some(rest) = key.get(from..) else {
                return Verdict::TooShort;
            };
            let len = rest.iter().position(|b| *b == SEPARATOR);
            let end = from + len.unwrap_or(rest.len());
            match level {
                Level::One | Level::Rest => plus_end = Some(end),
                Level::Text(text) => match key[from..end].cmp(text) {
                    std::cmp::Ordering::Equal => {}
                    std::cmp::Ordering::Less => return Verdict::Jump(&key[..from], text),
                    std::cmp::Ordering::Greater => {
                        return plus_end
                            .map_or(Verdict::NoMore, |end| Verdict::Jump(&key[..end], PAST));
                    }
                },
            }
            from = end + 1;
        }
        match key.get(..from) {
            // It goes on below what matches.
            Some(stem) => Verdict::Jump(&stem[..from - 1], PAST),
            None => Verdict::Match,
        }
    }
}

fn make_key(topic: &str, key: &mut Vec<u8>) {
    key.clear();
    key.extend(topic.bytes().map(|byte| match byte {
        b'/' => SEPARATOR,
        byte => byte,
    }));
}

const fn message_bytes(message: &Message) -> usize {
    message.topic.len() + message.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::topic::{is_filter, is_topic, matches};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn message(topic: &str, payload: &[u8]) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            owner_len: 0,
            payload: Bytes::copy_from_slice(payload),
        })
    }

    fn store(retained: &mut Retained, topic: &str) {
        assert!(retained.store(QoS::AtLeastOnce, &message(topic, b"x")));
    }

    fn found(retained: &Retained, filter: &str) -> Vec<String> {
        let mut found = Vec::new();
        retained.each_matching(filter, |_, message| found.push(message.topic.to_string()));
        found
    }

    /// 3.3.1-5, 3.3.1-7.
    #[test]
    fn a_topic_has_one_message_the_latest() {
        let mut retained = Retained::default();
        retained.store(QoS::ExactlyOnce, &message("a/b", b"old"));
        retained.store(QoS::AtMostOnce, &message("a/b", b"newer"));
        let mut got = Vec::new();
        retained.each_matching("a/b", |qos, message| {
            got.push((qos, message.payload.clone()))
        });
        assert_eq!(got, [(QoS::AtMostOnce, Bytes::from_static(b"newer"))]);
        assert_eq!((retained.len(), retained.bytes), (1, 8));
        assert!(retained.delete("a/b") && !retained.delete("a/b"));
        assert_eq!((retained.len(), retained.bytes), (0, 0));
    }

    #[test]
    fn bytes_are_bounded_and_what_was_replaced_is_gone() {
        let half = vec![0; BYTES_MAX / 2];
        let mut retained = Retained::default();
        assert!(retained.store(QoS::AtMostOnce, &message("a", &half)));
        assert!(retained.store(QoS::AtMostOnce, &message("b", b"old")));
        assert!(!retained.store(QoS::AtMostOnce, &message("b", &half)));
        assert_eq!(found(&retained, "#"), ["a"]);
    }

    #[test]
    fn levels_are_neighbours_whatever_letters_they_have() {
        let mut retained = Retained::default();
        for topic in [
            "a-b/c", "a/b", "a", "a/", "$SYS/a", "a//b", "b/a/b", "/a", "a/b/c",
        ] {
            store(&mut retained, topic);
        }
        let table: [(&str, &[&str]); 8] = [
            ("a/#", &["a", "a/", "a//b", "a/b", "a/b/c"]),
            ("a/+", &["a/", "a/b"]),
            ("+/b", &["a/b"]),
            ("+/+/b", &["a//b", "b/a/b"]),
            ("+", &["a"]),
            ("/+", &["/a"]),
            ("$SYS/#", &["$SYS/a"]),
            (
                "#",
                &["/a", "a", "a/", "a//b", "a/b", "a/b/c", "a-b/c", "b/a/b"],
            ),
        ];
        for (filter, expected) in table {
            assert_eq!(found(&retained, filter), expected, "{filter}");
        }
    }

    /// A jump goes ahead, and there is one for each neighbourhood at most.
    #[test]
    fn what_cannot_match_is_not_looked_at() {
        let filter = Levels::new("d/+/power");
        let judge = |key| filter.judge(key);
        assert_eq!(judge(b"a\0b"), Verdict::Jump(b"", b"d"));
        assert_eq!(judge(b"d"), Verdict::TooShort);
        assert_eq!(judge(b"d\x001"), Verdict::TooShort);
        assert_eq!(
            judge(b"d\x001\x00heat"),
            Verdict::Jump(b"d\x001\x00", b"power")
        );
        assert_eq!(judge(b"d\x001\x00power"), Verdict::Match);
        assert_eq!(
            judge(b"d\x001\x00power\0a"),
            Verdict::Jump(b"d\x001\x00power", PAST)
        );
        assert_eq!(judge(b"d\x001\x00state"), Verdict::Jump(b"d\x001", PAST));
        assert_eq!(judge(b"e"), Verdict::NoMore);
    }

    proptest! {
        #[test]
        fn the_walk_agrees_with_the_plain_rule(
            topics in prop::collection::btree_set("[ab$]?(/[a-]?b?){0,4}", 0..40),
            filters in prop::collection::vec("([ab$]?|[+])(/([a-]?b?|[+])){0,4}(/#)?|#", 1..8),
        ) {
            let mut retained = Retained::default();
            let topics: Vec<_> = topics.into_iter().filter(|t| is_topic(t)).collect();
            for topic in &topics {
                store(&mut retained, topic);
            }
            for filter in filters.iter().filter(|filter| is_filter(filter)) {
                let mut got = found(&retained, filter);
                got.sort();
                let expected = topics.iter().filter(|topic| matches(filter, topic));
                let expected: Vec<_> = expected.cloned().collect();
                prop_assert_eq!(got, expected, "{}", filter);
            }
        }
    }
}
