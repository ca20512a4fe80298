//! The subscribers of one filter.

use crate::backend::slab::Index;
use crate::mqtt::packet::QoS;
use std::collections::BTreeMap;

/// Nearly every filter of a fleet has one subscriber; the others are kept in session order.
#[derive(Debug)]
pub(super) enum Subscribers {
    One(Index, QoS),
    #[expect(
        clippy::box_collection,
        reason = "a filter with one subscriber stays at 16 bytes"
    )]
    Many(Box<BTreeMap<Index, QoS>>),
}

impl Subscribers {
    /// Adds a session, or replaces what it was granted (3.8.4-3); whether it is new here.
    pub(super) fn add(&mut self, session: Index, qos: QoS) -> bool {
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
    pub(super) fn remove(&mut self, session: Index) -> bool {
        match self {
            Self::One(only, _) => *only == session,
            Self::Many(many) => {
                many.remove(&session);
                many.is_empty()
            }
        }
    }

    /// Appends them, in session order.
    pub(super) fn collect(&self, out: &mut Vec<(Index, QoS)>) {
        match self {
            Self::One(session, qos) => out.push((*session, *qos)),
            Self::Many(many) => out.extend(many.iter().map(|(&s, &q)| (s, q))),
        }
    }

    /// The session, if there is but one.
    pub(super) const fn only(&self) -> Option<Index> {
        match self {
            Self::One(session, _) => Some(*session),
            Self::Many(_) => None,
        }
    }
}
