//! The targets of a campaign: who they are and in which order they get their turn. They lie by
//! priority and device, so that neither an index nor the order takes memory: devices are found by
//! binary search in each priority, and the order within is a permutation that is computed.

use super::execution::Execution;
use crate::rng::{self, Purpose};
use crate::scenario::campaign::{Campaign, Order, VersionIdx};
use crate::scenario::plan::{DeviceIdx, Plan};
use std::ops::{Index, IndexMut, Range};

/// The targets of one campaign.
#[derive(Debug)]
pub(super) struct Targets {
    executions: Vec<Execution>,
    /// Where each priority ends; the last is of those that are in none.
    ends: Vec<u32>,
    order: Order,
    seed: u64,
    campaign: usize,
}

impl Targets {
    /// Those of campaign `index`, by what `firmware` tells of theirs.
    pub(super) fn of(
        plan: &Plan,
        index: usize,
        firmware: impl Fn(DeviceIdx) -> Option<VersionIdx>,
    ) -> Self {
        let campaign = &plan.campaigns[index];
        let members = campaign.targets.who.members(plan);
        let eligible = members.into_iter().filter_map(|device| {
            let from = firmware(device);
            let needs_it = from != Some(campaign.image.version);
            let wanted = campaign.targets.wants(&plan.firmware, from);
            (needs_it && wanted).then_some((device, from))
        });
        let eligible: Vec<(DeviceIdx, Option<VersionIdx>)> = eligible.collect();
        let ranked = ranks(plan, campaign, &eligible);
        let mut executions = Vec::with_capacity(eligible.len());
        let mut ends = Vec::with_capacity(campaign.priorities.len() + 1);
        for priority in 0..=campaign.priorities.len() {
            let those = ranked.iter().zip(&eligible);
            let those = those.filter(|(rank, _)| usize::from(**rank) == priority);
            executions.extend(those.map(|(_, (device, from))| Execution::new(*device, *from)));
            ends.push(count(executions.len()));
        }
        Self {
            executions,
            ends,
            order: campaign.order,
            seed: plan.seed,
            campaign: index,
        }
    }

    pub(super) fn len(&self) -> u32 {
        count(self.executions.len())
    }

    /// All places.
    pub(super) fn slots(&self) -> Range<u32> {
        0..self.len()
    }

    /// The place of `device`, if it is a target.
    pub(super) fn find(&self, device: DeviceIdx) -> Option<u32> {
        let mut begin = 0;
        for end in &self.ends {
            let those = &self.executions[begin as usize..*end as usize];
            if let Ok(found) = those.binary_search_by_key(&device, |execution| execution.device) {
                return Some(begin + count(found));
            }
            begin = *end;
        }
        None
    }

    /// The place of the one whose turn is the `turn`-th, from 0.
    pub(super) fn by_turn(&self, turn: u32) -> u32 {
        let (priority, those) = match self.order {
            Order::ByPriority => {
                let priority = self.priority(turn);
                (priority, self.places(priority))
            }
            Order::Shuffled => (usize::from(u8::MAX), self.slots()),
        };
        let salt = ((self.campaign as u64) << 8) | priority as u64;
        let all = those.end - those.start;
        let place = turn - those.start;
        those.start + rng::permute(self.seed, Purpose::CampaignOrder, salt, all, place)
    }

    /// The priority of the target at `slot`: their number = in none.
    pub(super) fn priority(&self, slot: u32) -> usize {
        self.ends.partition_point(|end| *end <= slot)
    }

    fn places(&self, priority: usize) -> Range<u32> {
        let begin = match priority {
            0 => 0,
            above => self.ends[above - 1],
        };
        begin..self.ends[priority]
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.executions.capacity() * size_of::<Execution>()
            + self.ends.capacity() * size_of::<u32>()
    }
}

impl Index<u32> for Targets {
    type Output = Execution;

    fn index(&self, slot: u32) -> &Execution {
        &self.executions[slot as usize]
    }
}

impl IndexMut<u32> for Targets {
    fn index_mut(&mut self, slot: u32) -> &mut Execution {
        &mut self.executions[slot as usize]
    }
}

/// The priority of each: the first that fits.
fn ranks(
    plan: &Plan,
    campaign: &Campaign,
    eligible: &[(DeviceIdx, Option<VersionIdx>)],
) -> Vec<u8> {
    let none = u8::try_from(campaign.priorities.len()).expect("the file's limit is 16");
    let mut ranks = vec![none; eligible.len()];
    for (rank, priority) in (0..none).zip(&campaign.priorities) {
        for device in priority.who.members(plan) {
            let found = eligible.binary_search_by_key(&device, |(device, _)| *device);
            if let Ok(found) = found
                && ranks[found] == none
            {
                ranks[found] = rank;
            }
        }
    }
    ranks
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("no more than there are devices, a u32")
}
