//! The link presets: access links of known kinds, as named data with their sources. A scenario names
//! one, `check` takes it from here.
//!
//! Sources write delays in one of two ways, while a [`Direction`] has the delay of one passage:
//!
//! * *Per direction*, taken as it is: the profiles of Augmented Traffic Control (below: ATC;
//!   github.com/facebookarchive/augmented-traffic-control, `utils/profiles`), and the NB-IoT
//!   measurements (below: Robinson) of D. Robinson, "LTE Cat-NB (Narrowband) Performance Evaluation",
//!   Stellenbosch 2019, github.com/dan-leo/masters, which time the sending of single datagrams.
//! * *Once per round trip*, halved: the table of Comcast (github.com/tylertreat/comcast, README), a
//!   tool that delays outgoing packets only (`tc qdisc … netem` on the sender), and the presets
//!   marked *assumed*: figures of common experience without a source, as a socket sees them. Replace
//!   those by what was measured on the network in question.
//!
//! Losses are per packet in each direction, as in ATC.

use super::plan::{Delay, Direction, Link};
use std::num::NonZeroU64;
use std::time::Duration;

/// The preset called `name`.
pub(super) fn preset(name: &str) -> Option<Link> {
    let mut presets = PRESETS.iter();
    presets.find(|link| link.preset == Some(name)).copied()
}

/// All presets, roughly from the slowest kind to the fastest.
pub fn presets() -> &'static [Link] {
    &PRESETS
}

/// All names, roughly from the slowest kind to the fastest.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().filter_map(|link| link.preset)
}

/// Neither delay nor loss nor a limit: what a scenario's own settings begin from.
pub const PLAIN: Link = Link {
    preset: None,
    up: direction(fixed(0), 0.0, None),
    down: direction(fixed(0), 0.0, None),
};

static PRESETS: [Link; 22] = [
    NBIOT_BAD_VENDOR,
    NBIOT_CE2,
    NBIOT_CE1,
    NBIOT_CE0,
    RURAL_2G,
    URBAN_2G,
    GPRS_GOOD,
    EDGE_LOSSY,
    EDGE_AVERAGE,
    EDGE_GOOD,
    GEO_SAT,
    AVERAGE_3G,
    GOOD_3G,
    HSDPA_GOOD,
    LTE_M,
    LTE_CAT1,
    FOUR_G,
    DSL_POOR,
    DSL_GOOD,
    WIFI_GOOD,
    STARLINK,
    CABLE,
];

/// NB-IoT, normal coverage (level 0). Robinson: median 0.65 s, 95 % below 7 s, outliers to 300 s,
/// which is lognormal with sigma 1.4; 0.5 to 10 kbps down (here their geometric mean) and about 2
/// kbps up. Those times hold the datagram's own transmission, which the bandwidth counts again: 60
/// bytes take 0.4 s more here. The radio repeats what it loses, within the delay.
const NBIOT_CE0: Link = nbiot("nbiot-ce0", 650, 1.4, 300);

/// NB-IoT, extended coverage (level 1). Robinson: median 1 to 3 s, up to 100 s, about 2 kbps; sigma as
/// in [`NBIOT_CE0`].
const NBIOT_CE1: Link = nbiot("nbiot-ce1", 2_000, 1.4, 100);

/// NB-IoT, extreme coverage (level 2). Robinson: about ten times [`NBIOT_CE0`]; no bandwidth of its
/// own is given, so that of level 1.
const NBIOT_CE2: Link = nbiot("nbiot-ce2", 6_500, 1.4, 300);

/// NB-IoT on the one vendor's network that failed in Robinson: median 2 to 8 s (here their geometric
/// mean), 95 % below 60 to 100 s, which is lognormal with sigma 1.8; bandwidth as [`NBIOT_CE1`].
const NBIOT_BAD_VENDOR: Link = nbiot("nbiot-bad-vendor", 4_000, 1.8, 300);

/// 2G in the country. ATC "2G - Developing Rural": 650 ms and 2 % each way, 20 kbps down, 18 up.
const RURAL_2G: Link = Link {
    preset: Some("2g-rural"),
    up: direction(fixed(650), 0.02, kbps(18)),
    down: direction(fixed(650), 0.02, kbps(20)),
};

/// 2G in a town. ATC "2G - Developing Urban": 650 ms each way, 35 kbps down, 32 up.
const URBAN_2G: Link = Link {
    preset: Some("2g-urban"),
    up: direction(fixed(650), 0.0, kbps(32)),
    down: direction(fixed(650), 0.0, kbps(35)),
};

/// GPRS. Comcast "GPRS (good)": 500 ms per round trip, 2 %, 50 kbps.
const GPRS_GOOD: Link = even("gprs-good", fixed(250), 0.02, kbps(50));

/// EDGE with loss. ATC "Edge - Lossy": as [`EDGE_AVERAGE`] with 1 % lost each way.
const EDGE_LOSSY: Link = Link {
    preset: Some("edge-lossy"),
    up: direction(fixed(440), 0.01, kbps(200)),
    down: direction(fixed(400), 0.01, kbps(240)),
};

/// EDGE. ATC "Edge - Average": 400 ms and 240 kbps down, 440 ms and 200 kbps up, no jitter.
const EDGE_AVERAGE: Link = Link {
    preset: Some("edge-average"),
    up: direction(fixed(440), 0.0, kbps(200)),
    down: direction(fixed(400), 0.0, kbps(240)),
};

/// EDGE. Comcast "EDGE (good)": 300 ms per round trip, 1.5 %, 250 kbps.
const EDGE_GOOD: Link = even("edge-good", fixed(150), 0.015, kbps(250));

/// A geostationary satellite. Assumed: 600 ms per round trip (the light alone takes 480 ms) with sigma
/// 0.1, 0.5 to 1 % lost, 1000 kbps down, 256 up.
const GEO_SAT: Link = Link {
    preset: Some("geo-sat"),
    up: direction(lognormal(300, 0.1, 300), 0.0075, kbps(256)),
    down: direction(lognormal(300, 0.1, 300), 0.0075, kbps(1_000)),
};

/// 3G. ATC "3G - Average": 100 ms each way, 780 kbps down, 330 up.
const AVERAGE_3G: Link = Link {
    preset: Some("3g-average"),
    up: direction(fixed(100), 0.0, kbps(330)),
    down: direction(fixed(100), 0.0, kbps(780)),
};

/// 3G. ATC "3G - Good": 90 ms and 850 kbps down, 100 ms and 420 kbps up.
const GOOD_3G: Link = Link {
    preset: Some("3g-good"),
    up: direction(fixed(100), 0.0, kbps(420)),
    down: direction(fixed(90), 0.0, kbps(850)),
};

/// 3G with HSDPA. Comcast "3G/HSDPA (good)": 250 ms per round trip, 1.5 %, 750 kbps.
const HSDPA_GOOD: Link = even("hsdpa-good", fixed(125), 0.015, kbps(750));

/// LTE-M. Assumed: 100 to 150 ms per round trip, sigma 0.5 each way, 0.5 %, 300 kbps. The round trip of
/// two such passages has its median at 2.1 times theirs: 127 ms.
const LTE_M: Link = even("lte-m", lognormal(60, 0.5, 300), 0.005, kbps(300));

/// LTE category 1. Assumed: 60 ms per round trip, sigma 0.4 each way, 0.2 %, 5000 kbps down, 2000 up.
const LTE_CAT1: Link = lte("lte-cat1");

/// 4G: another name for [`LTE_CAT1`].
const FOUR_G: Link = lte("4g");

/// DSL. Comcast "DSL (poor)": 70 ms per round trip, 2 %, 2000 kbps.
const DSL_POOR: Link = even("dsl-poor", fixed(35), 0.02, kbps(2_000));

/// DSL. Comcast "DSL (good)": 40 ms per round trip, 0.5 %, 8000 kbps.
const DSL_GOOD: Link = even("dsl-good", fixed(20), 0.005, kbps(8_000));

/// Wireless LAN. Comcast "WIFI (good)": 40 ms per round trip, 0.2 %, 30 000 kbps.
const WIFI_GOOD: Link = even("wifi-good", fixed(20), 0.002, kbps(30_000));

/// Starlink. Comcast "Starlink": 20 ms per round trip, 2.5 %, no limit. Its frequent losses of all
/// packets for a second and its steps every 15 s are not in here.
const STARLINK: Link = even("starlink", fixed(10), 0.025, None);

/// A cable modem. ATC "Cable": 2 ms each way, 6000 kbps down, 1000 up.
const CABLE: Link = Link {
    preset: Some("cable"),
    up: direction(fixed(2), 0.0, kbps(1_000)),
    down: direction(fixed(2), 0.0, kbps(6_000)),
};

const fn nbiot(name: &'static str, median_ms: u64, sigma: f64, cap_s: u64) -> Link {
    even(name, lognormal(median_ms, sigma, cap_s), 0.0, kbps(2))
}

const fn lte(name: &'static str) -> Link {
    Link {
        preset: Some(name),
        up: direction(lognormal(30, 0.4, 300), 0.002, kbps(2_000)),
        down: direction(lognormal(30, 0.4, 300), 0.002, kbps(5_000)),
    }
}

/// A link that is the same in both directions.
const fn even(
    name: &'static str,
    delay: Delay,
    loss: f64,
    bandwidth_bps: Option<NonZeroU64>,
) -> Link {
    Link {
        preset: Some(name),
        up: direction(delay, loss, bandwidth_bps),
        down: direction(delay, loss, bandwidth_bps),
    }
}

const fn direction(delay: Delay, loss: f64, bandwidth_bps: Option<NonZeroU64>) -> Direction {
    Direction {
        delay,
        loss,
        bandwidth_bps,
    }
}

const fn fixed(ms: u64) -> Delay {
    Delay::Uniform {
        base: Duration::from_millis(ms),
        jitter: Duration::ZERO,
    }
}

const fn lognormal(median_ms: u64, sigma: f64, cap_s: u64) -> Delay {
    Delay::LogNormal {
        median: Duration::from_millis(median_ms),
        sigma,
        cap: Duration::from_secs(cap_s),
    }
}

const fn kbps(kbps: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(kbps * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_keeps_the_bounds_of_a_checked_link() {
        for name in names() {
            let link = preset(name).expect("it is listed");
            assert_eq!(link.preset, Some(name));
            for direction in [link.up, link.down] {
                assert!(
                    (0.0..=Direction::LOSS_MAX).contains(&direction.loss),
                    "{name}"
                );
                match direction.delay {
                    Delay::Uniform { base, jitter } => {
                        assert!(base + jitter <= Delay::MAX, "{name}");
                        assert!(base > Duration::ZERO, "{name}");
                    }
                    Delay::LogNormal { median, sigma, cap } => {
                        assert!(median > Duration::ZERO, "{name}");
                        assert!(median <= cap && cap <= Delay::MAX, "{name}");
                        assert!((0.0..=Delay::SIGMA_MAX).contains(&sigma), "{name}");
                    }
                }
            }
        }
        let mut sorted: Vec<&str> = names().collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), PRESETS.len(), "names are unique");
        assert_eq!(preset("lte"), None);
    }

    #[test]
    fn the_sigmas_of_nbiot_give_the_measured_upper_quantiles() {
        // A lognormal has its 95 % quantile at median * e^(1.645 sigma).
        for (link, low_s, high_s) in [(NBIOT_CE0, 6.0, 7.0), (NBIOT_BAD_VENDOR, 60.0, 100.0)] {
            let Delay::LogNormal { median, sigma, .. } = link.up.delay else {
                panic!("NB-IoT is lognormal");
            };
            let p95_s = median.as_secs_f64() * (1.645 * sigma).exp();
            assert!((low_s..=high_s).contains(&p95_s), "{p95_s}");
        }
    }
}
