//! The law of a device's access link: at which instant a packet sent at one end arrives at the
//! other. Both drivers ask it and hold packets until then; it holds none itself.
//!
//! ```text
//!            busy until the one before has left     drawn          1 + 2 + 4 … s if lost
//! send ----> wait ----> transmission (bandwidth) ----> delay ----> retransmissions ----> arrival
//! ```
//!
//! Each direction is first in, first out, as TCP is: no packet arrives before the one sent ahead of
//! it, so what is lost holds up what comes behind. The draws of a packet are a pure function of
//! (seed, device, direction, packets sent in that direction before it); its delay is drawn before
//! its losses, so that another `loss` leaves all delays as they are.
//!
//! Left out: an MQTT packet is one packet on the link, however long it is, and is lost as a whole; a
//! retransmission takes no bandwidth; the retransmission timeout does not learn the round trip; and
//! TCP's own acknowledgements cost nothing.

use crate::rng::{self, Purpose};
use crate::scenario::plan::{Delay, DeviceIdx, Direction, Link};
use crate::time::{Duration, Instant};
use rand::Rng as _;
use rand_distr::{Distribution as _, StandardNormal};

/// Bytes of a packet besides its MQTT bytes: a TCP (RFC 9293, 3.1) and an IPv4 header (RFC 791, 3.1)
/// of 20 each, without options.
pub const HEADER_BYTES: usize = 40;

/// MQTT bytes of the packets that open and end a connection: SYN, SYN-ACK, FIN, RST.
pub const NO_BYTES: usize = 0;

/// The first retransmission timeout (RFC 6298, 2.1); it doubles with each loss (5.5).
pub const RETRANSMISSION_TIMEOUT: Duration = Duration::from_secs(1);

/// Most retransmissions of one packet, the last of which always gets through: 63 s in all. As many
/// as Linux makes of a SYN (`tcp_syn_retries`).
pub const RETRANSMISSIONS_MAX: u32 = 6;

/// Bytes, headers included, that may wait at the device's end until the link takes them. With more its
/// send buffer is full, and a device that writes on ends the connection.
pub const WAITING_BYTES_MAX: u64 = 256 * 1024;

/// A device's end of its link: whose draws they are, and by which settings.
#[derive(Copy, Clone, Debug)]
pub struct Endpoint<'a> {
    /// The link of the device's cohort.
    pub link: &'a Link,
    /// Of the run.
    pub seed: u64,
    /// Its index in the fleet.
    pub device: DeviceIdx,
}

/// How one packet fared.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When it reaches the other end.
    pub arrives: Instant,
    /// How often it was lost on its way, up to [`RETRANSMISSIONS_MAX`].
    pub lost: u32,
}

impl Passage {
    /// Whether it would have been lost once more if there were no limit.
    pub const fn reached_limit(self) -> bool {
        self.lost == RETRANSMISSIONS_MAX
    }
}

/// What a device's link remembers; only devices with a link have one.
#[derive(Clone, Debug)]
pub struct Path {
    up: Lane,
    down: Lane,
}

const _: () = assert!(size_of::<Path>() <= 48, "one per device with a link");

impl Path {
    /// A path that nothing has passed.
    pub const fn new() -> Self {
        Self {
            up: Lane::UNUSED,
            down: Lane::UNUSED,
        }
    }

    /// A new connection begins at `now`: what is under way of an earlier one does not hold it up.
    /// When its SYN reaches the target; the answer comes back by [`Path::down`] of [`NO_BYTES`].
    pub fn open(&mut self, end: Endpoint<'_>, now: Instant) -> Passage {
        self.up.forget();
        self.down.forget();
        self.up(end, now, NO_BYTES)
    }

    /// When a packet of `bytes` MQTT bytes that the device sends at `now` reaches the target.
    /// `now` must not run backwards within a connection.
    pub fn up(&mut self, end: Endpoint<'_>, now: Instant, bytes: usize) -> Passage {
        self.up.pass(end, Purpose::LinkUp, &end.link.up, now, bytes)
    }

    /// The same for a packet that the target sends at `now`.
    pub fn down(&mut self, end: Endpoint<'_>, now: Instant, bytes: usize) -> Passage {
        self.down
            .pass(end, Purpose::LinkDown, &end.link.down, now, bytes)
    }

    /// Whether more than [`WAITING_BYTES_MAX`] wait at `now` until the link takes them. Where the
    /// bandwidth has no limit, nothing waits.
    pub fn is_full(&self, end: Endpoint<'_>, now: Instant) -> bool {
        let Some(bandwidth_bps) = end.link.up.bandwidth_bps else {
            return false;
        };
        let waits_ns = u128::from(self.up.free_at.ns_since(now));
        let byte_ns = 8 * 1_000_000_000;
        waits_ns * u128::from(bandwidth_bps.get()) > u128::from(WAITING_BYTES_MAX) * byte_ns
    }
}

impl Default for Path {
    fn default() -> Self {
        Self::new()
    }
}

/// One direction.
#[derive(Clone, Debug)]
struct Lane {
    /// When the last packet has left.
    free_at: Instant,
    /// When the last packet arrives.
    last_arrival: Instant,
    /// Packets sent over the device's life: the index of the next one's draws.
    packets: u32,
}

impl Lane {
    const UNUSED: Self = Self {
        free_at: Instant::ZERO,
        last_arrival: Instant::ZERO,
        packets: 0,
    };

    const fn forget(&mut self) {
        self.free_at = Instant::ZERO;
        self.last_arrival = Instant::ZERO;
    }

    fn pass(
        &mut self,
        end: Endpoint<'_>,
        purpose: Purpose,
        direction: &Direction,
        now: Instant,
        bytes: usize,
    ) -> Passage {
        let index = u64::from(self.packets);
        self.packets = self.packets.wrapping_add(1);
        let mut draw = rng::draw(end.seed, u64::from(end.device), purpose, index);
        let leaves = now
            .max(self.free_at)
            .after_ns(transmission_ns(direction, bytes));
        self.free_at = leaves;
        let delay = delay(direction.delay, &mut draw);
        let lost = losses(direction.loss, &mut draw);
        let arrives = leaves.after(delay).after(retransmission_wait(lost));
        self.last_arrival = arrives.max(self.last_arrival);
        Passage {
            arrives: self.last_arrival,
            lost,
        }
    }
}

/// Time that a packet occupies the link, rounded up: the bandwidth is never exceeded.
fn transmission_ns(direction: &Direction, bytes: usize) -> u64 {
    let Some(bandwidth_bps) = direction.bandwidth_bps else {
        return 0;
    };
    let bits = 8 * (bytes as u64 + HEADER_BYTES as u64);
    bits.saturating_mul(1_000_000_000)
        .div_ceil(bandwidth_bps.get())
}

fn delay(delay: Delay, draw: &mut rng::Draw) -> Duration {
    match delay {
        Delay::Uniform { base, jitter } => base + jitter.mul_f64(rng::to_unit(draw.next_u64())),
        Delay::LogNormal { median, sigma, cap } => {
            let z: f64 = StandardNormal.sample(draw);
            let drawn_s = median.as_secs_f64() * (sigma * z).exp();
            Duration::from_secs_f64(drawn_s.min(cap.as_secs_f64()))
        }
    }
}

fn losses(loss: f64, draw: &mut rng::Draw) -> u32 {
    if loss <= 0.0 {
        return 0;
    }
    let mut lost = 0;
    while lost < RETRANSMISSIONS_MAX && rng::to_unit(draw.next_u64()) < loss {
        lost += 1;
    }
    lost
}

/// 1 + 2 + 4 + … timeouts.
fn retransmission_wait(lost: u32) -> Duration {
    RETRANSMISSION_TIMEOUT * ((1 << lost) - 1)
}

/// How long until a SYN that a full listener has dropped is sent again, `waited` after the first: at
/// 1, 3, 7 … s (RFC 6298, 5.5), as the kernel does in a live run.
pub fn next_syn(waited: Duration) -> Duration {
    let sent_again = (waited.as_secs() + 1).ilog2().min(RETRANSMISSIONS_MAX);
    RETRANSMISSION_TIMEOUT * (1 << sent_again)
}

#[cfg(test)]
mod tests;
