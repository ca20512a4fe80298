//! The YAML as a tree that knows where everything stands, between the file's text and the mirror
//! types; wrong entries are cut out of it so that one call finds all mistakes.

use super::errors::Problem;
use serde::de::DeserializeOwned;

/// Most mistakes that one reading names.
pub(super) const MAX_PROBLEMS: usize = 50;

/// A range of bytes of the scenario's text.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// What a node is. Scalars keep their text: what it means is decided by who reads it.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Scalar { text: String, plain: bool },
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping with its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Span,
}

impl Node {
    /// Where an error about the whole node points: a mapping's first entry, else the node.
    pub(super) fn head(&self) -> Span {
        match &self.kind {
            Kind::Map(entries) => entries.first().map_or(self.span, |(key, value)| Span {
                start: key.span.start,
                end: match value.kind {
                    Kind::Scalar { .. } => value.span.end,
                    Kind::Null | Kind::Seq(_) | Kind::Map(_) => key.span.end,
                },
            }),
            Kind::Null | Kind::Scalar { .. } | Kind::Seq(_) => self.span,
        }
    }

    /// Removes the entry whose key or value stands at `span`; the path of keys to the mapping or
    /// list it was in, and that one's place.
    fn prune(&mut self, span: Span, path: &mut Vec<String>) -> Option<Span> {
        let here = self.span;
        match &mut self.kind {
            Kind::Null | Kind::Scalar { .. } => None,
            Kind::Seq(items) => {
                if let Some(found) = items.iter().position(|item| item.span == span) {
                    items.remove(found);
                    path.push(found.to_string());
                    return Some(here);
                }
                items.iter_mut().enumerate().find_map(|(index, item)| {
                    path.push(index.to_string());
                    let found = item.prune(span, path);
                    if found.is_none() {
                        path.pop();
                    }
                    found
                })
            }
            Kind::Map(entries) => {
                let is_it = |(key, value): &(Key, Self)| key.span == span || value.span == span;
                if let Some(found) = entries.iter().position(is_it) {
                    path.push(entries.remove(found).0.text);
                    return Some(here);
                }
                entries.iter_mut().find_map(|(key, value)| {
                    path.push(key.text.clone());
                    let found = value.prune(span, path);
                    if found.is_none() {
                        path.pop();
                    }
                    found
                })
            }
        }
    }
}

/// What was cut out of the tree because it was wrong, so that later checks do not complain about
/// its absence.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    holders: Vec<Span>,
    paths: Vec<Vec<String>>,
}

impl Pruned {
    /// Whether an entry directly in the mapping at `span` was cut out.
    pub(super) fn inside(&self, span: Span) -> bool {
        self.holders.contains(&span)
    }

    /// Whether the list under the top-level word `top`, or a whole item of it, was cut out.
    pub(super) fn items_of(&self, top: &str) -> bool {
        self.paths
            .iter()
            .any(|path| path.len() <= 2 && path.first().is_some_and(|word| word == top))
    }

    /// Whether anything was.
    pub(super) const fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// Reads `root` as a `T`. On a mistake the entry it stands in is cut out and the reading starts
/// again, so that each mistake is found. `None` if what remains cannot be read at all.
pub(super) fn decode<T: DeserializeOwned>(
    root: &mut Node,
    pruned: &mut Pruned,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    for _ in 0..MAX_PROBLEMS * 4 {
        let error = match T::deserialize(&*root) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let prune = error.prune.unwrap_or(root.span);
        if !(error.missing && pruned.inside(prune)) {
            let problem = Problem::new(error.label.unwrap_or(prune), error.message, error.help);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        if problems.len() >= MAX_PROBLEMS {
            return None;
        }
        let mut path = Vec::new();
        pruned.holders.push(root.prune(prune, &mut path)?);
        pruned.paths.push(path);
    }
    None
}
