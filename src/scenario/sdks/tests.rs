//! The presets keep the bounds of a checked client.

use super::*;

#[test]
fn every_preset_keeps_the_bounds_of_a_checked_client() {
    for sdk in &SDKS {
        let name = sdk.name;
        assert_eq!(preset(name).map(|sdk| sdk.name), Some(name));
        assert!(!sdk.about.is_empty() && !sdk.about.contains('\n'), "{name}");
        let client = sdk.client(Template(Vec::new()));
        assert_eq!(client.preset, Some(name));
        assert!(client.connect_timeout > Duration::ZERO, "{name}");
        assert!(client.ping_timeout > Duration::ZERO, "{name}");
        assert!((1..=256).contains(&client.inflight), "{name}");
        assert_ne!(client.backoff.give_up_after, Some(0), "{name}");
        let interval = client.ping_interval_s.unwrap_or(client.keep_alive_s);
        assert!((1..=client.keep_alive_s).contains(&interval), "{name}");
        match client.backoff.shape {
            BackoffShape::Fixed(_) => {}
            BackoffShape::NoJitter { base, cap }
            | BackoffShape::FullJitter { base, cap }
            | BackoffShape::EqualJitter { base, cap }
            | BackoffShape::DecorrelatedJitter { base, cap }
            | BackoffShape::AwsCrt { base, cap }
            | BackoffShape::AzureIotSdkC { base, cap }
            | BackoffShape::AzureSdkForC { base, cap, .. }
            | BackoffShape::PahoC { base, cap } => {
                assert!(Duration::ZERO < base && base <= cap, "{name}");
            }
        }
    }
    let mut sorted: Vec<&str> = names().collect();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), SDKS.len(), "names are unique");
    assert!(preset("").is_none() && preset("paho").is_none());
}

#[test]
fn pings_follow_the_keep_alive() {
    let secs = Duration::from_secs;
    let early = Ping::Early {
        by_s: 10,
        within: secs(80),
    };
    // (law, keep-alive, interval, timeout).
    let table = [
        (Ping::Within(secs(30)), 1200, None, secs(30)),
        (Ping::UntilNext, 60, None, secs(60)),
        (Ping::Halves, 120, Some(60), secs(60)),
        (Ping::Halves, 5, Some(2), secs(3)),
        (Ping::Halves, 1, Some(1), secs(1)),
        (Ping::ThenHalf, 60, None, secs(30)),
        (Ping::ThenHalf, 5, None, secs(3)),
        (early, 240, Some(230), secs(80)),
        (early, 9, Some(1), secs(9)),
        (Ping::Within(secs(21)), 9, None, secs(9)),
        (Ping::Within(secs(21)), 0, None, secs(21)),
        (Ping::UntilNext, 0, None, secs(1)),
        (Ping::Halves, 0, None, secs(1)),
        (early, 0, None, secs(80)),
        (Ping::UntilNext, u16::MAX, None, secs(65_535)),
    ];
    for (law, keep_alive_s, interval, timeout) in table {
        let times = law.times(keep_alive_s);
        assert_eq!(times, (interval, timeout), "{law:?}, {keep_alive_s} s");
    }
}

#[test]
fn what_is_assumed_is_named_by_its_words() {
    let words = [
        "connect_timeout",
        "keep_alive",
        "ping_interval",
        "ping_timeout",
        "ping_on",
        "inflight",
        "bounds of backoff",
    ];
    for sdk in SDKS.iter().filter(|sdk| !sdk.assumed.is_empty()) {
        for word in sdk.assumed.split(", ") {
            assert!(words.contains(&word), "{}: {word}", sdk.name);
        }
    }
}
