//! How a device connects: timeouts, keep-alive, backoff, client identifier, inflight window.

use super::Checker;
use super::text::is_per_device;
use crate::mqtt::session::PingOn;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{Backoff, BackoffShape, Client};
use crate::scenario::quantity::Time;
use crate::scenario::sdks::{self, Sdk};
use std::time::Duration;

/// Largest inflight window.
const MAX_INFLIGHT: u32 = 256;

impl Checker<'_> {
    pub(super) fn client(&mut self, client: Option<&mirror::Client>, csv: bool) -> Client {
        let default = mirror::Client::default();
        let client = client.unwrap_or(&default);
        let client_id = At {
            span: client.client_id.as_ref().map_or(self.root, |id| id.span),
            value: client
                .client_id
                .as_ref()
                .map_or("{device}-{run}", |id| &id.value)
                .to_owned(),
        };
        let template = self.template(&client_id, csv);
        self.mqtt_string("client identifier", &client_id, &template);
        if !template.0.is_empty() && !is_per_device(&template) {
            self.error(
                client_id.span,
                "all devices would have the same client identifier",
                "put `{device}` into it: a broker closes a session when another with the same identifier connects",
            );
        }
        let base = self.sdk(client.preset.as_ref());
        let keep_alive_s = self.keep_alive(client.keep_alive.as_ref(), base.keep_alive_s);
        let (ping_interval_s, ping_timeout) = base.ping.times(keep_alive_s);
        Client {
            preset: Some(base.name).filter(|name| !name.is_empty()),
            connect_timeout: self.positive(client.connect_timeout.as_ref(), base.connect_timeout),
            keep_alive_s,
            ping_interval_s: match &client.ping_interval {
                Some(time) => self.ping_interval(time, keep_alive_s),
                None => ping_interval_s,
            },
            ping_on: match client.ping_on {
                None => base.ping_on,
                Some(mirror::PingOn::SilenceOut) => PingOn::SilenceOut,
                Some(mirror::PingOn::SilenceEither) => PingOn::SilenceEither,
                Some(mirror::PingOn::Always) => PingOn::Always,
            },
            ping_timeout: self.ping_timeout(
                client.ping_timeout.as_ref(),
                ping_timeout,
                keep_alive_s,
            ),
            backoff: self.policy(client, base.backoff),
            client_id: template,
            inflight: self.inflight(client.inflight.as_ref(), base.inflight),
        }
    }

    fn sdk(&mut self, name: Option<&At<mirror::SdkName>>) -> &'static Sdk {
        let Some(name) = name else {
            return &sdks::PLAIN;
        };
        sdks::preset(&name.value.0).unwrap_or_else(|| {
            let names: Vec<&str> = sdks::names().collect();
            let word = At {
                span: name.span,
                value: name.value.0.clone(),
            };
            self.unknown("SDK preset", &word, &names);
            &sdks::PLAIN
        })
    }

    /// Each word that is written replaces that of `base`.
    fn policy(&mut self, client: &mirror::Client, base: Backoff) -> Backoff {
        let time = |at: &At<Time>| at.value.0;
        Backoff {
            shape: self.backoff(client.backoff.as_ref(), base.shape),
            first: client.first_wait.as_ref().map(time).or(base.first),
            reset_after: client.reset_after.as_ref().map_or(base.reset_after, time),
            give_up_after: self
                .give_up_after(client.give_up_after.as_ref())
                .or(base.give_up_after),
        }
    }

    fn ping_interval(&mut self, time: &At<Time>, keep_alive_s: u16) -> Option<u16> {
        let value = time.value.0;
        let whole = u16::try_from(value.as_secs()).ok();
        let whole = whole.filter(|s| value.subsec_nanos() == 0 && (1..=keep_alive_s).contains(s));
        if whole.is_none() {
            let help = match keep_alive_s {
                0 => "remove it: with `keep_alive: 0s` no PINGREQ is written".to_owned(),
                most => format!("write a duration from 1s to {most}s"),
            };
            self.error(
                time.span,
                "ping_interval is in whole seconds, and at most the keep_alive",
                help,
            );
        }
        whole
    }

    fn keep_alive(&mut self, time: Option<&At<Time>>, default_s: u16) -> u16 {
        let Some(time) = time else {
            return default_s;
        };
        let value = time.value.0;
        match u16::try_from(value.as_secs()) {
            Ok(whole) if value.subsec_nanos() == 0 => whole,
            Ok(_) | Err(_) => {
                self.error(
                    time.span,
                    "keep_alive is in whole seconds, at most 65535s",
                    "write for example 60s, or 0s to turn it off",
                );
                default_s
            }
        }
    }

    /// While a device waits for a PINGRESP it may write nothing else, so the wait is silence: not to
    /// be longer than the keep-alive (MQTT-3.1.2-23).
    fn ping_timeout(
        &mut self,
        time: Option<&At<Time>>,
        default: Duration,
        keep_alive_s: u16,
    ) -> Duration {
        let longest = match keep_alive_s {
            0 => Duration::MAX,
            on => secs(u64::from(on)),
        };
        let timeout = self.positive(time, default);
        if let Some(time) = time
            && timeout > longest
        {
            self.error(
                time.span,
                "a device that waits longer for PINGRESP than its keep_alive is silent for too long",
                format!("write at most {keep_alive_s}s, or a longer keep_alive"),
            );
        }
        timeout
    }

    fn give_up_after(&mut self, attempts: Option<&At<u32>>) -> Option<u32> {
        let attempts = attempts?;
        if attempts.value == 0 {
            self.error(
                attempts.span,
                "a device cannot give up before its first attempt",
                "write 1 or more, or leave it away to try for ever",
            );
        }
        Some(attempts.value)
    }

    fn inflight(&mut self, inflight: Option<&At<u32>>, default: u16) -> u16 {
        let Some(inflight) = inflight else {
            return default;
        };
        if !(1..=MAX_INFLIGHT).contains(&inflight.value) {
            self.error(
                inflight.span,
                format!("inflight cannot be {}", inflight.value),
                format!("write a number from 1 to {MAX_INFLIGHT}"),
            );
        }
        u16::try_from(inflight.value.min(MAX_INFLIGHT)).expect("at most MAX_INFLIGHT")
    }

    fn backoff(
        &mut self,
        backoff: Option<&At<mirror::Backoff>>,
        default: BackoffShape,
    ) -> BackoffShape {
        let Some(backoff) = backoff else {
            return default;
        };
        match &backoff.value {
            mirror::Backoff::Fixed(time) => BackoffShape::Fixed(self.positive(Some(time), secs(1))),
            mirror::Backoff::NoJitter(growth) => {
                let (base, cap) = self.exponential(growth);
                BackoffShape::NoJitter { base, cap }
            }
            mirror::Backoff::FullJitter(growth) => {
                let (base, cap) = self.exponential(growth);
                BackoffShape::FullJitter { base, cap }
            }
            mirror::Backoff::EqualJitter(growth) => {
                let (base, cap) = self.exponential(growth);
                BackoffShape::EqualJitter { base, cap }
            }
            mirror::Backoff::DecorrelatedJitter(growth) => {
                let (base, cap) = self.exponential(growth);
                BackoffShape::DecorrelatedJitter { base, cap }
            }
            mirror::Backoff::AwsCrt(sdk) => {
                let (base, cap) = self.growth(sdk.base.as_ref(), sdk.cap.as_ref(), secs(120));
                BackoffShape::AwsCrt { base, cap }
            }
            mirror::Backoff::AzureIotSdkC(sdk) => {
                self.whole_seconds("azure-iot-sdk-c", [&sdk.base, &sdk.cap]);
                let (base, cap) = self.growth(sdk.base.as_ref(), sdk.cap.as_ref(), secs(30));
                BackoffShape::AzureIotSdkC { base, cap }
            }
            mirror::Backoff::AzureSdkForC(sdk) => {
                let (base, cap) = self.growth(sdk.base.as_ref(), sdk.cap.as_ref(), secs(100));
                let jitter = sdk.jitter.as_ref().map_or(secs(5), |time| time.value.0);
                BackoffShape::AzureSdkForC { base, cap, jitter }
            }
            mirror::Backoff::PahoC(sdk) => {
                self.whole_seconds("Paho C", [&sdk.base, &sdk.cap]);
                let (base, cap) = self.growth(sdk.base.as_ref(), sdk.cap.as_ref(), secs(60));
                BackoffShape::PahoC { base, cap }
            }
        }
    }

    fn exponential(&mut self, growth: &mirror::Exponential) -> (Duration, Duration) {
        self.growth(growth.base.as_ref(), growth.cap.as_ref(), secs(30))
    }

    /// Base and cap as written, or 1 s and `default_cap`.
    fn growth(
        &mut self,
        base: Option<&At<Time>>,
        cap: Option<&At<Time>>,
        default_cap: Duration,
    ) -> (Duration, Duration) {
        let base = self.positive(base, secs(1));
        let length = self.positive(cap, default_cap.max(base));
        if let (Some(at), true) = (cap, length < base) {
            self.error(
                at.span,
                "the cap is shorter than the first wait",
                format!("make `cap` at least {base:?}"),
            );
        }
        (base, length)
    }

    fn whole_seconds(&mut self, sdk: &str, times: [&Option<At<Time>>; 2]) {
        for time in times.into_iter().flatten() {
            if time.value.0.subsec_nanos() > 0 {
                self.error(
                    time.span,
                    format!("{sdk} knows whole seconds only"),
                    "write for example 1s or 30s",
                );
            }
        }
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
