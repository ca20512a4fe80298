//! Filters with wildcards as a trie of their levels. A topic visits those nodes only that its levels
//! lead to: one look-up for the level's text, and one step for a `+`, at each.

use crate::backend::memory::{table_bytes, text_heap};
use crate::backend::slab::{Index, Link, Slab};
use crate::backend::topic::is_hidden;
use hashbrown::HashTable;
use smol_str::SmolStr;
use std::hash::{DefaultHasher, Hasher as _};

/// The node that all filters begin at.
const ROOT: Index = 0;

/// The index of filters with wildcards.
#[derive(Debug)]
pub(super) struct Wildcards {
    nodes: Slab<Node>,
    /// Nodes by parent and text, for look-up only; nodes of a `+` are not in it.
    by_text: HashTable<Index>,
    filters: usize,
    /// Nodes that the topic at hand has yet to visit, with the place in it that its next level
    /// begins at; it lies behind the end of a topic that has none left.
    to_visit: Vec<(Index, usize)>,
}

/// The levels of a filter up to this one.
#[derive(Debug)]
struct Node {
    parent: Index,
    /// The text of the level; `+` has a node of its own.
    level: SmolStr,
    /// Children by text.
    texts: u32,
    /// The child for `+`.
    plus: Option<Link>,
    /// The filter that ends in `#` behind this level.
    multi: Option<Link>,
    /// The filter that ends at this level.
    end: Option<Link>,
}

impl Wildcards {
    pub(super) const fn new() -> Self {
        Self {
            nodes: Slab::new(),
            by_text: HashTable::new(),
            filters: 0,
            to_visit: Vec::new(),
        }
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.filters == 0
    }

    /// Adds a filter, which must not be in it, under its index.
    pub(super) fn insert(&mut self, filter: &str, index: Index) {
        if self.nodes.len() == 0 {
            self.nodes.insert(Node::new(ROOT, ""));
        }
        self.filters += 1;
        let mut at = ROOT;
        for level in filter.split('/') {
            if level == "#" {
                self.node(at).multi = Some(Link::new(index));
                return;
            }
            at = self
                .child(at, level)
                .unwrap_or_else(|| self.grow(at, level));
        }
        self.node(at).end = Some(Link::new(index));
    }

    /// Removes a filter, and the nodes that led to it alone.
    pub(super) fn remove(&mut self, filter: &str) {
        let mut at = ROOT;
        for level in filter.split('/') {
            if level == "#" {
                self.node(at).multi = None;
                self.filters -= 1;
                self.prune(at);
                return;
            }
            let Some(child) = self.child(at, level) else {
                return;
            };
            at = child;
        }
        self.node(at).end = None;
        self.filters -= 1;
        self.prune(at);
    }

    /// Names each filter that matches the topic, in no particular order. A node is visited at most
    /// once, so the work is bounded by the nodes there are.
    pub(super) fn each_matching(&mut self, topic: &str, mut found: impl FnMut(Index)) {
        let mut to_visit = std::mem::take(&mut self.to_visit);
        to_visit.push((ROOT, 0));
        while let Some((index, from)) = to_visit.pop() {
            let Some(node) = self.nodes.get(index) else {
                continue;
            };
            let takes_wildcards = index != ROOT || !is_hidden(topic);
            // It also stands for no level at all: `a/#` matches `a` (4.7.1.2).
            if let Some(filter) = node.multi.filter(|_| takes_wildcards) {
                found(filter.index());
            }
            let Some(rest) = topic.get(from..) else {
                if let Some(filter) = node.end {
                    found(filter.index());
                }
                continue;
            };
            let level = rest.split_once('/').map_or(rest, |(level, _)| level);
            let next = from + level.len() + 1;
            if let Some(plus) = node.plus.filter(|_| takes_wildcards) {
                to_visit.push((plus.index(), next));
            }
            if node.texts > 0
                && let Some(child) = self.child_by_text(index, level)
            {
                to_visit.push((child, next));
            }
        }
        self.to_visit = to_visit;
    }

    /// Bytes of memory, heap included.
    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.nodes.values().map(|n| text_heap(&n.level)).sum();
        self.nodes.own_bytes()
            + table_bytes(&self.by_text)
            + texts
            + self.to_visit.capacity() * size_of::<(Index, usize)>()
    }

    fn child(&self, parent: Index, level: &str) -> Option<Index> {
        match level {
            "+" => self.nodes.get(parent)?.plus.map(Link::index),
            text => self.child_by_text(parent, text),
        }
    }

    fn child_by_text(&self, parent: Index, text: &str) -> Option<Index> {
        let is_it = |&index: &Index| {
            let node = self.nodes.get(index);
            node.is_some_and(|node| node.parent == parent && node.level == text)
        };
        self.by_text.find(hash(parent, text), is_it).copied()
    }

    fn grow(&mut self, parent: Index, level: &str) -> Index {
        let index = self.nodes.insert(Node::new(parent, level));
        if level == "+" {
            self.node(parent).plus = Some(Link::new(index));
            return index;
        }
        self.node(parent).texts += 1;
        let nodes = &self.nodes;
        self.by_text
            .insert_unique(hash(parent, level), index, |&index| {
                let node = nodes.get(index);
                node.map_or(0, |node| hash(node.parent, &node.level))
            });
        index
    }

    /// Takes away the nodes that lead to nothing any more, from this one up to the root.
    fn prune(&mut self, mut index: Index) {
        while index != ROOT && self.node(index).is_idle() {
            let gone = self.nodes.remove(index).expect(LIVES);
            let parent = self.node(gone.parent);
            if gone.level == "+" {
                parent.plus = None;
            } else {
                parent.texts -= 1;
                let gone_hash = hash(gone.parent, &gone.level);
                if let Ok(entry) = self.by_text.find_entry(gone_hash, |&i| i == index) {
                    entry.remove();
                }
            }
            index = gone.parent;
        }
    }

    fn node(&mut self, index: Index) -> &mut Node {
        self.nodes.get_mut(index).expect(LIVES)
    }
}

impl Node {
    fn new(parent: Index, level: &str) -> Self {
        Self {
            parent,
            level: level.into(),
            texts: 0,
            plus: None,
            multi: None,
            end: None,
        }
    }

    const fn is_idle(&self) -> bool {
        self.texts == 0 && self.plus.is_none() && self.multi.is_none() && self.end.is_none()
    }
}

/// Why an index of a node is valid.
const LIVES: &str = "a node lives as long as a filter leads through it";

/// Hash of a level behind a node; fixed keys, so that runs are alike.
fn hash(parent: Index, level: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(parent);
    hasher.write(level.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_filters_that_are_gone() {
        let filters = ["#", "+", "a/+/c", "a/+/d", "a/b/#", "a/b/c/+", "/+"];
        let mut wildcards = Wildcards::new();
        for round in 0..3 {
            for (index, filter) in (0..).zip(filters) {
                wildcards.insert(filter, index);
            }
            let full = wildcards.nodes.len();
            assert_eq!(full, 11, "round {round}");
            for filter in filters {
                wildcards.remove(filter);
            }
            assert!(wildcards.is_empty());
            assert_eq!((wildcards.nodes.len(), wildcards.by_text.len()), (1, 0));
        }
    }

    #[test]
    fn a_node_takes_48_bytes() {
        assert_eq!(size_of::<Option<Node>>(), 48);
    }
}
