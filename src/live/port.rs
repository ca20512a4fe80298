//! The connection half of an actor of a worker: at most one link, its epoch, and an end of the
//! transport that the actor is yet to be told.

use super::link::Link;
use crate::stats::event::Cause;
use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// Where an actor's connection hangs.
#[derive(Debug)]
pub(super) struct Port {
    link: Option<Link>,
    /// Counts links, so that the task of an old one cannot touch a new one.
    epoch: u32,
    /// Index of the target address.
    node: u16,
    /// Index of the source address.
    source: u16,
    /// When the actor is told that its transport ended, `NEVER` if there is nothing to tell.
    told_at: Instant,
    cause: Cause,
}

impl Port {
    /// A port without a link.
    pub(super) const fn new(node: u16, source: u16) -> Self {
        Self {
            link: None,
            epoch: 0,
            node,
            source,
            told_at: Instant::NEVER,
            cause: Cause::Unreachable,
        }
    }

    /// The link, if it is still the one of `epoch`.
    pub(super) fn link(&mut self, epoch: u32) -> Option<&mut Link> {
        self.link.as_mut().filter(|_| self.epoch == epoch)
    }

    /// The present link.
    pub(super) const fn current(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }

    /// Begins to connect along `routes`; gives the epoch of the new link.
    ///
    /// # Errors
    /// If the kernel refuses at once.
    pub(super) fn open(&mut self, routes: &mut Routes) -> Result<u32, Cause> {
        self.close(routes);
        let link = routes.connect(self.node, self.source)?;
        self.epoch = self.epoch.wrapping_add(1);
        self.link = Some(link);
        Ok(self.epoch)
    }

    /// Closes the link, if there is one, and forgets an end that was not told.
    pub(super) fn close(&mut self, routes: &mut Routes) {
        self.told_at = Instant::NEVER;
        if let Some(link) = self.link.take() {
            drop(link);
            routes.release(self.node, self.source);
        }
    }

    /// Gives the link away with its epoch. It counts as open until [`Port::let_go`].
    pub(super) fn detach(&mut self) -> Option<(Link, u32)> {
        self.told_at = Instant::NEVER;
        self.link.take().map(|link| (link, self.epoch))
    }

    /// Closes a link that was given away.
    pub(super) fn let_go(&self, routes: &mut Routes, link: Link) {
        drop(link);
        routes.release(self.node, self.source);
    }

    /// Closes the link; the actor is to be told `cause` at `at`.
    pub(super) fn fail(&mut self, routes: &mut Routes, at: Instant, cause: Cause) {
        self.close(routes);
        self.told_at = at;
        self.cause = cause;
    }

    /// Addresses it connects to and from.
    pub(super) fn pair(&self, routes: &Routes) -> (SocketAddr, Option<IpAddr>) {
        routes.pair(self.node, self.source)
    }

    /// When there is something to tell.
    pub(super) const fn told_at(&self) -> Instant {
        self.told_at
    }

    /// Takes what is to be told by `now`.
    pub(super) fn take_told(&mut self, now: Instant) -> Option<Cause> {
        if self.told_at > now {
            return None;
        }
        self.told_at = Instant::NEVER;
        Some(self.cause)
    }
}

/// Where connections go to and come from, and how many use which pair.
#[derive(Debug)]
pub(super) struct Routes {
    targets: Vec<SocketAddr>,
    /// Empty = the kernel chooses.
    sources: Vec<IpAddr>,
    /// Connections per `[source][target]`, flat.
    used: Vec<u32>,
    open: u32,
}

impl Routes {
    /// No connections yet.
    pub(super) fn new(targets: Vec<SocketAddr>, sources: Vec<IpAddr>) -> Self {
        let pairs = targets.len() * sources.len().max(1);
        Self {
            targets,
            sources,
            used: vec![0; pairs],
            open: 0,
        }
    }

    /// The source for the actor with this number: actors are dealt out evenly.
    pub(super) fn source_of(&self, number: usize) -> u16 {
        u16::try_from(number % self.sources.len().max(1)).expect("fewer than 65 536 sources")
    }

    /// Address of a node, and the source address to use with it.
    pub(super) fn pair(&self, node: u16, source: u16) -> (SocketAddr, Option<IpAddr>) {
        (
            self.targets[usize::from(node)],
            self.sources.get(usize::from(source)).copied(),
        )
    }

    /// Connections open or being opened.
    pub(super) const fn open(&self) -> u32 {
        self.open
    }

    /// Most connections of one source and target: ports in use.
    pub(super) fn ports(&self) -> u32 {
        self.used.iter().copied().max().unwrap_or(0)
    }

    fn connect(&mut self, node: u16, source: u16) -> Result<Link, Cause> {
        let (target, from) = self.pair(node, source);
        let link = Link::connect(target, from)?;
        self.open += 1;
        let pair = self.index(node, source);
        self.used[pair] += 1;
        Ok(link)
    }

    fn release(&mut self, node: u16, source: u16) {
        self.open -= 1;
        let pair = self.index(node, source);
        self.used[pair] -= 1;
    }

    fn index(&self, node: u16, source: u16) -> usize {
        usize::from(source) * self.targets.len() + usize::from(node)
    }
}
