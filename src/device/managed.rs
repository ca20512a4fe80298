//! What only a device has that can be managed from afar: updates, commands, reported state, and the
//! messages that these make. The others pay a null pointer for it.

use super::command::Commands;
use super::outbox::{Letter, Outbox, What};
use super::reported::{self, Reporting};
use super::timers::Timer;
use super::update::{Reboot, Update};
use super::{Device, Output, Profile, State, Tag, payload};
use crate::mqtt::packet::{Packet, Publish, QoS};
use crate::scenario::campaign::VersionIdx;
use crate::scenario::plan::{Cohort, DeviceIdx, Plan};
use crate::scenario::template::Names;
use crate::scenario::update::UpdateClient;
use crate::stats::event::{Cause, CommandEvent, Event, Limit, UpdateEvent};
use crate::stats::results::ResultRow;
use crate::time::Instant;
use crate::wire::command::subscription;
use smallvec::SmallVec;

/// See above.
#[derive(Debug)]
pub(super) struct Managed {
    /// If its cohort updates itself.
    update: Option<Update>,
    /// If its cohort takes commands.
    commands: Option<Commands>,
    /// If its cohort reports its state.
    reporting: Option<Reporting>,
    outbox: Outbox,
}

/// What the parts of a managed device see of it, and what they want done.
#[derive(Debug)]
pub(super) struct Cx<'a> {
    /// The device's profile.
    pub(super) profile: &'a Profile,
    /// Its index.
    pub(super) id: DeviceIdx,
    /// The present.
    pub(super) now: Instant,
    /// Whether it is online: only then anything can be written.
    pub(super) online: bool,
    /// What is to be written at QoS 1 or 2.
    pub(super) outbox: &'a mut Outbox,
    /// Where outputs go.
    pub(super) out: &'a mut Vec<Output>,
    /// Report the state.
    pub(super) report: bool,
    /// Reboot.
    pub(super) reboot: Option<Reboot>,
    /// What is to be written at QoS 0, after what is said at QoS 1: a server hears that an update has
    /// begun before it is asked for its blocks.
    pub(super) quick: SmallVec<[Letter; 1]>,
}

impl<'a> Cx<'a> {
    /// Its names.
    pub(super) fn names(&self) -> Names<'a> {
        payload::names(&self.profile.plan, self.id, self.profile.run)
    }

    /// Its name in AWS's topics: `<cohort>-<index in the cohort>`, as `{device}`.
    pub(super) fn thing(&self) -> String {
        let names = self.names();
        format!("{}-{}", names.cohort, names.index_in_cohort)
    }

    /// How its cohort updates itself.
    ///
    /// # Panics
    /// If it does not.
    pub(super) fn update_client(&self) -> &'a UpdateClient {
        let profile: &'a Profile = self.profile;
        let client = profile.cohort().update.as_ref();
        client.expect("only devices of such a cohort have updates")
    }

    /// The text of a version; empty if it is not known.
    pub(super) fn version_text(&self, version: Option<VersionIdx>) -> &'a str {
        version.map_or("", |version| self.profile.plan.firmware.text(version))
    }

    /// Milliseconds since T0.
    pub(super) fn since_start_ms(&self) -> u64 {
        self.now.ns_since(self.profile.start) / 1_000_000
    }

    /// Reports an event of its updates.
    pub(super) fn update_event(&mut self, event: UpdateEvent) {
        self.out.push(Output::Event(Event::Update(event)));
    }

    /// Reports an event of its commands.
    pub(super) fn command_event(&mut self, event: CommandEvent) {
        self.out.push(Output::Event(Event::Command(event)));
    }

    /// Reports that a limit was reached.
    pub(super) fn limit(&mut self, limit: Limit) {
        self.out.push(Output::Event(Event::LimitReached(limit)));
    }

    /// Writes `letter`: at QoS 0 at once or, if it is not online, never; else through the outbox. `false`
    /// if there is no place for it.
    pub(super) fn post(&mut self, letter: Letter) -> bool {
        match letter.qos {
            QoS::AtMostOnce => {
                self.send(letter);
                true
            }
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                let placed = self.outbox.put(letter).is_ok();
                if !placed {
                    self.limit(Limit::Outbox);
                }
                placed
            }
        }
    }

    /// Writes a letter of QoS 0, if it is online.
    pub(super) fn send(&mut self, letter: Letter) {
        if self.online {
            self.quick.push(letter);
        }
    }
}

impl Managed {
    /// Of device `id`; `None` if nothing of its cohort is managed.
    pub(super) fn of(plan: &Plan, cohort: &Cohort, id: DeviceIdx) -> Option<Box<Self>> {
        let is_managed =
            cohort.update.is_some() || cohort.commands.is_some() || cohort.reported.is_some();
        is_managed.then(|| {
            Box::new(Self {
                update: cohort.update.as_ref().map(|_| Update::new(plan, id)),
                commands: cohort.commands.as_ref().map(|_| Commands::default()),
                reporting: cohort.reported.as_ref().map(|_| Reporting::new()),
                outbox: Outbox::default(),
            })
        })
    }
}

/// What its parts are told.
impl Managed {
    fn filters(&self, cx: &Cx<'_>) -> Vec<(String, QoS)> {
        let mut filters = match &self.update {
            Some(_) => Update::filters(cx),
            None => Vec::new(),
        };
        if let Some(handler) = &cx.profile.cohort().commands {
            let base = handler.topic.to_text(&cx.names());
            filters.push((subscription(&base), handler.qos));
        }
        filters
    }

    /// Letter `number`, which is in flight.
    ///
    /// # Panics
    /// If it is not.
    pub(super) fn letter(&self, number: u16) -> &Letter {
        let letter = self.outbox.get(number);
        letter.expect("it stays until its exchange is over")
    }

    fn firmware(&self, cx: &Cx<'_>) -> Option<VersionIdx> {
        match &self.update {
            Some(update) => update.firmware(),
            None => cx.profile.plan.factory_firmware(cx.id),
        }
    }

    fn deadline(&self, cohort: &Cohort, is_online: bool) -> Instant {
        let update = self.update.as_ref().zip(cohort.update.as_ref());
        let update = update.map(|(update, client)| update.deadline(client, is_online));
        let commands = self.commands.as_ref().map(Commands::deadline);
        let reporting = self.reporting.as_ref().map(Reporting::deadline);
        let all = [update, commands, reporting].into_iter().flatten();
        all.min().unwrap_or(Instant::NEVER)
    }

    fn online(&mut self, cx: &mut Cx<'_>) {
        let words = &cx.profile.cohort().reported;
        if let (Some(reporting), Some(words)) = (&mut self.reporting, words) {
            reporting.online(cx, words);
            self.report(cx);
        }
        if let Some(update) = &mut self.update {
            update.online(cx);
        }
    }

    fn offline(&mut self) {
        if let Some(reporting) = &mut self.reporting {
            reporting.offline();
        }
        if let Some(update) = &mut self.update {
            update.offline();
        }
    }

    fn message(&mut self, cx: &mut Cx<'_>, publish: &Publish<'_>) {
        let message = (publish.topic, publish.payload);
        if let Some(update) = &mut self.update
            && update.message(cx, message)
        {
            return;
        }
        let handler = &cx.profile.cohort().commands;
        if let (Some(commands), Some(handler)) = (&mut self.commands, handler) {
            let base = handler.topic.to_text(&cx.names());
            let rest = publish.topic.strip_prefix(base.as_str());
            if rest.is_some_and(|rest| rest.starts_with("/request/")) {
                commands.requested(cx, handler, &base, message);
            }
        }
    }

    fn timeout(&mut self, cx: &mut Cx<'_>) {
        let cohort = cx.profile.cohort();
        if let Some(update) = &mut self.update {
            update.timeout(cx);
        }
        if let (Some(commands), Some(handler)) = (&mut self.commands, &cohort.commands)
            && commands.deadline() <= cx.now
        {
            let base = handler.topic.to_text(&cx.names());
            commands.timeout(cx, handler, &base);
        }
        if let (Some(reporting), Some(words)) = (&mut self.reporting, &cohort.reported) {
            reporting.timeout(cx, words);
        }
    }

    /// Reports the state, if that is wanted and there is somebody to report to: each connect does it
    /// anyway.
    fn report(&self, cx: &mut Cx<'_>) {
        let wanted = std::mem::take(&mut cx.report);
        if let Some(words) = cx.profile.cohort().reported.as_ref()
            && wanted
            && cx.online
        {
            reported::report(cx, words, self.firmware(cx));
        }
    }
}

/// How the device and its managed part meet.
impl Device {
    /// Lets the managed part, if there is one, act, and does what it wants done.
    fn manage(
        &mut self,
        now: Instant,
        out: &mut Vec<Output>,
        act: impl FnOnce(&mut Managed, &mut Cx<'_>),
    ) {
        let Some(mut managed) = self.managed.take() else {
            return;
        };
        let mut outbox = std::mem::take(&mut managed.outbox);
        let mut cx = Cx {
            profile: &self.profile,
            id: self.id,
            now,
            online: self.state == State::Online,
            outbox: &mut outbox,
            out,
            report: false,
            reboot: None,
            quick: SmallVec::new(),
        };
        act(&mut managed, &mut cx);
        managed.report(&mut cx);
        let (reboot, quick) = (cx.reboot, cx.quick);
        managed.outbox = outbox;
        self.managed = Some(managed);
        self.flush_outbox(now, out);
        for letter in quick {
            self.session.wrote(now);
            out.push(Output::Publish(letter.into_publish()));
        }
        if let Some(reboot) = reboot {
            self.reboot(now, reboot, out);
        }
    }

    /// The filters that the managed part needs, in the order of its SUBSCRIBE; empty if it needs none.
    pub(super) fn managed_filters(&self) -> Vec<(String, QoS)> {
        let Some(managed) = &self.managed else {
            return Vec::new();
        };
        let cx = Cx {
            profile: &self.profile,
            id: self.id,
            now: Instant::ZERO,
            online: false,
            outbox: &mut Outbox::default(),
            out: &mut Vec::new(),
            report: false,
            reboot: None,
            quick: SmallVec::new(),
        };
        managed.filters(&cx)
    }

    pub(super) fn managed_deadline(&self) -> Option<Instant> {
        let managed = self.managed.as_ref()?;
        Some(managed.deadline(self.profile.cohort(), self.state == State::Online))
    }

    pub(super) fn managed_online(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.manage(now, out, Managed::online);
    }

    pub(super) fn managed_offline(&mut self) {
        if let Some(managed) = &mut self.managed {
            managed.offline();
        }
    }

    pub(super) fn managed_message(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        out: &mut Vec<Output>,
    ) {
        self.manage(now, out, |managed, cx| managed.message(cx, publish));
    }

    pub(super) fn managed_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.manage(now, out, Managed::timeout);
    }

    /// Letter `number` is acknowledged.
    pub(super) fn managed_acked(&mut self, now: Instant, number: u16, out: &mut Vec<Output>) {
        self.manage(now, out, |managed, cx| match cx.outbox.take(number) {
            Some(What::Status(serial)) => {
                if let Some(update) = &mut managed.update {
                    update.acked(cx, serial);
                }
            }
            Some(What::Report | What::Question | What::Answer) | None => {}
        });
    }

    pub(super) fn managed_fetched(&mut self, now: Instant, bytes: &[u8], out: &mut Vec<Output>) {
        self.manage(now, out, |managed, cx| {
            if let Some(update) = &mut managed.update {
                update.fetched(cx, bytes);
            }
        });
    }

    pub(super) fn managed_fetch_ended(
        &mut self,
        now: Instant,
        end: super::FetchEnd,
        out: &mut Vec<Output>,
    ) {
        self.manage(now, out, |managed, cx| {
            if let Some(update) = &mut managed.update {
                update.fetch_ended(cx, end);
            }
        });
    }

    /// The power is back.
    pub(super) fn managed_power_on(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.manage(now, out, |managed, cx| {
            if let Some(update) = &mut managed.update {
                update.power_on(cx);
            }
        });
    }

    /// The power is gone, and with it what was to be written.
    pub(super) fn managed_power_off(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.manage(now, out, |managed, cx| {
            cx.outbox.clear();
            managed.offline();
            if let Some(update) = &mut managed.update {
                update.power_off(cx);
            }
            if let Some(commands) = &mut managed.commands {
                commands.power_off();
            }
        });
    }

    pub(super) fn managed_shut_down(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.manage(now, out, |managed, cx| {
            if let Some(update) = &mut managed.update {
                update.shut_down(cx);
            }
        });
    }

    /// Whether an update has left it dead.
    pub(super) fn is_bricked(&self) -> bool {
        let update = self.managed.as_ref().and_then(|m| m.update.as_ref());
        update.is_some_and(Update::is_bricked)
    }

    /// What is acknowledged to nobody any more is to be written anew.
    pub(super) fn write_letters_again(&mut self) {
        if let Some(managed) = &mut self.managed {
            managed.outbox.again();
        }
    }

    /// Writes what lies in the outbox, as far as connection and window allow.
    pub(super) fn flush_outbox(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.state != State::Online {
            return;
        }
        let Some(mut managed) = self.managed.take() else {
            return;
        };
        while let Some((number, letter)) = managed.outbox.next() {
            let window = self.profile.client().inflight;
            let tag = Tag::Managed(number);
            let Some(packet_id) = self.session.publish(now, tag, letter.qos, false, window) else {
                self.note_held_up(out);
                break;
            };
            self.timers
                .arm_earlier(Timer::Ack, now.after(super::STEP_ACK_TIMEOUT));
            out.push(Output::Publish(letter.publish(packet_id, false)));
            managed.outbox.wrote(number);
        }
        self.managed = Some(managed);
    }

    /// Whether the managed part needs a SUBSCRIBE.
    pub(super) fn needs_managed_filters(&self) -> bool {
        let managed = self.managed.as_ref();
        managed.is_some_and(|managed| managed.update.is_some() || managed.commands.is_some())
    }

    /// Writes the SUBSCRIBE of the managed part, which comes after all steps.
    pub(super) fn subscribe_managed(&mut self, now: Instant, out: &mut Vec<Output>) {
        let filters = self.managed_filters();
        let count = u16::try_from(filters.len()).expect("a handful");
        if let Some(packet_id) = self.session.subscribe(now, count) {
            out.push(Output::Send(Packet::Subscribe { packet_id, filters }));
            let overdue = now.after(self.profile.client().connect_timeout);
            self.timers.arm(Timer::Answer, overdue);
        }
    }

    /// An update wants a reboot: the device is gone without a DISCONNECT. It keeps its power, its
    /// schedules go on, and what waits or is in flight stays, as on a device that writes it to flash.
    fn reboot(&mut self, now: Instant, reboot: Reboot, out: &mut Vec<Output>) {
        match self.state {
            State::Connecting | State::Handshaking => {
                out.push(Output::Close);
                out.push(Output::Event(Event::AttemptFailed {
                    intended: self.since,
                    cause: Cause::DeviceStopped,
                    written: self.state == State::Handshaking,
                }));
            }
            State::Resuming | State::Subscribing(_) | State::Online => {
                self.hang_up(out);
                if self.profile.cohort().session.clean {
                    self.lose_session(out);
                }
            }
            State::Off
            | State::BackingOff
            | State::GaveUp
            | State::Rebooting
            | State::Bricked
            | State::Stopped => {}
        }
        self.managed_offline();
        for timer in [Timer::Answer, Timer::Burst, Timer::Backoff] {
            self.timers.disarm(timer);
        }
        (self.waits, self.failed, self.last_wait_ns) = (0, 0, 0);
        self.state = match reboot {
            Reboot::For(time) => {
                self.timers.arm(Timer::Backoff, now.after(time));
                State::Rebooting
            }
            Reboot::Never => State::Bricked,
        };
    }

    /// It is back from a reboot.
    pub(super) fn rebooted(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.manage(now, out, |managed, cx| {
            if let Some(update) = &mut managed.update {
                update.rebooted(cx);
            }
        });
    }

    /// The row of an update that is under way, in the device's own word, if the run ended at `now`.
    pub fn unfinished_update(&self, now: Instant) -> Option<ResultRow> {
        let update = self.managed.as_ref()?.update.as_ref()?;
        update.unfinished(self.id, &self.profile.plan, now)
    }

    /// Whether no update is under way or to be told of, and no answer awaited.
    #[cfg(test)]
    pub(super) fn managed_is_idle(&self) -> bool {
        self.managed_deadline() == Some(Instant::NEVER)
            && self.unfinished_update(Instant::ZERO).is_none()
    }

    /// Bytes that the managed part holds.
    pub(super) fn managed_bytes(&self) -> usize {
        self.managed.as_ref().map_or(0, |managed| {
            let update = managed.update.as_ref().map_or(0, Update::heap_bytes);
            let commands = managed.commands.as_ref().map_or(0, Commands::heap_bytes);
            size_of::<Managed>() + update + commands + managed.outbox.heap_bytes()
        })
    }
}
