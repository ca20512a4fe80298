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
//! A `degrade` fault puts a second link on top: its delay is added, from draws of its own; the packet
//! is lost where either loses it; and the smaller bandwidth holds. So a packet that comes late or is
//! lost without the fault does so with it. What is under way when it begins or clears is not touched,
//! and what is sent after it still arrives after it.
//!
//! Left out: an MQTT packet is one packet on the link, however long it is, and is lost as a whole; a
//! retransmission takes no bandwidth; the retransmission timeout does not learn the round trip; and
//! TCP's own acknowledgements cost nothing.

use super::outage::Outages;
use crate::rng::{self, Purpose};
use crate::scenario::plan::{Delay, DeviceIdx, Direction, Link};
use crate::time::{Duration, Instant};
use rand::Rng as _;
use rand_distr::{Distribution as _, StandardNormal};
use std::num::NonZeroU64;

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
    /// The link of the device's cohort, or one that does nothing.
    pub link: &'a Link,
    /// The network faults that are active: some may degrade the link.
    pub outages: Option<&'a Outages>,
    /// Of the run.
    pub seed: u64,
    /// Its index in the fleet.
    pub device: DeviceIdx,
}

impl Endpoint<'_> {
    /// Whether the way up has a bandwidth now; if not, it does not matter how long packets are.
    pub fn limits_up(&self) -> bool {
        self.bandwidth_bps(Way::Up).is_some()
    }

    /// The same for the way down.
    pub fn limits_down(&self) -> bool {
        self.bandwidth_bps(Way::Down).is_some()
    }

    /// The smallest bandwidth of all that the device has now.
    fn bandwidth_bps(&self, way: Way) -> Option<NonZeroU64> {
        let own = way.of(self.link).bandwidth_bps;
        let on_top = self.on_top(way);
        on_top
            .filter_map(|(_, direction)| direction.bandwidth_bps)
            .chain(own)
            .min()
    }

    /// What faults put on top now, and which.
    fn on_top(&self, way: Way) -> impl Iterator<Item = (usize, &Direction)> {
        let device = self.device;
        let faults = self.outages.into_iter();
        faults
            .flat_map(move |outages| outages.degradations(device))
            .map(move |(fault, link)| (fault, way.of(link)))
    }
}

/// A direction.
#[derive(Copy, Clone, Debug)]
enum Way {
    Up,
    Down,
}

impl Way {
    const fn of(self, link: &Link) -> &Direction {
        match self {
            Self::Up => &link.up,
            Self::Down => &link.down,
        }
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::Up => Purpose::LinkUp,
            Self::Down => Purpose::LinkDown,
        }
    }

    /// The index of what `fault` adds to packet `packet`.
    const fn index_on_top(self, fault: usize, packet: u32) -> u64 {
        let way = match self {
            Self::Up => 0,
            Self::Down => 1,
        };
        ((fault as u64) << 33) | (way << 32) | packet as u64
    }
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
        self.up.pass(end, Way::Up, now, bytes)
    }

    /// The same for a packet that the target sends at `now`.
    pub fn down(&mut self, end: Endpoint<'_>, now: Instant, bytes: usize) -> Passage {
        self.down.pass(end, Way::Down, now, bytes)
    }

    /// Whether more than [`WAITING_BYTES_MAX`] wait at `now` until the link takes them. Where the
    /// bandwidth has no limit, nothing waits. What was sent at several bandwidths counts as if the
    /// smallest had held for all of it.
    pub fn is_full(&self, end: Endpoint<'_>, now: Instant) -> bool {
        let bandwidth_bps = end.bandwidth_bps(Way::Up).map_or(u64::MAX, NonZeroU64::get);
        let bandwidth_bps = bandwidth_bps.min(self.up.slowest_bps());
        let waits_ns = u128::from(self.up.free_at.ns_since(now));
        let byte_ns = 8 * 1_000_000_000;
        waits_ns * u128::from(bandwidth_bps) > u128::from(WAITING_BYTES_MAX) * byte_ns
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
    /// The smallest bandwidth at which something that may still wait was sent, in units of
    /// [`BANDWIDTH_UNIT_BPS`], rounded down; `u32::MAX` if there was no limit.
    slowest: u32,
}

/// The smallest bandwidth that a scenario may name. In this unit the largest fits 32 bits.
const BANDWIDTH_UNIT_BPS: u64 = 100;

impl Lane {
    const UNUSED: Self = Self {
        free_at: Instant::ZERO,
        last_arrival: Instant::ZERO,
        packets: 0,
        slowest: u32::MAX,
    };

    const fn forget(&mut self) {
        self.free_at = Instant::ZERO;
        self.last_arrival = Instant::ZERO;
        self.slowest = u32::MAX;
    }

    /// At least what [`Lane::slowest`] was rounded down from.
    fn slowest_bps(&self) -> u64 {
        match self.slowest {
            u32::MAX => u64::MAX,
            slowest => u64::from(slowest) * BANDWIDTH_UNIT_BPS + (BANDWIDTH_UNIT_BPS - 1),
        }
    }

    fn pass(&mut self, end: Endpoint<'_>, way: Way, now: Instant, bytes: usize) -> Passage {
        let packet = self.packets;
        self.packets = self.packets.wrapping_add(1);
        let subject = u64::from(end.device);
        let mut draw = rng::draw(end.seed, subject, way.purpose(), u64::from(packet));
        let own = way.of(end.link);
        let bandwidth_bps = end.bandwidth_bps(way);
        self.remember_bandwidth(bandwidth_bps, now);
        let leaves = now
            .max(self.free_at)
            .after_ns(transmission_ns(bandwidth_bps, bytes));
        self.free_at = leaves;
        let mut delay = delay_of(own.delay, &mut draw);
        let mut loss = own.loss;
        for (fault, on_top) in end.on_top(way) {
            let index = way.index_on_top(fault, packet);
            let mut draw = rng::draw(end.seed, subject, Purpose::Degrade, index);
            delay += delay_of(on_top.delay, &mut draw);
            loss += on_top.loss * (1.0 - loss);
        }
        let lost = losses(loss, &mut draw);
        let arrives = leaves.after(delay).after(retransmission_wait(lost));
        self.last_arrival = arrives.max(self.last_arrival);
        Passage {
            arrives: self.last_arrival,
            lost,
        }
    }

    fn remember_bandwidth(&mut self, bandwidth_bps: Option<NonZeroU64>, now: Instant) {
        let units = bandwidth_bps.map_or(u32::MAX, |bps| {
            u32::try_from(bps.get() / BANDWIDTH_UNIT_BPS).unwrap_or(u32::MAX)
        });
        self.slowest = match self.free_at > now {
            true => self.slowest.min(units),
            false => units,
        };
    }
}

/// Time that a packet occupies the link, rounded up: the bandwidth is never exceeded.
fn transmission_ns(bandwidth_bps: Option<NonZeroU64>, bytes: usize) -> u64 {
    let Some(bandwidth_bps) = bandwidth_bps else {
        return 0;
    };
    let bits = 8 * (bytes as u64 + HEADER_BYTES as u64);
    bits.saturating_mul(1_000_000_000)
        .div_ceil(bandwidth_bps.get())
}

fn delay_of(delay: Delay, draw: &mut rng::Draw) -> Duration {
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

/// How long until a SYN that a full listener has dropped or a blackhole swallowed is sent again, `waited` after the first: at
/// 1, 3, 7 … s (RFC 6298, 5.5), as the kernel does in a live run.
pub fn next_syn(waited: Duration) -> Duration {
    let sent_again = (waited.as_secs() + 1).ilog2().min(RETRANSMISSIONS_MAX);
    RETRANSMISSION_TIMEOUT * (1 << sent_again)
}

#[cfg(test)]
mod degraded_tests;
#[cfg(test)]
mod tests;
