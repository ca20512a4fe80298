//! Tests of the law of a link: its bounds as properties, its distributions over many packets.

use super::*;
use proptest::prelude::*;
use std::num::NonZeroU64;

const PACKETS: u32 = 40_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn uniform(base: Duration, jitter: Duration) -> Delay {
    Delay::Uniform { base, jitter }
}

/// A link with this in both directions.
fn link(delay: Delay, loss: f64, bandwidth_bps: u64) -> Link {
    let direction = Direction {
        delay,
        loss,
        bandwidth_bps: NonZeroU64::new(bandwidth_bps),
    };
    Link {
        preset: None,
        up: direction,
        down: direction,
    }
}

const fn of(link: &Link, device: DeviceIdx) -> Endpoint<'_> {
    Endpoint {
        link,
        outages: None,
        seed: 42,
        device,
    }
}

fn at(ms: u64) -> Instant {
    Instant::from_ns(ms * 1_000_000)
}

/// Seconds that [`PACKETS`] packets take, sent far apart, and how often each was lost.
fn passages(link: &Link, up: bool) -> Vec<(f64, u32)> {
    let mut path = Path::new();
    let end = of(link, 7);
    (0..PACKETS)
        .map(|i| {
            let now = at(u64::from(i) * 1_000_000);
            let passage = if up {
                path.up(end, now, 60)
            } else {
                path.down(end, now, 60)
            };
            (passage.arrives.since(now).as_secs_f64(), passage.lost)
        })
        .collect()
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "q is from 0 to 1"
    )]
    let at = (sorted.len() as f64 * q) as usize;
    sorted[at]
}

fn sorted_delays(link: &Link, up: bool) -> Vec<f64> {
    let mut delays: Vec<f64> = passages(link, up).iter().map(|p| p.0).collect();
    delays.sort_by(f64::total_cmp);
    delays
}

#[test]
fn a_fixed_link_without_limits_takes_its_latency() {
    let link = link(uniform(ms(20), ms(0)), 0.0, 0);
    let mut path = Path::new();
    let syn = path.open(of(&link, 1), at(100));
    assert_eq!((syn.arrives, syn.lost), (at(120), 0));
    assert_eq!(path.down(of(&link, 1), at(120), NO_BYTES).arrives, at(140));
    assert_eq!(path.up(of(&link, 1), at(140), 1_000_000).arrives, at(160));
}

#[test]
fn jitter_is_uniform_above_the_base() {
    let delays = sorted_delays(&link(uniform(ms(400), ms(440)), 0.0, 0), true);
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    // A standard error is 0.44 / sqrt(12 * 40 000) = 0.6 ms.
    assert!((mean - 0.62).abs() < 0.003, "mean {mean}");
    for (q, wanted) in [
        (0.0, 0.4),
        (0.25, 0.51),
        (0.5, 0.62),
        (0.75, 0.73),
        (0.9999, 0.84),
    ] {
        let found = quantile(&delays, q);
        assert!((found - wanted).abs() < 0.006, "{q}: {found}");
    }
    assert!(delays[0] >= 0.4 && delays[delays.len() - 1] < 0.84);
}

#[test]
fn sigma_is_lognormal_around_the_median_and_capped() {
    let sigma = 1.4;
    let lognormal = |cap| Delay::LogNormal {
        median: ms(650),
        sigma,
        cap,
    };
    for up in [true, false] {
        let delays = sorted_delays(&link(lognormal(Delay::MAX), 0.0, 0), up);
        // (quantile, standard normal quantile)
        for (q, z) in [(0.05, -1.645), (0.5, 0.0), (0.95, 1.645), (0.99, 2.326)] {
            let wanted = 0.65 * f64::exp(sigma * z);
            let found = quantile(&delays, q);
            assert!((found / wanted - 1.0).abs() < 0.08, "{q}: {found}");
        }
        let mean = delays.iter().map(|d| d.ln()).sum::<f64>() / delays.len() as f64;
        // A standard error is 1.4 / sqrt(40 000) = 0.7 %.
        assert!(
            (mean - 0.65f64.ln()).abs() < 0.025,
            "mean of the logs {mean}"
        );
        assert!(delays[delays.len() - 1] <= 300.0);
    }
    let capped = sorted_delays(&link(lognormal(ms(2_000)), 0.0, 0), true);
    assert!((capped[capped.len() - 1] - 2.0).abs() < 1e-9);
    // 1 - Phi(ln(2 / 0.65) / 1.4) of them would have been longer.
    let cut = capped.iter().filter(|d| **d >= 2.0).count() as f64 / f64::from(PACKETS);
    assert!((cut - 0.211).abs() < 0.01, "{cut}");
}

#[test]
fn losses_are_as_many_as_configured_and_cost_doubling_timeouts() {
    let lossy = link(uniform(ms(50), ms(0)), 0.1, 0);
    let mut by_count = [0u32; RETRANSMISSIONS_MAX as usize + 1];
    for (took_s, lost) in passages(&lossy, true) {
        let wanted_s = 0.05 + f64::from((1u32 << lost) - 1);
        assert!((took_s - wanted_s).abs() < 1e-9, "{lost}: {took_s}");
        by_count[lost as usize] += 1;
    }
    // Share of packets lost exactly k times is 0.1^k * 0.9.
    for (k, share, tolerance) in [(0, 0.9, 0.006), (1, 0.09, 0.006), (2, 0.009, 0.002)] {
        let found = f64::from(by_count[k]) / f64::from(PACKETS);
        assert!((found - share).abs() < tolerance, "{k}: {found}");
    }
    let all_lost = passages(&link(uniform(ms(50), ms(0)), Direction::LOSS_MAX, 0), false);
    let longest = all_lost.iter().copied().fold(0.0, |max, (s, _)| s.max(max));
    assert!((longest - 63.05).abs() < 1e-9, "{longest}");
    let limited = all_lost.iter().filter(|p| p.1 == RETRANSMISSIONS_MAX);
    let share = limited.count() as f64 / f64::from(PACKETS);
    // 0.5^6.
    assert!((share - 0.0156).abs() < 0.003, "{share}");
}

#[test]
fn another_loss_leaves_the_delays_as_they_are() {
    let delay = Delay::LogNormal {
        median: ms(60),
        sigma: 0.5,
        cap: Delay::MAX,
    };
    let without = passages(&link(delay, 0.0, 0), true);
    let with = passages(&link(delay, 0.2, 0), true);
    let mut retransmitted = 0;
    for ((plain_s, _), (lossy_s, lost)) in without.into_iter().zip(with) {
        let waited_s = f64::from((1u32 << lost) - 1);
        assert!((plain_s + waited_s - lossy_s).abs() < 1e-6);
        retransmitted += u32::from(lost > 0);
    }
    assert!(retransmitted > PACKETS / 6);
}

#[test]
fn a_lost_packet_holds_up_what_is_behind_it() {
    let lossy = link(uniform(ms(50), ms(0)), 0.3, 0);
    let mut path = Path::new();
    let mut held_up = 0;
    let mut last = Instant::ZERO;
    for i in 0..1_000u64 {
        let now = at(i * 100);
        let passage = path.up(of(&lossy, 3), now, 60);
        assert!(passage.arrives >= last);
        held_up += u32::from(passage.lost == 0 && passage.arrives > now.after(ms(50)));
        last = passage.arrives;
    }
    assert!(held_up > 500, "{held_up}");
}

#[test]
fn a_new_connection_begins_with_an_empty_path_and_fresh_draws() {
    let slow = link(uniform(ms(100), ms(50)), 0.0, 8_000);
    let end = of(&slow, 3);
    let mut path = Path::new();
    let mut first = Vec::new();
    let mut second = Vec::new();
    for (now, arrivals) in [(at(0), &mut first), (at(1_000), &mut second)] {
        arrivals.push(path.open(end, now).arrives.since(now));
        // 100 s of transmission that the next connection does not wait for.
        arrivals.push(path.up(end, now, 100_000).arrives.since(now));
        arrivals.push(path.down(end, now, 0).arrives.since(now));
    }
    assert!(first[0] < ms(200) && second[0] < ms(200), "{second:?}");
    assert!(first.iter().zip(&second).all(|(a, b)| a != b), "{first:?}");
}

#[test]
fn a_send_buffer_is_full_by_what_waits_for_the_bandwidth() {
    // A byte per millisecond.
    let narrow = link(uniform(ms(5_000), ms(0)), 0.0, 8_000);
    let end = of(&narrow, 1);
    let mut path = Path::new();
    let packet = 1_024 - HEADER_BYTES;
    for n in 0..256 {
        path.up(end, at(1_000), packet);
        assert!(!path.is_full(end, at(1_000)), "{n}");
    }
    path.up(end, at(1_000), packet);
    assert!(path.is_full(end, at(2_023)));
    assert!(!path.is_full(end, at(2_024)), "one packet has left");
    path.open(end, at(1_000));
    assert!(!path.is_full(end, at(1_000)), "a connection of its own");
    let wide = link(uniform(ms(5_000), ms(0)), 0.0, 0);
    assert!(!path.is_full(of(&wide, 1), at(0)));
}

#[test]
fn draws_depend_on_seed_device_direction_and_index_and_nothing_else() {
    let link = link(uniform(ms(10), ms(90)), 0.1, 0);
    let mut alone = Path::new();
    let mut among = Path::new();
    let mut other = Path::new();
    for i in 0..100 {
        let now = at(i * 100_000);
        let reseeded = Endpoint {
            seed: 43,
            ..of(&link, 5)
        };
        let by_another_seed = alone.clone().up(reseeded, now, 60);
        let wanted = alone.up(of(&link, 5), now, 60);
        // Another device and the other direction of the same one come in between.
        let of_other = other.up(of(&link, 6), now, 60);
        let down = among.down(of(&link, 5), now, 60);
        assert_eq!(among.up(of(&link, 5), now, 60), wanted);
        assert_ne!(of_other, wanted);
        assert_ne!(down, wanted);
        assert_ne!(by_another_seed, wanted);
    }
}

#[test]
fn the_draws_of_published_seeds_are_fixed_for_ever() {
    let link = link(
        Delay::LogNormal {
            median: ms(60),
            sigma: 0.5,
            cap: Delay::MAX,
        },
        0.5,
        0,
    );
    let mut path = Path::new();
    let up = path.open(of(&link, 7), Instant::ZERO);
    let down = path.down(of(&link, 7), up.arrives, NO_BYTES);
    assert_eq!((up.arrives.ns(), up.lost), (1_057_912_694, 1));
    assert_eq!((down.arrives.ns(), down.lost), (2_194_011_705, 1));
}

/// Any delay, loss and bandwidth.
fn any_link() -> impl Strategy<Value = Link> {
    let uniform =
        (0u64..2_000, 0u64..2_000).prop_map(|(base, jitter)| uniform(ms(base), ms(jitter)));
    let lognormal = (1u64..2_000, 0.0..3.0f64).prop_map(|(median, sigma)| Delay::LogNormal {
        median: ms(median),
        sigma,
        cap: Delay::MAX,
    });
    let delay = prop_oneof![uniform, lognormal];
    let bandwidth_bps = prop_oneof![Just(0), 100u64..20_000, 20_000u64..10_000_000];
    (delay, 0.0..=0.5f64, bandwidth_bps).prop_map(|(delay, loss, bps)| link(delay, loss, bps))
}

/// Gaps in milliseconds and MQTT bytes of packets sent one after the other.
fn any_packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((0u64..500, 0usize..3_000), 1..60)
}

fn least(delay: Delay) -> Duration {
    match delay {
        Delay::Uniform { base, .. } => base,
        Delay::LogNormal { .. } => Duration::ZERO,
    }
}

proptest! {
    #[test]
    fn order_is_kept_and_nothing_arrives_too_early(
        link in any_link(),
        packets in any_packets(),
        device in 0u32..1_000,
    ) {
        let mut path = Path::new();
        let mut now = Instant::ZERO;
        let mut last = Instant::ZERO;
        for (gap_ms, bytes) in packets {
            now = now.after(ms(gap_ms));
            let passage = path.up(of(&link, device), now, bytes);
            let wait = retransmission_wait(passage.lost);
            let soonest = now
                .after_ns(transmission_ns(link.up.bandwidth_bps, bytes))
                .after(least(link.up.delay))
                .after(wait);
            prop_assert!(passage.arrives >= soonest);
            prop_assert!(passage.arrives >= last);
            last = passage.arrives;
        }
    }

    /// What is sent from any instant on has not arrived before the bandwidth allows it.
    #[test]
    fn the_bandwidth_is_never_exceeded(link in any_link(), packets in any_packets()) {
        let mut path = Path::new();
        let mut now = Instant::ZERO;
        let mut sent: Vec<(Instant, u64, Instant)> = Vec::new();
        for (gap_ms, bytes) in packets {
            now = now.after(ms(gap_ms));
            let arrives = path.up(of(&link, 1), now, bytes).arrives;
            sent.push((now, 8 * (bytes + HEADER_BYTES) as u64, arrives));
        }
        let Some(bandwidth_bps) = link.up.bandwidth_bps else { return Ok(()) };
        for from in 0..sent.len() {
            let mut bits = 0u64;
            for (_, of_packet, arrives) in &sent[from..] {
                bits += of_packet;
                let needed_ns = u128::from(bits) * 1_000_000_000 / u128::from(bandwidth_bps.get());
                let had_ns = u128::from(arrives.ns_since(sent[from].0));
                prop_assert!(had_ns >= needed_ns + least(link.up.delay).as_nanos());
            }
        }
    }

    /// With one delay for all and no losses, arrivals themselves keep the bandwidth in any window.
    #[test]
    fn no_window_of_arrivals_holds_more_than_the_bandwidth(
        bandwidth_bps in prop_oneof![100u64..20_000, 20_000u64..10_000_000],
        packets in any_packets(),
    ) {
        let link = link(uniform(ms(30), ms(0)), 0.0, bandwidth_bps);
        let mut path = Path::new();
        let mut now = Instant::ZERO;
        let mut arrived: Vec<(Instant, u64)> = Vec::new();
        for (gap_ms, bytes) in packets {
            now = now.after(ms(gap_ms));
            let arrives = path.down(of(&link, 1), now, bytes).arrives;
            arrived.push((arrives, 8 * (bytes + HEADER_BYTES) as u64));
        }
        for from in 0..arrived.len() {
            let mut bits = 0u64;
            for (at, of_packet) in &arrived[from + 1..] {
                bits += of_packet;
                let window_ns = u128::from(at.ns_since(arrived[from].0));
                let room = window_ns * u128::from(bandwidth_bps) / 1_000_000_000;
                prop_assert!(u128::from(bits) <= room);
            }
        }
    }
}
