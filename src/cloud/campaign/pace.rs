//! When targets get their turn: the schedule of a rollout. Its time stands still in a pause.

use crate::scenario::campaign::{Rollout, RungStep, Wave};
use crate::scenario::part_of;
use crate::stats::results::CampaignMark;
use crate::time::{Duration, Instant};

/// The schedule of one campaign.
#[derive(Debug)]
pub(super) struct Pace {
    rollout: Rollout,
    targets: u32,
    /// Turns given: the next one to be given, from 0.
    next: u32,
    /// When the present rung, wave or whole schedule begins; moved by pauses.
    anchor: Instant,
    /// The first turn of the present rung.
    first: u32,
    /// The present rung or wave.
    stage: u32,
    /// What is to be said with the next turn.
    mark: Option<CampaignMark>,
}

impl Pace {
    pub(super) fn new(rollout: &Rollout, targets: u32, start: Instant) -> Self {
        let mut pace = Self {
            rollout: rollout.clone(),
            targets,
            next: 0,
            anchor: start,
            first: 0,
            stage: 0,
            mark: None,
        };
        pace.mark = pace.first_mark();
        pace.move_on(0, start);
        pace
    }

    /// Turns given.
    pub(super) const fn given(&self) -> u32 {
        self.next
    }

    /// When the next turn is due; `None` if there is none, or not yet.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.next >= self.targets {
            return None;
        }
        match &self.rollout {
            Rollout::AtOnce => Some(self.anchor),
            Rollout::Constant { .. } | Rollout::Exponential { .. } => {
                Some(self.anchor.after(self.gaps(self.next - self.first)))
            }
            Rollout::Waves(waves) => {
                (self.next < self.end_of(waves, self.stage)).then_some(self.anchor)
            }
            Rollout::Packs { size, every } => {
                let packs = self.next / (*size).max(1);
                Some(self.anchor.after(every.saturating_mul(packs)))
            }
        }
    }

    /// Gives the next turn, due at `at`, when `succeeded` devices have: its number, and what begins
    /// with it.
    pub(super) fn give(&mut self, succeeded: u32, at: Instant) -> (u32, Option<CampaignMark>) {
        let turn = self.next;
        let mark = self.mark.take();
        self.next += 1;
        match &self.rollout {
            Rollout::Packs { size, .. } if self.next.is_multiple_of((*size).max(1)) => {
                self.stage += 1;
                self.mark = Some(self.wave_mark());
            }
            Rollout::Exponential {
                step: RungStep::Notified(every),
                ..
            } => {
                let reached = self.next / (*every).max(1);
                if reached > self.stage && !self.is_fastest() {
                    let begins = self.anchor.after(self.gaps(self.next - self.first));
                    self.change_rung(self.stage + 1, begins);
                }
            }
            Rollout::Waves(_) => self.move_on(succeeded, at),
            Rollout::AtOnce
            | Rollout::Constant { .. }
            | Rollout::Exponential { .. }
            | Rollout::Packs { .. } => {}
        }
        (turn, mark)
    }

    /// `succeeded` devices have, at `at`: a rung may end, the next wave may begin.
    pub(super) fn move_on(&mut self, succeeded: u32, at: Instant) {
        match &self.rollout {
            Rollout::Exponential {
                step: RungStep::Succeeded(every),
                ..
            } => {
                let reached = succeeded / (*every).max(1);
                while reached > self.stage && !self.is_fastest() {
                    self.hasten(at);
                }
            }
            Rollout::Waves(waves) => {
                let mut wave = self.stage;
                while self.next < self.targets
                    && self.next >= self.end_of(waves, wave)
                    && self.lets_on(waves, wave, succeeded)
                {
                    wave += 1;
                }
                if wave != self.stage {
                    self.stage = wave;
                    self.anchor = at;
                    self.mark = Some(self.wave_mark());
                }
            }
            Rollout::AtOnce
            | Rollout::Constant { .. }
            | Rollout::Exponential { .. }
            | Rollout::Packs { .. } => {}
        }
    }

    /// What is left moves later by `pause`.
    pub(super) fn shift(&mut self, pause: Duration) {
        self.anchor = self.anchor.after(pause);
    }

    /// The next rung begins at `at`, or one of its gaps after the last turn if that is later.
    fn hasten(&mut self, at: Instant) {
        let given = self.next - self.first;
        let last = given
            .checked_sub(1)
            .map(|last| self.anchor.after(self.gaps(last)));
        let anchor = self.anchor;
        self.change_rung(self.stage + 1, at);
        self.anchor = match last {
            Some(last) => at.max(last.after(self.gaps(1))),
            // Nobody had a turn in the rung that ends: it began with one that is still to come.
            None => at.max(anchor),
        };
    }

    fn change_rung(&mut self, rung: u32, begins: Instant) {
        self.stage = rung;
        self.first = self.next;
        self.anchor = begins;
        self.mark = Some(CampaignMark::Rung {
            per_minute: self.per_minute(),
            notified: self.next,
        });
    }

    /// Turns per minute of the present rung.
    fn per_minute(&self) -> f64 {
        match &self.rollout {
            Rollout::Constant { per_minute } => *per_minute,
            Rollout::Exponential {
                base_per_minute,
                factor,
                max_per_minute,
                ..
            } => {
                let rung = i32::try_from(self.stage).unwrap_or(i32::MAX);
                (base_per_minute * factor.powi(rung)).min(*max_per_minute)
            }
            Rollout::AtOnce | Rollout::Waves(_) | Rollout::Packs { .. } => f64::INFINITY,
        }
    }

    fn is_fastest(&self) -> bool {
        match &self.rollout {
            Rollout::Exponential { max_per_minute, .. } => self.per_minute() >= *max_per_minute,
            Rollout::AtOnce
            | Rollout::Constant { .. }
            | Rollout::Waves(_)
            | Rollout::Packs { .. } => true,
        }
    }

    /// The time that so many turns take in the present rung.
    fn gaps(&self, turns: u32) -> Duration {
        Duration::try_from_secs_f64(f64::from(turns) * 60.0 / self.per_minute())
            .unwrap_or(Duration::MAX)
    }

    fn first_mark(&self) -> Option<CampaignMark> {
        match &self.rollout {
            Rollout::AtOnce => None,
            Rollout::Constant { .. } | Rollout::Exponential { .. } => Some(CampaignMark::Rung {
                per_minute: self.per_minute(),
                notified: 0,
            }),
            Rollout::Waves(_) | Rollout::Packs { .. } => Some(self.wave_mark()),
        }
    }

    const fn wave_mark(&self) -> CampaignMark {
        CampaignMark::Wave {
            index: self.stage,
            notified: self.next,
        }
    }

    /// The number of turns after `wave`. Each wave has a device as long as there are any: an empty one
    /// would let the next begin on no evidence, and a small fleet has 1 % of nobody.
    fn end_of(&self, waves: &[Wave], wave: u32) -> u32 {
        let share = waves.get(wave as usize);
        share.map_or(self.targets, |share| {
            let part = part_of(share.upto, self.targets);
            part.max(wave + 1).min(self.targets)
        })
    }

    /// Whether enough have succeeded for the wave after `wave`.
    fn lets_on(&self, waves: &[Wave], wave: u32, succeeded: u32) -> bool {
        let share = match self.next {
            0 => 1.0,
            given => f64::from(succeeded) / f64::from(given),
        };
        let wanted = waves.get(wave as usize).map_or(0.0, |wave| wave.success);
        share >= wanted
    }
}
