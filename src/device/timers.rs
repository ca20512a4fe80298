//! The timers of a device: one table, indexed by what they are for.

use crate::time::Instant;

/// What a device waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Timer {
    /// Power-on plus connect timeout: from then on the device counts as expected. Armed exactly
    /// while `Event::Expected` has not been reported.
    Expected,
    /// The attempt's CONNACK, later a SUBACK, is overdue.
    Answer,
    /// The end of the backoff, or of a reboot.
    Backoff,
    /// The next arrival of any stream, or the end of the time that a stored sample may wait.
    Arrival,
    /// The first ack timeout. May be early: acknowledgements do not move it.
    Ack,
    /// The keep-alive.
    Pulse,
    /// The rest of a backlog, at its pace, or of a resumed session is to be written.
    Burst,
    /// Something of its updates, commands or reports is due.
    Managed,
}

const TIMERS: usize = Timer::Managed as usize + 1;

/// A deadline per [`Timer`]; [`Instant::NEVER`] = not armed.
#[derive(Debug)]
pub(super) struct Timers([Instant; TIMERS]);

impl Timers {
    /// None armed.
    pub(super) const IDLE: Self = Self([Instant::NEVER; TIMERS]);

    /// Arms `timer` (or disarms it, by [`Instant::NEVER`]).
    pub(super) const fn arm(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    /// Arms `timer` for `at` unless it is armed for earlier.
    pub(super) fn arm_earlier(&mut self, timer: Timer, at: Instant) {
        let slot = &mut self.0[timer as usize];
        *slot = at.min(*slot);
    }

    /// When `timer` comes; [`Instant::NEVER`] = it is not armed.
    pub(super) const fn get(&self, timer: Timer) -> Instant {
        self.0[timer as usize]
    }

    /// Disarms `timer`.
    pub(super) const fn disarm(&mut self, timer: Timer) {
        self.arm(timer, Instant::NEVER);
    }

    /// Whether `timer` is armed.
    pub(super) const fn is_armed(&self, timer: Timer) -> bool {
        !self.get(timer).is_never()
    }

    /// Disarms `timer` and gives its deadline if that has come at `now`.
    pub(super) fn take(&mut self, timer: Timer, now: Instant) -> Option<Instant> {
        let at = self.0[timer as usize];
        if at > now || at.is_never() {
            return None;
        }
        self.disarm(timer);
        Some(at)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Instant {
        self.0.into_iter().min().unwrap_or(Instant::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_taken_once_and_only_when_due() {
        let mut timers = Timers::IDLE;
        timers.arm(Timer::Ack, Instant::from_ns(5));
        timers.arm_earlier(Timer::Ack, Instant::from_ns(9));
        timers.arm(Timer::Burst, Instant::from_ns(7));
        assert_eq!(timers.next(), Instant::from_ns(5));
        assert_eq!(timers.take(Timer::Ack, Instant::from_ns(4)), None);
        assert_eq!(
            timers.take(Timer::Ack, Instant::from_ns(6)),
            Some(Instant::from_ns(5))
        );
        assert_eq!(timers.take(Timer::Ack, Instant::NEVER), None);
        assert_eq!(timers.next(), Instant::from_ns(7));
    }
}
