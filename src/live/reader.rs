//! The task of one connection of a worker: readiness into inputs, answers into bytes.

use super::fleet::{Fleet, Shared, Who};
use super::link::{self, Overflow, READS_PER_TURN};
use super::operator::{DESK_OUTPUT_MAX, GATHERED_MAX};
use crate::cloud::{observer, operator};
use crate::device;
use crate::device::outage::HELD_BYTES_MAX;
use crate::mqtt::codec::CodecError;
use crate::stats::event::{Cause, Event, Limit};
use crate::time::Instant;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes that may wait for one connection of a device or observer, besides those of one step; a
/// blackhole holds no more.
pub(super) const OUTPUT_MAX: usize = HELD_BYTES_MAX;

/// Due deadlines handled after a connection's turn, so that they do not wait for the other
/// connections that are ready.
const FIRES_PER_READ: usize = 8;

impl Fleet {
    /// Begins to connect the port of an observer, desk or device.
    pub(super) fn spawn_reader(&self, key: u32, epoch: u32) {
        if let Some(fleet) = self.me.upgrade() {
            drop(tokio::task::spawn_local(Reader { fleet, key, epoch }));
        }
    }

    /// One turn of a connection's task.
    fn poll_link(&mut self, key: u32, epoch: u32, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_PER_TURN {
            let Some(link) = self.port(key).link(epoch) else {
                return self.poll_closing(key, epoch, cx);
            };
            link.remember(cx);
            if link.is_held() {
                return Poll::Pending;
            }
            if link.is_established() {
                // Pending or not, reading goes on; the writer's readiness wakes this task too.
                let _ = link.poll_flush(cx);
                ready!(self.poll_read(key, epoch, cx));
            } else {
                let outcome = ready!(link.poll_established(cx));
                let now = self.begin_turn();
                match outcome {
                    Ok(()) => self.opened(key, now),
                    Err(cause) => self.lost(key, now, cause),
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_read(&mut self, key: u32, epoch: u32, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_full(key) {
            return Poll::Pending;
        }
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let outcome = match self.port(key).link(epoch) {
            Some(link) => link.poll_read(cx, &mut buffer),
            None => Poll::Pending,
        };
        if let Poll::Ready(outcome) = outcome {
            let now = self.begin_turn();
            match outcome {
                Ok(n) => self.received(key, epoch, now, &buffer[..n]),
                Err(cause) => self.lost(key, now, cause),
            }
        }
        self.read_buffer = buffer;
        self.fire_due(FIRES_PER_READ);
        match outcome {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn received(&mut self, key: u32, epoch: u32, now: Instant, bytes: &[u8]) {
        let who = self.who(key);
        if let Some(i) = self.over_link(who) {
            return self.received_over_link(i, now, bytes);
        }
        let Some(link) = self.port(key).link(epoch) else {
            return;
        };
        let mut inbox = std::mem::take(link.inbox());
        self.answering = Some(key);
        self.answers.clear();
        let outcome = link::each_packet(&mut inbox, bytes, |packet| {
            match who {
                Who::Run(_) => return false,
                Who::Observer(o) => self.step_observer(o, now, observer::Input::Received(packet)),
                Who::Desk(desk) => {
                    self.step_operator(now, operator::Input::Received(desk, packet));
                }
                Who::Device(i) => self.step_device(i, now, now, device::Input::Received(packet)),
            }
            self.port(key).link(epoch).is_some()
        });
        self.answered(who, now);
        if let Some(link) = self.port(key).link(epoch) {
            *link.inbox() = inbox;
        }
        match (outcome, who) {
            (Ok(()), _) => {}
            (Err(CodecError::TooLong { .. }), Who::Device(i)) => {
                self.on_device_event(i, now, &Event::LimitReached(Limit::PacketLength));
                self.lost(key, now, Cause::ProtocolError);
            }
            (Err(_), _) => self.lost(key, now, Cause::ProtocolError),
        }
    }

    /// Writes the answers to the packets of one read.
    fn answered(&mut self, who: Who, now: Instant) {
        if self.answering.take().is_none() {
            return;
        }
        let mut answers = std::mem::take(&mut self.answers);
        match who {
            Who::Run(_) => {}
            Who::Observer(o) => self.write_observer(o, now, &mut answers),
            Who::Desk(desk) => self.write_desk(desk, now, &mut answers),
            Who::Device(i) => self.write_device(i, now, &mut answers),
        }
        self.answers = answers;
    }

    fn opened(&mut self, key: u32, now: Instant) {
        let who = self.who(key);
        if let Some(i) = self.over_link(who) {
            return self.opened_over_link(i, now);
        }
        match who {
            Who::Run(_) => {}
            Who::Observer(o) => {
                self.step_observer(o, now, observer::Input::Opened);
            }
            Who::Desk(desk) => self.step_operator(now, operator::Input::Opened(desk)),
            Who::Device(i) => self.step_device(i, now, now, device::Input::Opened),
        }
    }

    fn lost(&mut self, key: u32, now: Instant, cause: Cause) {
        let who = self.who(key);
        if let Some(i) = self.over_link(who) {
            return self.lost_over_link(i, now, cause);
        }
        match who {
            Who::Run(_) => {}
            Who::Observer(o) => self.fail_observer(o, now, cause),
            Who::Desk(desk) => self.fail_desk(desk, now, cause),
            Who::Device(i) => {
                self.fail_device(i, now, cause);
                self.tell_device(i, now);
            }
        }
    }

    /// Writes `bytes` to the link of `key` and empties it. The answers to all packets of one read
    /// are written at once.
    pub(super) fn write(&mut self, key: u32, bytes: &mut Vec<u8>) -> Result<(), Overflow> {
        if self.answering == Some(key) {
            self.answers.append(bytes);
            if self.answers.len() < GATHERED_MAX {
                return Ok(());
            }
            std::mem::swap(&mut self.answers, bytes);
        }
        let limit = match self.who(key) {
            Who::Desk(_) => DESK_OUTPUT_MAX,
            Who::Run(_) | Who::Observer(_) | Who::Device(_) => OUTPUT_MAX,
        };
        let written = match self.port(key).current() {
            Some(link) => link.write(bytes, limit),
            None => Ok(()),
        };
        bytes.clear();
        written
    }

    /// Closes the link of `key` after what was written to it.
    pub(super) fn close(&mut self, key: u32) {
        if self.answering == Some(key) {
            self.answering = None;
            let mut answers = std::mem::take(&mut self.answers);
            // What does not fit is lost with the connection either way.
            let _ = self.write(key, &mut answers);
            self.answers = answers;
        }
        let (port, routes) = self.port_and_routes(key);
        port.close(routes);
    }
}

/// The task of one connection: three words, for the state lies in the fleet.
struct Reader {
    fleet: Shared,
    key: u32,
    epoch: u32,
}

impl Future for Reader {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.fleet.borrow_mut().poll_link(self.key, self.epoch, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::live::devices::Slot;
    use crate::live::link::Link;

    #[test]
    fn a_connection_costs_few_bytes() {
        // Besides the device itself. The bar is 2 KiB of user memory per connected device.
        assert!(size_of::<Reader>() <= 24, "{}", size_of::<Reader>());
        assert!(size_of::<Link>() <= 128, "{}", size_of::<Link>());
        let slot = size_of::<Slot>() - size_of::<Device>();
        assert!(slot <= 224, "{slot}");
    }
}
