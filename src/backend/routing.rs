//! Routing: which sessions a topic reaches. A topic is looked up among the filters by its name, at
//! the place where its publisher's latest one was found first; filters with `+` and `#`, anywhere
//! that MQTT 3.1.1 section 4.7 allows, lie in a trie of their levels besides, which costs a topic
//! nothing while there is no such filter.

mod subscribers;
#[cfg(test)]
mod tests;
mod wildcards;

use super::memory::{hash, table_bytes, text_heap};
use super::slab::{Index, Link, Slab};
use super::topic::{has_wildcard, is_sys};
use crate::mqtt::packet::QoS;
use hashbrown::HashTable;
use smol_str::SmolStr;

use subscribers::Subscribers;
use wildcards::Wildcards;

/// All subscriptions of a node.
#[derive(Debug)]
pub(super) struct Routes {
    filters: Slab<Filter>,
    /// Index of `filters`, for look-up only.
    by_name: HashTable<Index>,
    wildcards: Wildcards,
    /// Filters for the backend's own topics.
    sys_filters: usize,
}

#[derive(Debug)]
struct Filter {
    /// In place up to 23 bytes, so that a look-up finds it beside the subscribers.
    name: SmolStr,
    subscribers: Subscribers,
}

/// Where a filter was found; a hint, since filters come and go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Route(Link);

impl Routes {
    pub(super) const fn new() -> Self {
        Self {
            filters: Slab::new(),
            by_name: HashTable::new(),
            wildcards: Wildcards::new(),
            sys_filters: 0,
        }
    }

    /// Adds or renews a subscription; the index of the filter if it is new to the session.
    pub(super) fn subscribe(&mut self, filter: &str, session: Index, qos: QoS) -> Option<Index> {
        if let Some(index) = self.find(filter) {
            let known = self.filters.get_mut(index).expect(LIVES);
            return known.subscribers.add(session, qos).then_some(index);
        }
        let index = self.filters.insert(Filter {
            name: filter.into(),
            subscribers: Subscribers::One(session, qos),
        });
        let filters = &self.filters;
        self.by_name
            .insert_unique(hash(filter), index, |&i| hash(name(filters, i)));
        if has_wildcard(filter) {
            self.wildcards.insert(filter, index);
        }
        self.sys_filters += usize::from(is_sys(filter));
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
        let gone = self.filters.remove(index).expect(LIVES);
        if let Ok(entry) = self.by_name.find_entry(hash(&gone.name), |&i| i == index) {
            entry.remove();
        }
        if has_wildcard(&gone.name) {
            self.wildcards.remove(&gone.name);
        }
        self.sys_filters -= usize::from(is_sys(&gone.name));
    }

    /// The index of a filter.
    pub(super) fn find(&self, filter: &str) -> Option<Index> {
        self.by_name
            .find(hash(filter), |&i| name(&self.filters, i) == filter)
            .copied()
    }

    /// Puts the sessions that `topic` reaches into `out`, each once with its highest granted QoS.
    /// (Of overlapping subscriptions MQTT lets a server deliver one copy or several, 3.3.5-1; one
    /// copy is what most brokers send, and it keeps deliveries countable.) `hint` is what the latest
    /// such call gave for this publisher, and spares it the look-up if the topic is the same: the
    /// filter that is named like the topic.
    pub(super) fn matching(
        &mut self,
        topic: &str,
        hint: Option<Route>,
        out: &mut Vec<(Index, QoS)>,
    ) -> Option<Route> {
        out.clear();
        let exact = self.find_near(topic, hint);
        if let Some(index) = exact {
            collect(&self.filters, index, out);
        }
        if !self.wildcards.is_empty() {
            self.collect_wildcards(topic, usize::from(exact.is_some()), out);
        }
        exact.map(|index| Route(Link::new(index)))
    }

    /// Reads the filter and nothing more; gives a session that it reaches.
    pub(super) fn glance(&self, route: Route) -> Option<Index> {
        self.filters.get(route.0.index())?.subscribers.only()
    }

    /// Whether anyone asks for the backend's own topics.
    pub(super) const fn has_sys_filters(&self) -> bool {
        self.sys_filters > 0
    }

    /// Whether the filter with this index asks for the backend's own topics.
    pub(super) fn is_sys_filter(&self, index: Index) -> bool {
        is_sys(name(&self.filters, index))
    }

    /// Bytes of memory, heap included.
    pub(super) fn bytes(&self) -> usize {
        let names: usize = self.filters.values().map(|f| text_heap(&f.name)).sum();
        self.filters.own_bytes() + table_bytes(&self.by_name) + names + self.wildcards.bytes()
    }

    fn find_near(&self, topic: &str, hint: Option<Route>) -> Option<Index> {
        let hinted = hint.map(|route| route.0.index());
        match hinted.filter(|&index| name(&self.filters, index) == topic) {
            Some(index) => Some(index),
            None => self.find(topic),
        }
    }

    /// `found` filters have given what is in `out`.
    fn collect_wildcards(&mut self, topic: &str, mut found: usize, out: &mut Vec<(Index, QoS)>) {
        let filters = &self.filters;
        self.wildcards.each_matching(topic, |index| {
            found += 1;
            collect(filters, index, out);
        });
        // One filter gives each session once, in order.
        if found > 1 {
            out.sort_unstable_by_key(|&(session, qos)| (session, std::cmp::Reverse(qos)));
            out.dedup_by_key(|&mut (session, _)| session);
        }
    }
}

/// Why an index of a filter is valid.
const LIVES: &str = "by_name and the trie name live filters";

fn collect(filters: &Slab<Filter>, index: Index, out: &mut Vec<(Index, QoS)>) {
    filters.get(index).expect(LIVES).subscribers.collect(out);
}

fn name(filters: &Slab<Filter>, index: Index) -> &str {
    filters.get(index).map_or("", |f| &*f.name)
}
