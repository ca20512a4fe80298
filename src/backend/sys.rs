//! `$SYS/broker/<name>`: the backend's own truth as topics, one for each count, its value as decimal
//! text. They are made when someone asks, and cost nothing while nobody does.

use super::outbound::Parcel;
use super::retained::Retained;
use super::slab::Index;
use super::{Backend, Message, Output};
use crate::mqtt::packet::QoS;
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// From one account to the next, while a subscriber is connected.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

impl Backend {
    /// A session has subscribed to topics of the backend: it gets them now, like retained messages,
    /// and from now on.
    pub(super) fn sys_subscribed(
        &mut self,
        now: Instant,
        session: Index,
        filter: &str,
        out: &mut Vec<Output>,
    ) {
        let mut topics = Retained::default();
        for message in self.sys_messages() {
            // There are far fewer counts than it takes.
            topics.store(QoS::AtMostOnce, &message);
        }
        if let Some(session) = self.sessions.get_mut(session) {
            topics.each_matching(filter, |_, message| {
                let parcel = parcel(message, true);
                session.deliver(parcel, &self.connections, &mut self.counts, out);
            });
        }
        self.begin_sys(now);
    }

    /// A session has a connection again.
    pub(super) fn sys_resumed(&mut self, now: Instant, session: Index) {
        if !self.routes.has_sys_filters() {
            return;
        }
        let session = self.sessions.get_mut(session);
        let mut filters = session.iter().flat_map(|session| &session.filters);
        if filters.any(|&filter| self.routes.is_sys_filter(filter)) {
            self.begin_sys(now);
        }
    }

    /// When the next account is due.
    pub(super) const fn next_sys(&self) -> Instant {
        if self.routes.has_sys_filters() {
            self.sys_due
        } else {
            Instant::NEVER
        }
    }

    /// Gives the account to all who are connected and want it. When there is nobody it is the last,
    /// until someone comes.
    pub(super) fn publish_sys(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.next_sys() > now || self.next_sys().is_never() {
            return;
        }
        let mut reached = false;
        for message in self.sys_messages() {
            self.routes
                .matching(&message.topic, None, &mut self.matched);
            for &(session, _) in &self.matched {
                // An old account is worth nothing: it waits for nobody.
                let session = self.sessions.get_mut(session);
                if let Some(session) = session.filter(|session| session.connection.is_some()) {
                    reached = true;
                    let parcel = parcel(&message, false);
                    session.deliver(parcel, &self.connections, &mut self.counts, out);
                }
            }
        }
        self.sys_due = match reached {
            true => now.after(INTERVAL),
            false => Instant::NEVER,
        };
    }

    /// Filters have gone: if the last one for these topics has, there is nothing to do.
    pub(super) const fn end_sys(&mut self) {
        if !self.routes.has_sys_filters() {
            self.sys_due = Instant::NEVER;
        }
    }

    fn begin_sys(&mut self, now: Instant) {
        if self.sys_due.is_never() {
            self.sys_due = now.after(INTERVAL);
        }
    }

    /// All of them as they stand now.
    fn sys_messages(&self) -> impl Iterator<Item = Arc<Message>> + use<> {
        self.counts().into_iter().map(|(name, value)| {
            Arc::new(Message {
                topic: format!("$SYS/broker/{name}").into(),
                owner_len: 0,
                payload: value.to_string().into_bytes().into(),
            })
        })
    }
}

/// At QoS 0 whatever the subscription was granted.
fn parcel(message: &Arc<Message>, retain: bool) -> Parcel {
    Parcel {
        qos: QoS::AtMostOnce,
        retain,
        message: Arc::clone(message),
    }
}
