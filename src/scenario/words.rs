//! What a plan says of the target's law, of links, outages, device faults and power, in words:
//! `run::check` prints them before a run, `report` after it. Times and shares are told as they are
//! set, never rounded.

mod operations;

pub use operations::profile;

use super::plan::{
    Backoff, BackoffShape, Client, Delay, DeviceFault, Direction, DrainOrder, Embedded, First,
    GoneClients, Link, NetworkFault, Plan, PowerOn, Selector, Service, ServiceTime, Store,
    WhenFull,
};
use super::power::{BootTime, Pace, Spread};
use crate::mqtt::session::PingOn;
use std::fmt::Write as _;
use std::time::Duration;

/// The words, with figures as the page that they stand on writes them.
#[derive(Copy, Clone, Debug)]
pub struct Words {
    /// A whole number, its thousands separated.
    pub count: fn(u64) -> String,
    /// A duration with its unit, not rounded.
    pub time: fn(Duration) -> String,
}

impl Words {
    /// How many CONNECTs are admitted; `None` if all are, at once.
    pub fn admission(self, embedded: &Embedded) -> Option<String> {
        let rate = self.per_s(embedded.accept_rate_per_s?);
        let waiting = (self.count)(u64::from(embedded.accept_queue));
        Some(format!(
            "{rate} CONNECTs/s over all nodes, {waiting} may wait on each"
        ))
    }

    /// What work costs and how much of it the nodes can do; `None` if it costs nothing.
    pub fn service(self, embedded: &Embedded) -> Option<String> {
        let service = embedded.service?;
        let workers = self.counted(u64::from(service.workers), "worker");
        let waiting = self.counted(u64::from(service.queue), "job");
        let mut text = format!("{workers} per node, {waiting} may wait on each");
        for (packet, work) in [("CONNECT", service.connect), ("PUBLISH", service.publish)] {
            let work = self.work(&service, work, embedded.nodes);
            write!(text, "; {packet} {work}").expect("a String accepts every write");
        }
        Some(text)
    }

    fn work(self, service: &Service, work: Option<ServiceTime>, nodes: u16) -> String {
        let Some(work) = work else {
            return "costs nothing".to_owned();
        };
        let time = |time: Duration| (self.time)(time);
        let law = match work {
            ServiceTime::Fixed(always) => format!("fixed {}", time(always)),
            ServiceTime::Exponential(mean) => format!("exponential, {} on average", time(mean)),
            ServiceTime::Bimodal {
                fast,
                slow,
                slow_share,
            } => format!(
                "{}, or {} for {}",
                time(fast),
                time(slow),
                percent(slow_share)
            ),
        };
        let capacity = self.per_s(service.capacity_per_s(&work, nodes));
        format!("{law}, at most {capacity}/s in all")
    }

    /// A link, each direction with its delay, loss and bandwidth.
    pub fn link(self, link: &Link) -> String {
        let begin = link
            .preset
            .map_or_else(String::new, |name| format!("{name}: "));
        let (up, down) = (self.direction(&link.up), self.direction(&link.down));
        if up == down {
            format!("{begin}each way {up}")
        } else {
            format!("{begin}up {up}; down {down}")
        }
    }

    /// What a device's store keeps and how it drains.
    pub fn store(self, store: &Store) -> String {
        let samples = self.counted(u64::from(store.messages), "sample");
        let age = store.age.map_or_else(String::new, |age| {
            format!(", none older than {}", (self.time)(age))
        });
        let when_full = match store.when_full {
            WhenFull::DropOldest => "the oldest",
            WhenFull::DropNewest => "the newest",
            WhenFull::DropByPriority => "the oldest of the lowest priority",
        };
        let pace = store.drain_gap.map_or_else(
            || "without limit".to_owned(),
            |gap| format!("one per {}", (self.time)(gap)),
        );
        let order = match store.order {
            DrainOrder::OldestFirst => "oldest first",
            DrainOrder::NewestFirst => "newest first",
        };
        let first = match store.first {
            First::Live => "after what comes due",
            First::Backlog => "before what comes due",
        };
        format!(
            "{samples} per device{age}; when full, {when_full} goes; drains {pace}, {order}, {first}"
        )
    }

    fn direction(self, direction: &Direction) -> String {
        let time = |time: Duration| (self.time)(time);
        let mut text = match direction.delay {
            Delay::Uniform { base, jitter } if (base + jitter).is_zero() => "no delay".to_owned(),
            Delay::Uniform { base, jitter } if jitter.is_zero() => time(base),
            Delay::Uniform { base, jitter } => format!("{} to {}", time(base), time(base + jitter)),
            Delay::LogNormal { median, sigma, cap } => {
                format!(
                    "{} median, sigma {sigma}, at most {}",
                    time(median),
                    time(cap)
                )
            }
        };
        if direction.loss > 0.0 {
            write!(text, ", {} lost", percent(direction.loss))
                .expect("a String accepts every write");
        }
        if let Some(bps) = direction.bandwidth_bps {
            #[expect(
                clippy::cast_precision_loss,
                reason = "at most 1e11, which an f64 holds exactly"
            )]
            let kbps = bps.get() as f64 / 1e3;
            write!(text, ", {kbps} kbps").expect("a String accepts every write");
        }
        text
    }

    /// What a client does, from its SDK preset on if it has one.
    pub fn client(self, client: &Client) -> String {
        let time = |time: Duration| (self.time)(time);
        let secs = |s: u16| time(Duration::from_secs(s.into()));
        let mut text = client
            .preset
            .map_or_else(String::new, |name| format!("{name}: "));
        write!(text, "CONNACK within {}", time(client.connect_timeout))
            .expect("a String accepts every write");
        match client.keep_alive_s {
            0 => text.push_str("; no keep-alive"),
            keep_alive_s => write!(
                text,
                "; keep-alive {}, PINGREQ after {}{}, PINGRESP within {}",
                secs(keep_alive_s),
                secs(client.ping_interval_s.unwrap_or(keep_alive_s)),
                match client.ping_on {
                    PingOn::SilenceOut => " of its own silence",
                    PingOn::SilenceEither => " of silence of either end",
                    PingOn::Always => " whatever passes",
                },
                time(client.ping_timeout)
            )
            .expect("a String accepts every write"),
        }
        format!(
            "{text}; {} in flight; {}",
            (self.count)(client.inflight.into()),
            self.backoff(&client.backoff)
        )
    }

    /// The waits of a reconnect policy.
    pub fn backoff(self, policy: &Backoff) -> String {
        let time = |time: Duration| (self.time)(time);
        let doubling = |base, cap| format!("{}, doubled up to {}", time(base), time(cap));
        let law = match policy.shape {
            BackoffShape::Fixed(wait) if wait.is_zero() => "tries again at once".to_owned(),
            BackoffShape::Fixed(wait) => format!("waits {}", time(wait)),
            BackoffShape::NoJitter { base, cap } => format!("waits {}", doubling(base, cap)),
            BackoffShape::FullJitter { base, cap } => {
                format!("waits 0 to {}", doubling(base, cap))
            }
            BackoffShape::EqualJitter { base, cap } => {
                format!("waits half to all of {}", doubling(base, cap))
            }
            BackoffShape::DecorrelatedJitter { base, cap } => format!(
                "waits {} to three times the wait before, at most {}",
                time(base),
                time(cap)
            ),
            BackoffShape::AwsCrt { base, cap } => format!(
                "waits 0 to {}, doubled without end, then cut to {}",
                time(base),
                time(cap)
            ),
            BackoffShape::AzureIotSdkC { base, cap } => format!(
                "tries at once, then waits {} and up to 5 % more, in whole seconds",
                doubling(base, cap)
            ),
            BackoffShape::AzureSdkForC { base, cap, jitter } => format!(
                "waits {} and 0 to {} more where that stays below it",
                doubling(base, cap),
                time(jitter)
            ),
            BackoffShape::PahoC { base, cap } => format!(
                "waits {}, a fifth more or less, in whole seconds",
                doubling(base, cap)
            ),
        };
        let mut text = match policy.first {
            Some(first) if first.is_zero() => format!("tries at once after a drop, then {law}"),
            Some(first) => format!("waits {} after a drop, then {law}", time(first)),
            None => law,
        };
        if !policy.reset_after.is_zero() {
            write!(text, "; anew once online for {}", time(policy.reset_after))
                .expect("a String accepts every write");
        }
        if let Some(attempts) = policy.give_up_after {
            let attempts = self.counted(u64::from(attempts), "failed attempt");
            write!(text, "; gives up after {attempts} in a row")
                .expect("a String accepts every write");
        }
        text
    }

    /// An outage and whom it meets.
    pub fn outage(self, plan: &Plan, who: &Selector, fault: NetworkFault) -> String {
        let who = who.text(plan);
        match fault {
            NetworkFault::Reset { within } => format!("reset of {who}{}", self.within(within)),
            NetworkFault::Close { within } => format!("close of {who}{}", self.within(within)),
            NetworkFault::Refuse => format!("new connections of {who} refused"),
            NetworkFault::Dns => format!("no name resolution for {who}"),
            NetworkFault::Blackhole => format!("blackhole of {who}"),
            NetworkFault::Degrade(link) => {
                format!("degraded link of {who}, on top: {}", self.link(&link))
            }
        }
    }

    /// A device fault, whom it meets and how they come back.
    pub fn device_fault(self, plan: &Plan, who: &Selector, fault: &DeviceFault) -> String {
        let who = who.text(plan);
        match fault {
            DeviceFault::PowerCut { within, back, boot } => format!(
                "power cut of {who}{}, back {}{}",
                self.within(*within),
                self.spread(*back),
                self.boot(*boot)
            ),
            DeviceFault::Crash { within, boot } => {
                format!("crash of {who}{}{}", self.within(*within), self.boot(*boot))
            }
        }
    }

    /// How a phase gives devices power.
    pub fn power_on(self, power_on: &PowerOn) -> String {
        let pace = match power_on.pace {
            Pace::PerSecond(rate) => format!("{}/s", self.per_s(rate)),
            Pace::Over(spread) => self.spread(spread),
        };
        format!("{pace}{}", self.boot(power_on.boot))
    }

    /// How power comes to a group of devices.
    pub fn spread(self, spread: Spread) -> String {
        match spread {
            Spread::AtOnce => "at once".to_owned(),
            Spread::Uniform(over) => format!("evenly over {}", (self.time)(over)),
            Spread::Beta(over) => format!("as Beta(3, 4) over {}", (self.time)(over)),
            Spread::Waves { count, every } => {
                let waves = self.counted(u64::from(count), "wave");
                format!("in {waves}, one every {}", (self.time)(every))
            }
        }
    }

    /// A boot time with a comma in front; nothing if there is none.
    pub fn boot(self, boot: BootTime) -> String {
        match boot {
            BootTime::NONE => String::new(),
            BootTime::Fixed(time) => format!(", {} to boot", (self.time)(time)),
            BootTime::Uniform { min, max } => {
                let (min, max) = ((self.time)(min), (self.time)(max));
                format!(", {min} to {max} to boot")
            }
        }
    }

    fn within(self, time: Duration) -> String {
        if time.is_zero() {
            return String::new();
        }
        format!(" within {}", (self.time)(time))
    }

    /// A rate without its unit: whole from 100 on, with three significant digits below.
    pub fn per_s(self, rate: f64) -> String {
        if rate <= 0.0 {
            return "0".to_owned();
        }
        // What three digits would round to 100 or more.
        if rate >= 99.95 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a positive rate; a float cast saturates"
            )]
            return (self.count)(rate.round() as u64);
        }
        // The first decimal that is not zero, and two more.
        let mut decimals = 1;
        while decimals < 9 && rate * 10f64.powi(decimals - 2) < 0.9995 {
            decimals += 1;
        }
        let decimals = usize::try_from(decimals).expect("from 1 to 9");
        let text = format!("{rate:.decimals$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    fn counted(self, n: u64, noun: &str) -> String {
        let s = if n == 1 { "" } else { "s" };
        format!("{} {noun}{s}", (self.count)(n))
    }
}

/// What becomes of work whose client has left before its turn came.
pub const fn gone_clients(what: GoneClients) -> &'static str {
    match what {
        GoneClients::Skip => "passed over at no cost",
        GoneClients::Serve => "served like any other, for nothing",
    }
}

/// A share (0 to 1) for people: `7.5 %`.
pub fn percent(share: f64) -> String {
    // 0.07 * 100.0 is 7.000000000000001.
    format!("{} %", (share * 1e12).round() / 1e10)
}

#[cfg(test)]
mod tests;
