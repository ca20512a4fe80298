//! The `link` of a cohort: a preset, a preset with changes, or settings of its own.

use super::Checker;
use crate::scenario::links;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{Delay, Direction, Link};
use crate::scenario::quantity::{Bandwidth, Number, Share, Time};
use crate::scenario::tree::Span;
use std::num::NonZeroU64;
use std::time::Duration;

impl Checker<'_> {
    pub(super) fn link(&mut self, link: &At<mirror::Link>) -> Link {
        match &link.value {
            mirror::Link::Preset(name) => self.preset(link.span, name),
            mirror::Link::Settings(settings) => self.settings(link.span, settings),
        }
    }

    fn preset(&mut self, span: Span, name: &str) -> Link {
        links::preset(name).unwrap_or_else(|| {
            let names: Vec<&str> = links::names().collect();
            let word = At {
                span,
                value: name.to_owned(),
            };
            self.unknown("link preset", &word, &names);
            links::PLAIN
        })
    }

    fn settings(&mut self, span: Span, settings: &mirror::LinkSettings) -> Link {
        let base = match &settings.preset {
            Some(name) => self.preset(name.span, &name.value.0),
            None => links::PLAIN,
        };
        if is_empty(settings) {
            self.absent(
                span,
                "the link has no settings",
                "name a preset such as `link: lte-m`, or write `{ latency: 60ms }`",
            );
        }
        let loss = self.loss(settings.loss.as_ref());
        let spread = self.spread(settings);
        let changed = |direction: Direction, bandwidth: Option<&At<Bandwidth>>| Direction {
            delay: spread.onto(direction.delay),
            loss: loss.unwrap_or(direction.loss),
            bandwidth_bps: bandwidth
                .map(|bandwidth| bandwidth.value.0)
                .map_or(direction.bandwidth_bps, NonZeroU64::into),
        };
        let link = Link {
            preset: base.preset,
            up: changed(base.up, settings.up.as_ref()),
            down: changed(base.down, settings.down.as_ref()),
        };
        self.delay(span, settings, link.up.delay);
        if link.down.delay != link.up.delay {
            self.delay(span, settings, link.down.delay);
        }
        link
    }

    fn loss(&mut self, loss: Option<&At<Share>>) -> Option<f64> {
        let loss = loss?;
        if loss.value.0 > Direction::LOSS_MAX {
            self.error(
                loss.span,
                "a link cannot lose more than 50% of its packets",
                "write a share from 0% to 50%",
            );
            return None;
        }
        Some(loss.value.0)
    }

    fn spread(&mut self, settings: &mirror::LinkSettings) -> Spread {
        if let (Some(_), Some(sigma)) = (&settings.jitter, &settings.sigma) {
            self.error(
                sigma.span,
                "a link has either `jitter` or `sigma`",
                "keep `jitter` for a uniform addition, or `sigma` for a lognormal spread",
            );
        }
        Spread {
            latency: settings.latency.as_ref().map(time),
            jitter: settings.jitter.as_ref().map(time),
            sigma: settings.sigma.as_ref().map(|sigma| self.sigma(sigma)),
            cap: settings.cap.as_ref().map(time),
        }
    }

    fn sigma(&mut self, sigma: &At<Number>) -> f64 {
        let value = sigma.value.0;
        if !(0.0..=Delay::SIGMA_MAX).contains(&value) {
            self.error(
                sigma.span,
                format!("sigma cannot be {value}"),
                "write a number from 0 to 3",
            );
        }
        value.clamp(0.0, Delay::SIGMA_MAX)
    }

    /// Reports what is wrong with the delay that the settings led to.
    fn delay(&mut self, span: Span, settings: &mirror::LinkSettings, delay: Delay) {
        let place = |word: Option<&At<Time>>| word.map_or(span, |word| word.span);
        match delay {
            Delay::Uniform { base, jitter } => {
                if let Some(cap) = &settings.cap {
                    self.error(
                        cap.span,
                        "only a link with `sigma` has a cap",
                        "remove `cap`, or write `sigma` instead of `jitter`",
                    );
                }
                if base + jitter > Delay::MAX {
                    let longest = settings.jitter.as_ref().filter(|_| base <= Delay::MAX);
                    let word = longest.or(settings.latency.as_ref());
                    self.error(
                        place(word),
                        "a packet of this link would take longer than 5min",
                        "make `latency` and `jitter` at most 5min together",
                    );
                }
            }
            Delay::LogNormal { median, cap, .. } => {
                if cap > Delay::MAX {
                    self.error(
                        place(settings.cap.as_ref()),
                        "the cap is longer than 5min",
                        "write a duration up to 5min",
                    );
                } else if cap < median {
                    let word = settings.cap.as_ref().or(settings.latency.as_ref());
                    self.error(
                        place(word),
                        "the cap is shorter than the latency",
                        format!("make `cap` at least {median:?}, or `latency` at most {cap:?}"),
                    );
                }
                if median.is_zero() {
                    let sigma = settings.sigma.as_ref().map(|sigma| sigma.span);
                    let latency = settings.latency.as_ref().map(|latency| latency.span);
                    self.error(
                        latency.or(sigma).unwrap_or(span),
                        "a lognormal delay needs a latency above 0s: its median",
                        "write for example `latency: 60ms`",
                    );
                }
            }
        }
    }
}

/// What a scenario says about delay.
struct Spread {
    latency: Option<Duration>,
    jitter: Option<Duration>,
    sigma: Option<f64>,
    cap: Option<Duration>,
}

impl Spread {
    /// The delay that begins from `base`.
    fn onto(&self, base: Delay) -> Delay {
        let (latency, cap) = match base {
            Delay::Uniform { base, .. } => (base, Delay::MAX),
            Delay::LogNormal { median, cap, .. } => (median, cap),
        };
        let latency = self.latency.unwrap_or(latency);
        let lognormal = |sigma| Delay::LogNormal {
            median: latency,
            sigma,
            cap: self.cap.unwrap_or(cap),
        };
        match (self.jitter, self.sigma, base) {
            (Some(jitter), _, _) => Delay::Uniform {
                base: latency,
                jitter,
            },
            (None, Some(sigma), _) => lognormal(sigma),
            (None, None, Delay::LogNormal { sigma, .. }) => lognormal(sigma),
            (None, None, Delay::Uniform { jitter, .. }) => Delay::Uniform {
                base: latency,
                jitter,
            },
        }
    }
}

const fn time(time: &At<Time>) -> Duration {
    time.value.0
}

fn is_empty(settings: &mirror::LinkSettings) -> bool {
    let mirror::LinkSettings {
        preset,
        latency,
        jitter,
        sigma,
        cap,
        loss,
        down,
        up,
    } = settings;
    let times = [latency, jitter, cap].into_iter().all(Option::is_none);
    let bandwidths = [down, up].into_iter().all(Option::is_none);
    times && bandwidths && preset.is_none() && sigma.is_none() && loss.is_none()
}
