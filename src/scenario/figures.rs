//! Figures that follow from a plan: what to expect of a run before it starts.

use super::plan::{
    BackendFault, Cohort, DeviceIdx, FaultKind, Field, NetworkFault, Pace, Payload, Plan, Schedule,
    Selector, Service, ServiceTime, Step, Stream,
};
use super::slo::{Bound, Limit};
use super::template::{Segment, Template};
use super::timeline::Power;
use std::time::Duration;

impl Plan {
    /// The id of a device, `<cohort>-<index within the cohort>`.
    ///
    /// # Panics
    /// If `device` is not below [`Plan::devices`].
    pub fn device_id(&self, device: DeviceIdx) -> String {
        let cohort = &self.cohorts[self.cohort_of(device)];
        format!("{}-{}", cohort.name, device - cohort.first)
    }

    /// The topics on which devices of a cohort may leave a retained message, if they do not delete it
    /// themselves: of telemetry, steps and the will.
    pub fn retained_topics(&self, cohort: usize) -> impl Iterator<Item = &Template> {
        let cohort = &self.cohorts[cohort];
        let streams = self.streams[cohort.streams.clone()].iter();
        let streams = streams.filter(|stream| stream.retain).map(|s| &s.topic);
        let steps = cohort.on_connect.iter().filter_map(|step| match step {
            Step::Publish { topic, retain, .. } => retain.then_some(topic),
            Step::Subscribe { .. } | Step::SubscribeMany(_) | Step::Unsubscribe(_) => None,
        });
        let will = cohort.session.will.iter();
        let will = will.filter(|will| will.retain).map(|will| &will.topic);
        streams.chain(steps).chain(will)
    }

    /// Telemetry messages per second once every device has power, on average over a period; an
    /// aligned schedule sends all of them at once.
    pub fn rate_per_s(&self) -> f64 {
        let of_stream = |stream: &Stream| {
            f64::from(self.cohorts[stream.cohort].devices) / stream.mean_gap().as_secs_f64()
        };
        // `sum` would give -0.0 where there is no stream.
        self.streams.iter().map(of_stream).fold(0.0, |a, b| a + b)
    }

    /// Highest rate at which phases give devices power, per second: the rate where one is set, else
    /// the most power-ons within any one second. Zero if no phase does.
    pub fn power_on_peak_per_s(&self) -> f64 {
        let mut power = Power::off(self);
        let mut peak = 0.0f64;
        for (index, phase) in self.phases.iter().enumerate() {
            let Some(power_on) = &phase.power_on else {
                continue;
            };
            let instants = power.instants(self, index, power_on);
            peak = peak.max(match power_on.pace {
                Pace::PerSecond(rate) => rate,
                Pace::Over(_) => most_in_a_second(instants.map(|(at, _)| at).collect()),
            });
        }
        peak
    }

    /// Most devices that one restart, reset, close, power cut or crash cuts off: the herd that comes
    /// back. Zero if there is none of them.
    pub fn largest_herd(&self) -> u32 {
        let mut per_node = vec![0u32; usize::from(self.target.nodes())];
        for device in 0..self.devices() {
            per_node[usize::from(self.home_node(device))] += 1;
        }
        self.faults
            .iter()
            .map(|fault| match &fault.kind {
                FaultKind::Backend {
                    node,
                    fault: BackendFault::Restart { .. },
                } => node.map_or_else(|| self.devices(), |node| per_node[usize::from(node)]),
                FaultKind::Network {
                    who,
                    fault: NetworkFault::Reset { .. } | NetworkFault::Close { .. },
                }
                | FaultKind::Device { who, .. } => {
                    u32::try_from(who.members(self).len()).expect("no more than devices, a u32")
                }
                FaultKind::Backend { .. }
                | FaultKind::Network {
                    fault:
                        NetworkFault::Refuse
                        | NetworkFault::Dns
                        | NetworkFault::Blackhole
                        | NetworkFault::Degrade(_),
                    ..
                } => 0,
            })
            .max()
            .unwrap_or(0)
    }

    /// The devices that some blackhole or device fault means, ascending: each may leave a half-open
    /// connection behind, and open another beside it.
    pub fn may_leave_half_open(&self) -> Vec<DeviceIdx> {
        self.meant_by(|kind| match kind {
            FaultKind::Network { fault, .. } => *fault == NetworkFault::Blackhole,
            FaultKind::Device { .. } => true,
            FaultKind::Backend { .. } => false,
        })
    }

    /// The devices that some `degrade` means, ascending: each has a link that can be made worse.
    pub fn degraded(&self) -> Vec<DeviceIdx> {
        self.meant_by(|kind| match kind {
            FaultKind::Network { fault, .. } => matches!(fault, NetworkFault::Degrade(_)),
            FaultKind::Device { .. } | FaultKind::Backend { .. } => false,
        })
    }

    /// The devices that some fault of a kind means, ascending.
    fn meant_by(&self, is_of_kind: impl Fn(&FaultKind) -> bool) -> Vec<DeviceIdx> {
        let mut sets: Vec<&Selector> = Vec::new();
        for fault in self.faults.iter().filter(|fault| is_of_kind(&fault.kind)) {
            match &fault.kind {
                FaultKind::Network { who, .. } | FaultKind::Device { who, .. }
                    if !sets.contains(&who) =>
                {
                    sets.push(who);
                }
                FaultKind::Network { .. }
                | FaultKind::Device { .. }
                | FaultKind::Backend { .. } => {}
            }
        }
        let mut devices: Vec<DeviceIdx> = sets.iter().flat_map(|who| who.members(self)).collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }

    /// Whether anything but user names and passwords is rendered from the credentials CSV.
    pub fn shows_ids(&self) -> bool {
        shows_ids(&self.cohorts, &self.streams)
    }

    /// The smallest upper limit on a latency or time among the objectives, the yardstick for how
    /// late the generator itself may be.
    pub fn tightest_latency_limit(&self) -> Option<Duration> {
        self.objectives
            .iter()
            .filter_map(|objective| match objective.bound {
                Bound::AtMost(Limit::Time(limit)) => Some(limit),
                Bound::AtMost(
                    Limit::Ratio(_) | Limit::Count(_) | Limit::Rate(_) | Limit::Factor(_),
                )
                | Bound::AtLeast(_)
                | Bound::Is(_) => None,
            })
            .min()
    }
}

/// The most instants within any one second.
fn most_in_a_second(mut instants: Vec<Duration>) -> f64 {
    instants.sort_unstable();
    let second = Duration::from_secs(1);
    let mut first = 0;
    let mut most = 0;
    for (last, at) in instants.iter().enumerate() {
        while instants[first] + second <= *at {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    f64::from(u32::try_from(most).expect("no more than there are devices, a u32"))
}

/// See [`Plan::shows_ids`].
pub(super) fn shows_ids(cohorts: &[Cohort], streams: &[Stream]) -> bool {
    let step = |step: &Step| match step {
        Step::Publish { payload, .. } => has_id(payload),
        Step::Subscribe { .. } | Step::SubscribeMany(_) | Step::Unsubscribe(_) => false,
    };
    let cohort = |cohort: &Cohort| {
        let will = cohort.session.will.as_ref();
        has_id(&cohort.client.client_id)
            || will.is_some_and(|will| has_id(&will.payload))
            || cohort.on_connect.iter().any(step)
    };
    has_ids_in_topics(cohorts, streams) || cohorts.iter().any(cohort)
}

/// Whether ids of a credentials CSV stand in topics or topic filters, where MQTT does not allow each
/// character.
pub(super) fn has_ids_in_topics(cohorts: &[Cohort], streams: &[Stream]) -> bool {
    let step = |step: &Step| match step {
        Step::Publish { topic, .. } => has_id(topic),
        Step::Unsubscribe(topics) => topics.iter().any(has_id),
        Step::Subscribe { .. } | Step::SubscribeMany(_) => {
            step.subscriptions().any(|(topic, _)| has_id(topic))
        }
    };
    let cohort = |cohort: &Cohort| {
        let will = cohort.session.will.as_ref();
        will.is_some_and(|will| has_id(&will.topic)) || cohort.on_connect.iter().any(step)
    };
    cohorts.iter().any(cohort) || streams.iter().any(|stream| has_id(&stream.topic))
}

fn has_id(template: &Template) -> bool {
    template.0.contains(&Segment::Id)
}

impl Payload {
    /// About how many bytes the longest body has: exact for [`Payload::Bytes`], at most some tens too
    /// few for the stamp and long numbers of a JSON object.
    pub fn bytes_max(&self) -> usize {
        match self {
            Self::Bytes(bytes) => *bytes as usize,
            Self::Json(fields) => fields.iter().map(field_bytes).sum(),
        }
    }
}

fn field_bytes((name, field): &(String, Field)) -> usize {
    let value = match field {
        Field::Walk { .. } | Field::Uniform { .. } | Field::Counter => 24,
        Field::Constant(json) => json.len(),
    };
    // Quotes, colon and comma.
    name.len() + value + 4
}

impl Step {
    /// How many bytes of text its application message has, placeholders not counted; 0 if it
    /// publishes none.
    pub fn payload_bytes(&self) -> usize {
        let text = |segment: &Segment| match segment {
            Segment::Literal(text) => text.len(),
            Segment::Secret(text) => text.0.len(),
            Segment::Device
            | Segment::Cohort
            | Segment::Index
            | Segment::Node
            | Segment::Run
            | Segment::Id
            | Segment::Token => 0,
        };
        match self {
            Self::Publish { payload, .. } => payload.0.iter().map(text).sum(),
            Self::Subscribe { .. } | Self::SubscribeMany(_) | Self::Unsubscribe(_) => 0,
        }
    }
}

impl Service {
    /// Jobs of this kind per second that the workers of all nodes together can do if they do nothing
    /// else.
    pub fn capacity_per_s(&self, work: &ServiceTime, nodes: u16) -> f64 {
        f64::from(nodes) * f64::from(self.workers) / work.mean_s()
    }
}

impl ServiceTime {
    /// Mean in seconds.
    pub fn mean_s(&self) -> f64 {
        match *self {
            Self::Fixed(time) | Self::Exponential(time) => time.as_secs_f64(),
            Self::Bimodal {
                fast,
                slow,
                slow_share,
            } => fast.as_secs_f64() * (1.0 - slow_share) + slow.as_secs_f64() * slow_share,
        }
    }
}

impl Stream {
    /// Average time between two messages of one device.
    pub const fn mean_gap(&self) -> Duration {
        match self.schedule {
            Schedule::Every { period, .. } => period,
            Schedule::Poisson { mean_gap } => mean_gap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::packet::QoS;
    use crate::scenario::fixture;
    use crate::scenario::plan::{Fault, FaultKind, NetworkFault, Selector, Spread, WillPlan};

    #[test]
    fn what_ends_connections_makes_a_herd_and_what_stops_connects_none() {
        let herd_after = |fault| {
            let mut plan = fixture::plan(600);
            let who = Selector {
                share: Some(0.3),
                ..Selector::default()
            };
            plan.faults.push(Fault {
                phase: 1,
                start: Duration::from_secs(10),
                clear: Duration::from_secs(20),
                kind: FaultKind::Network { who, fault },
            });
            plan.largest_herd()
        };
        assert_eq!(herd_after(NetworkFault::Refuse), 0);
        assert_eq!(herd_after(NetworkFault::Dns), 0);
        assert_eq!(herd_after(NetworkFault::Blackhole), 0);
        let within = Duration::from_secs(1);
        assert_eq!(herd_after(NetworkFault::Close { within }), 180);
        assert_eq!(herd_after(NetworkFault::Reset { within }), 180);
    }

    #[test]
    fn the_peak_of_a_spread_power_on_is_that_of_its_draws() {
        let mut plan = fixture::plan(6_000);
        let mut peak = |spread| {
            let power_on = plan.phases[0].power_on.as_mut().expect("it has one");
            power_on.pace = Pace::Over(spread);
            plan.power_on_peak_per_s()
        };
        let second = Duration::from_secs(1);
        let waves = Spread::Waves {
            count: 3,
            every: second,
        };
        assert!((peak(Spread::AtOnce) - 6_000.0).abs() < 1e-9);
        assert!((peak(waves) - 2_000.0).abs() < 1e-9);
        let uniform = peak(Spread::Uniform(60 * second));
        assert!((100.0..160.0).contains(&uniform), "{uniform}");
        // The density of Beta(3, 4) is at most 2.0736, at 0.4.
        let beta = peak(Spread::Beta(10 * second));
        assert!((1_200.0..1_350.0).contains(&beta), "{beta}");
    }

    #[test]
    fn ids_are_shown_where_somebody_sees_them() {
        let id = || Template(vec![Segment::Id]);
        let plan = fixture::plan(1);
        assert!(!plan.shows_ids());
        let changes: [fn(&mut Plan, Template); 8] = [
            |plan, id| plan.cohorts[0].client.client_id = id,
            |plan, id| plan.streams[0].topic = id,
            |plan, id| plan.cohorts[0].session.will = Some(will(id, Template::default())),
            |plan, id| plan.cohorts[0].session.will = Some(will(Template::default(), id)),
            |plan, id| plan.cohorts[0].on_connect = vec![publish(id, Template::default())],
            |plan, id| plan.cohorts[0].on_connect = vec![publish(Template::default(), id)],
            |plan, id| {
                let filters = vec![
                    (Template::default(), QoS::AtMostOnce),
                    (id, QoS::AtMostOnce),
                ];
                plan.cohorts[0].on_connect = vec![Step::SubscribeMany(filters)];
            },
            |plan, id| plan.cohorts[0].on_connect = vec![Step::Unsubscribe(vec![id])],
        ];
        for change in changes {
            let mut plan = plan.clone();
            change(&mut plan, id());
            assert!(plan.shows_ids(), "{plan:?}");
        }
    }

    #[test]
    fn all_that_may_be_retained_is_known() {
        let named = |name: &str| Template(vec![Segment::Literal(name.into())]);
        let mut plan = fixture::plan(1);
        assert_eq!(plan.retained_topics(0).count(), 0);
        let mut will = will(named("will"), Template::default());
        let step = |retain| {
            let mut step = publish(named("step"), Template::default());
            if let Step::Publish { retain: flag, .. } = &mut step {
                *flag = retain;
            }
            step
        };
        plan.cohorts[0].on_connect = vec![step(false), step(true)];
        will.retain = true;
        plan.cohorts[0].session.will = Some(will);
        let mut other = plan.streams[0].clone();
        other.topic = named("telemetry");
        other.retain = true;
        plan.streams.push(other);
        plan.cohorts[0].streams.end += 1;
        let retained: Vec<_> = plan.retained_topics(0).collect();
        let expected = ["telemetry", "step", "will"].map(named);
        assert_eq!(retained, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_longest_bodies_are_known() {
        let constant = Field::Constant("x".repeat(1000));
        let fields = vec![("n".into(), Field::Counter), ("c".into(), constant)];
        assert_eq!(Payload::Json(fields).bytes_max(), 1 + 24 + 4 + 1 + 1000 + 4);
        assert_eq!(Payload::Bytes(64).bytes_max(), 64);
        let text = || Template(vec![Segment::Literal("x".repeat(9)), Segment::Device]);
        assert_eq!(publish(text(), text()).payload_bytes(), 9);
        assert_eq!(Step::Unsubscribe(vec![text()]).payload_bytes(), 0);
    }

    fn will(topic: Template, payload: Template) -> WillPlan {
        WillPlan {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
        }
    }

    fn publish(topic: Template, payload: Template) -> Step {
        Step::Publish {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
        }
    }

    #[test]
    fn figures_of_the_fixture() {
        let plan = fixture::plan(600);
        assert_eq!(plan.device_id(599), "meters-599");
        assert!((plan.rate_per_s() - 10.0).abs() < 1e-9);
        assert!((plan.power_on_peak_per_s() - 60.0).abs() < 1e-9);
        assert_eq!(plan.largest_herd(), 0);
        assert_eq!(plan.tightest_latency_limit(), None);
    }

    #[test]
    fn no_stream_gives_no_messages() {
        let mut plan = fixture::plan(600);
        plan.streams.clear();
        assert_eq!(plan.rate_per_s().to_string(), "0");
    }

    #[test]
    fn capacity_is_workers_over_mean_work() {
        let ms = Duration::from_millis;
        let service = Service {
            workers: 8,
            connect: None,
            publish: None,
            queue: 0,
        };
        let bimodal = ServiceTime::Bimodal {
            fast: ms(2),
            slow: ms(202),
            slow_share: 0.01,
        };
        for (work, per_s) in [
            (ServiceTime::Fixed(ms(2)), 12_000.0),
            (ServiceTime::Exponential(ms(1)), 24_000.0),
            (bimodal, 6_000.0),
        ] {
            let capacity = service.capacity_per_s(&work, 3);
            assert!(
                (capacity / per_s - 1.0).abs() < 1e-9,
                "{work:?}: {capacity}"
            );
        }
    }
}
