//! Limits of executions in progress, without a timer per device: of each [`BLOCK`] targets the
//! earliest deadline is kept, or one before it. Words move deadlines later, so a block may be looked
//! at for nothing; then its true earliest deadline is known again.

/// Targets of a block.
pub(super) const BLOCK: u32 = 256;

/// In ticks; `None` = no limit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// From the start of an execution.
    pub(super) in_progress: Option<u32>,
    /// From its last word.
    pub(super) step: Option<u32>,
}

impl Limits {
    /// When an execution times out that started at `begun` and was last heard of at `changed`: the
    /// step's limit never goes beyond the other.
    pub(super) fn deadline(self, begun: u32, changed: u32) -> Option<u32> {
        let bound = self.in_progress.map(|limit| begun + limit);
        let step = self.step.map(|limit| changed + limit);
        match (bound, step) {
            (Some(bound), Some(step)) => Some(bound.min(step)),
            (Some(only), None) | (None, Some(only)) => Some(only),
            (None, None) => None,
        }
    }
}

const NEVER: u32 = u32::MAX;

/// The earliest deadlines.
#[derive(Debug)]
pub(super) struct Timers {
    blocks: Vec<u32>,
    /// Of all blocks.
    earliest: u32,
}

impl Timers {
    pub(super) fn new(targets: u32) -> Self {
        Self {
            blocks: vec![NEVER; targets.div_ceil(BLOCK) as usize],
            earliest: NEVER,
        }
    }

    /// The target at `slot` has a deadline.
    pub(super) fn set(&mut self, slot: u32, deadline: u32) {
        let block = &mut self.blocks[(slot / BLOCK) as usize];
        *block = deadline.min(*block);
        self.earliest = deadline.min(self.earliest);
    }

    /// When to look next.
    pub(super) fn earliest(&self) -> Option<u32> {
        (self.earliest != NEVER).then_some(self.earliest)
    }

    /// The blocks to look at at `tick`: their first slots. They have no deadline until it is set again.
    pub(super) fn take_due(&mut self, tick: u32) -> Vec<u32> {
        let mut due = Vec::new();
        for (block, first) in self.blocks.iter_mut().zip((0..).step_by(BLOCK as usize)) {
            if *block <= tick {
                *block = NEVER;
                due.push(first);
            }
        }
        self.earliest = self.blocks.iter().copied().min().unwrap_or(NEVER);
        due
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.blocks.capacity() * size_of::<u32>()
    }
}
