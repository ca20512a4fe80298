//! Routing: which sessions a topic reaches. Filters are exact topics, or end in one wildcard level
//! (`a/b/+`, `a/b/#`); wildcards elsewhere are refused. Cost is a look-up per publish, plus one per
//! topic level only while a filter with `#` exists.

use super::slab::{Index, Slab};
use crate::mqtt::packet::QoS;
use hashbrown::HashTable;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::num::NonZero;

/// All subscriptions of a node.
#[derive(Debug)]
pub(super) struct Routes {
    filters: Slab<Filter>,
    /// Index of `filters`, for look-up only.
    by_name: HashTable<Index>,
    /// Filters ending in `+`.
    single_level: usize,
    /// Filters ending in `#`.
    multi_level: usize,
    /// Where the wildcard filters a topic could match are put together.
    scratch: String,
}

#[derive(Debug)]
struct Filter {
    /// In place up to 23 bytes, so that a look-up finds it beside the subscribers.
    name: SmolStr,
    subscribers: Subscribers,
}

/// Nearly every filter of a fleet has one subscriber; the others are kept in session order.
#[derive(Debug)]
enum Subscribers {
    One(Index, QoS),
    #[expect(
        clippy::box_collection,
        reason = "a filter with one subscriber stays at 16 bytes"
    )]
    Many(Box<BTreeMap<Index, QoS>>),
}

/// Where a filter was found; a hint, since filters come and go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Route(NonZero<Index>);

impl Route {
    fn new(index: Index) -> Option<Self> {
        NonZero::new(index.wrapping_add(1)).map(Self)
    }

    const fn index(self) -> Index {
        self.0.get() - 1
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Wildcard {
    None,
    Single,
    Multi,
}

/// Whether the filter is one this backend routes by.
pub(super) fn is_supported(filter: &str) -> bool {
    let stem = match wildcard(filter) {
        Wildcard::None => filter,
        Wildcard::Single | Wildcard::Multi => &filter[..filter.len() - 1],
    };
    !filter.is_empty() && !stem.contains(['+', '#', '\0'])
}

/// Whether a PUBLISH may carry the topic.
pub(super) fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.bytes().any(|b| matches!(b, b'+' | b'#' | 0))
}

impl Routes {
    pub(super) const fn new() -> Self {
        Self {
            filters: Slab::new(),
            by_name: HashTable::new(),
            single_level: 0,
            multi_level: 0,
            scratch: String::new(),
        }
    }

    /// Adds or renews a subscription; the index of the filter if it is new to the session.
    pub(super) fn subscribe(&mut self, filter: &str, session: Index, qos: QoS) -> Option<Index> {
        if let Some(index) = self.find(filter) {
            let known = self
                .filters
                .get_mut(index)
                .expect("by_name names live filters");
            return known.subscribers.add(session, qos).then_some(index);
        }
        let index = self.filters.insert(Filter {
            name: filter.into(),
            subscribers: Subscribers::One(session, qos),
        });
        let filters = &self.filters;
        self.by_name
            .insert_unique(hash(filter), index, |&i| hash(name(filters, i)));
        if let Some(count) = self.wildcards(filter) {
            *count += 1;
        }
        Some(index)
    }

    /// Ends a session's subscription to the filter with this index.
    pub(super) fn unsubscribe(&mut self, index: Index, session: Index) {
        let Some(filter) = self.filters.get_mut(index) else {
            return;
        };
        if !filter.subscribers.remove(session) {
            return;
        }
        let gone = self.filters.remove(index).expect("was found just now");
        if let Ok(entry) = self.by_name.find_entry(hash(&gone.name), |&i| i == index) {
            entry.remove();
        }
        if let Some(count) = self.wildcards(&gone.name) {
            *count -= 1;
        }
    }

    /// The index of a filter.
    pub(super) fn find(&self, filter: &str) -> Option<Index> {
        self.by_name
            .find(hash(filter), |&i| name(&self.filters, i) == filter)
            .copied()
    }

    /// Puts the sessions that `topic` reaches into `out`, each once with its highest granted QoS.
    /// `hint` is what the latest such call gave for this publisher, and spares it the look-up if the
    /// topic is the same: the filter that is named like the topic.
    pub(super) fn matching(
        &mut self,
        topic: &str,
        hint: Option<Route>,
        out: &mut Vec<(Index, QoS)>,
    ) -> Option<Route> {
        out.clear();
        let exact = self.find_near(topic, hint);
        if let Some(index) = exact {
            self.collect_at(index, out);
        }
        if self.single_level + self.multi_level > 0 {
            self.collect_wildcards(topic, out);
        }
        exact.and_then(Route::new)
    }

    /// Reads the filter and nothing more; gives a session that it reaches.
    pub(super) fn glance(&self, route: Route) -> Option<Index> {
        match &self.filters.get(route.index())?.subscribers {
            Subscribers::One(session, _) => Some(*session),
            Subscribers::Many(_) => None,
        }
    }

    fn find_near(&self, topic: &str, hint: Option<Route>) -> Option<Index> {
        let hinted = hint.map(Route::index);
        match hinted.filter(|&index| name(&self.filters, index) == topic) {
            Some(index) => Some(index),
            None => self.find(topic),
        }
    }

    fn collect_wildcards(&mut self, topic: &str, out: &mut Vec<(Index, QoS)>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let last_level = topic.rfind('/').map_or(0, |at| at + 1);
        if self.single_level > 0 && !is_hidden(topic, last_level) {
            self.collect(joined(&mut scratch, &topic[..last_level], "+"), out);
        }
        if self.multi_level > 0 {
            if !is_hidden(topic, 0) {
                self.collect("#", out);
            }
            for (at, _) in topic.match_indices('/') {
                self.collect(joined(&mut scratch, &topic[..=at], "#"), out);
            }
            self.collect(joined(&mut scratch, topic, "/#"), out);
        }
        self.scratch = scratch;
        out.sort_unstable_by_key(|&(session, qos)| (session, std::cmp::Reverse(qos)));
        out.dedup_by_key(|&mut (session, _)| session);
    }

    /// Bytes of memory, heap included.
    pub(super) fn bytes(&self) -> usize {
        let names: usize = self.filters.values().map(|f| text_heap(&f.name)).sum();
        self.filters.own_bytes() + table_bytes(&self.by_name) + names
    }

    fn collect(&self, filter: &str, out: &mut Vec<(Index, QoS)>) {
        if let Some(index) = self.find(filter) {
            self.collect_at(index, out);
        }
    }

    fn collect_at(&self, index: Index, out: &mut Vec<(Index, QoS)>) {
        let found = self.filters.get(index).expect("by_name names live filters");
        match &found.subscribers {
            Subscribers::One(session, qos) => out.push((*session, *qos)),
            Subscribers::Many(many) => out.extend(many.iter().map(|(&s, &q)| (s, q))),
        }
    }

    /// The count of filters with this filter's wildcard, if it has one.
    fn wildcards(&mut self, filter: &str) -> Option<&mut usize> {
        match wildcard(filter) {
            Wildcard::None => None,
            Wildcard::Single => Some(&mut self.single_level),
            Wildcard::Multi => Some(&mut self.multi_level),
        }
    }
}

impl Subscribers {
    /// Adds or renews; whether the session is new here.
    fn add(&mut self, session: Index, qos: QoS) -> bool {
        match self {
            Self::One(only, granted) if *only == session => {
                *granted = qos;
                false
            }
            Self::One(only, granted) => {
                let both = BTreeMap::from([(*only, *granted), (session, qos)]);
                *self = Self::Many(Box::new(both));
                true
            }
            Self::Many(many) => many.insert(session, qos).is_none(),
        }
    }

    /// Removes; whether nobody is left.
    fn remove(&mut self, session: Index) -> bool {
        match self {
            Self::One(only, _) => *only == session,
            Self::Many(many) => {
                many.remove(&session);
                many.is_empty()
            }
        }
    }
}

/// Bytes an allocation of `len` bytes takes from a 64-bit glibc heap: 8 bytes of header, rounded up
/// to 16, at least 32.
pub(super) const fn heap(len: usize) -> usize {
    match len {
        0 => 0,
        _ => {
            let chunk = (len + 8).next_multiple_of(16);
            if chunk < 32 { 32 } else { chunk }
        }
    }
}

/// Bytes a text takes from the heap: none up to 23 bytes, else those and two counters.
pub(super) fn text_heap(text: &SmolStr) -> usize {
    match text.is_heap_allocated() {
        true => heap(text.len() + 2 * size_of::<usize>()),
        false => 0,
    }
}

/// Bytes of a look-up table: the indexes and a control byte each, by capacity (7/8 of the buckets).
pub(super) fn table_bytes(table: &HashTable<Index>) -> usize {
    table.capacity() * 8 / 7 * (size_of::<Index>() + 1)
}

/// Hash of a name. `DefaultHasher::new` has fixed keys, so that runs are alike.
pub(super) fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}

fn name(filters: &Slab<Filter>, index: Index) -> &str {
    filters.get(index).map_or("", |f| &*f.name)
}

fn wildcard(filter: &str) -> Wildcard {
    let level = filter.rsplit('/').next().unwrap_or(filter);
    match level {
        "+" => Wildcard::Single,
        "#" => Wildcard::Multi,
        _ => Wildcard::None,
    }
}

/// Topics that begin with `$` are not matched by a wildcard in the first level (4.7.2).
fn is_hidden(topic: &str, wildcard_at: usize) -> bool {
    wildcard_at == 0 && topic.starts_with('$')
}

fn joined<'a>(scratch: &'a mut String, stem: &str, tail: &str) -> &'a str {
    scratch.clear();
    scratch.push_str(stem);
    scratch.push_str(tail);
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const Q0: QoS = QoS::AtMostOnce;
    const Q1: QoS = QoS::AtLeastOnce;

    fn sessions(routes: &mut Routes, topic: &str) -> Vec<(Index, QoS)> {
        let mut out = Vec::new();
        routes.matching(topic, None, &mut out);
        out
    }

    #[test]
    fn filters_match_as_section_4_7_says() {
        let table = [
            ("a/b", "a/b", true),
            ("a/b", "a/B", false),
            ("a/b", "a/b/", false),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+", "a", true),
            ("+", "/a", false),
            ("/+", "/a", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("a/#", "a/", true),
            ("#", "a/b", true),
            ("#", "$SYS/up", false),
            ("+", "$SYS", false),
            ("$SYS/#", "$SYS/up", true),
            ("$SYS/+", "$SYS/up", true),
        ];
        for (filter, topic, expected) in table {
            let mut routes = Routes::new();
            assert!(is_supported(filter), "{filter}");
            routes.subscribe(filter, 7, Q1);
            let got = sessions(&mut routes, topic);
            assert_eq!(!got.is_empty(), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn other_wildcards_are_refused() {
        for filter in ["", "a/+/b", "a+", "+/#", "a/#/b", "a#", "#/", "a\0"] {
            assert!(!is_supported(filter), "{filter:?}");
        }
        for topic in ["", "a/+", "#", "a\0b"] {
            assert!(!is_topic(topic), "{topic:?}");
        }
    }

    #[test]
    fn overlapping_filters_reach_a_session_once_with_the_highest_qos() {
        let mut routes = Routes::new();
        routes.subscribe("a/b", 1, Q0);
        routes.subscribe("a/+", 1, Q1);
        routes.subscribe("#", 0, Q0);
        assert_eq!(sessions(&mut routes, "a/b"), [(0, Q0), (1, Q1)]);
        assert_eq!(routes.subscribe("a/b", 1, Q1), None, "renewed");
    }

    #[test]
    fn a_filter_without_subscribers_is_gone() {
        let mut routes = Routes::new();
        let index = routes.subscribe("a/#", 1, Q1).expect("new");
        assert_eq!(routes.subscribe("a/#", 2, Q0), Some(index));
        routes.unsubscribe(index, 1);
        assert_eq!(sessions(&mut routes, "a"), [(2, Q0)]);
        routes.unsubscribe(index, 2);
        assert_eq!(routes.find("a/#"), None);
        assert_eq!((routes.multi_level, routes.single_level), (0, 0));
    }

    /// Section 4.7 level by level, without look-ups.
    fn reference(filter: &str, topic: &str) -> bool {
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let (mut f, mut t) = (filter.split('/'), topic.split('/'));
        loop {
            match (f.next(), t.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(a), Some(b)) if a == b => {}
                (Some(_) | None, _) => return false,
            }
        }
    }

    proptest! {
        #[test]
        fn look_up_agrees_with_the_plain_rule(
            filters in prop::collection::vec("[a$]?(/[ab]?){0,3}(/[+#])?|[+#]", 1..12),
            topic in "[a$]?(/[ab]?){0,3}",
        ) {
            let mut routes = Routes::new();
            let mut expected = Vec::new();
            for (session, filter) in (0..).zip(&filters) {
                if is_supported(filter) {
                    routes.subscribe(filter, session, Q1);
                    if is_topic(&topic) && reference(filter, &topic) {
                        expected.push((session, Q1));
                    }
                }
            }
            if is_topic(&topic) {
                prop_assert_eq!(sessions(&mut routes, &topic), expected);
            }
        }
    }
}
