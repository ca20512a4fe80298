//! A model of maps that any sequence of operations must match.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
enum Step {
    Publish(bool),
    Subscribe,
    Unsubscribe,
    PubAck(PacketId),
    PubRec(PacketId),
    PubComp(PacketId),
    SubAck(PacketId),
    UnsubAck(PacketId),
    Message(PacketId),
    PubRel(PacketId),
    TimeOut,
    /// And so many publishes are written again at once.
    Resume(usize),
    /// So many more.
    Repeat(usize),
    Discard,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 1u16..12;
    prop_oneof![
        8 => any::<bool>().prop_map(Step::Publish),
        2 => Just(Step::Subscribe),
        1 => Just(Step::Unsubscribe),
        5 => id().prop_map(Step::PubAck),
        8 => id().prop_map(Step::PubRec),
        8 => id().prop_map(Step::PubComp),
        2 => id().prop_map(Step::SubAck),
        2 => id().prop_map(Step::UnsubAck),
        4 => id().prop_map(Step::Message),
        4 => id().prop_map(Step::PubRel),
        2 => Just(Step::TimeOut),
        2 => prop_oneof![Just(usize::MAX), 0..3usize].prop_map(Step::Resume),
        3 => (0..3usize).prop_map(Step::Repeat),
        1 => Just(Step::Discard),
        1 => Just(Step::PowerCut),
    ]
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Stage {
    QoS1,
    Written,
    /// And the how manieth PUBREC that was.
    Released(u64),
}

#[derive(Copy, Clone, Debug)]
struct Known {
    tag: u32,
    stage: Stage,
    held: bool,
}

#[derive(Default)]
struct Model {
    publishes: BTreeMap<PacketId, Known>,
    /// In the order in which they are to be released.
    abandoned: Vec<PacketId>,
    /// Still to be written again, and written again without an answer.
    to_repeat: Vec<PacketId>,
    repeated: usize,
    received: BTreeSet<PacketId>,
    /// And whether it is a SUBSCRIBE.
    request: Option<(PacketId, bool)>,
    next_tag: u32,
    records: u64,
    now_s: u64,
}

impl Model {
    fn in_flight(&self) -> usize {
        self.publishes.values().filter(|known| !known.held).count()
    }

    fn is_free(&self, id: PacketId) -> bool {
        id != 0
            && !self.publishes.contains_key(&id)
            && !self.abandoned.contains(&id)
            && self.request.is_none_or(|(request, _)| request != id)
    }

    /// The ids of publishes in the order in which they are written again.
    fn again(&self) -> Vec<(bool, PacketId)> {
        let mut released: Vec<_> = Vec::new();
        let mut written: Vec<_> = Vec::new();
        for (id, known) in &self.publishes {
            match known.stage {
                Stage::Released(record) => released.push((record, *id)),
                Stage::QoS1 | Stage::Written => written.push((known.tag, *id)),
            }
        }
        released.sort_unstable();
        written.sort_unstable();
        let abandoned = self.abandoned.iter().map(|id| (true, *id));
        abandoned
            .chain(released.into_iter().map(|(_, id)| (true, id)))
            .chain(written.into_iter().map(|(_, id)| (false, id)))
            .collect()
    }

    fn publish(&mut self, session: &mut Session<u32>, exactly_once: bool) -> TestCaseResult {
        // Ids from a small range, so that reuse is common.
        if session.last_id > 8 {
            session.last_id = 0;
        }
        let (qos, stage) = if exactly_once {
            (QoS::ExactlyOnce, Stage::Written)
        } else {
            (QoS::AtLeastOnce, Stage::QoS1)
        };
        let tag = self.next_tag;
        let id = session.publish(at(self.now_s), tag, qos, false, WINDOW);
        let is_open = self.in_flight() < usize::from(WINDOW) && self.to_repeat.is_empty();
        prop_assert_eq!(id.is_some(), is_open);
        if let Some(id) = id {
            prop_assert!(self.is_free(id));
            let held = false;
            self.publishes.insert(id, Known { tag, stage, held });
            self.next_tag += 1;
        }
        Ok(())
    }

    fn ask(&mut self, id: Option<PacketId>, is_subscribe: bool) -> TestCaseResult {
        prop_assert_eq!(id.is_none(), self.request.is_some());
        if let Some(id) = id {
            prop_assert!(self.is_free(id));
            self.request = Some((id, is_subscribe));
        }
        Ok(())
    }

    /// The last acknowledgement of `id`: right for one in `stage`.
    fn completed(&mut self, id: PacketId, incoming: &Incoming<'_, u32>, qos: QoS) {
        let known = self.publishes.get(&id).copied();
        let is_right = |known: Known| match known.stage {
            Stage::QoS1 => qos == QoS::AtLeastOnce,
            Stage::Written => false,
            Stage::Released(_) => qos == QoS::ExactlyOnce,
        };
        match (known, incoming) {
            (Some(known), Incoming::Acked(entry)) => {
                assert!(is_right(known) && !known.held && entry.tag == known.tag);
                self.answered(id, known.stage);
                self.publishes.remove(&id);
            }
            (Some(known), Incoming::LateAck(entry)) => {
                assert!(is_right(known) && known.held && entry.tag == known.tag);
                self.answered(id, known.stage);
                self.publishes.remove(&id);
            }
            (Some(known), other) => {
                assert!(!is_right(known));
                assert_eq!(*other, Incoming::Violation);
            }
            (None, other) => match (self.abandoned.iter().position(|a| *a == id), qos) {
                (Some(place), QoS::ExactlyOnce) => {
                    assert_eq!(*other, Incoming::Abandoned);
                    self.abandoned.remove(place);
                }
                (Some(_), QoS::AtMostOnce | QoS::AtLeastOnce) => {
                    assert_eq!(*other, Incoming::Violation);
                }
                (None, _) => assert_eq!(*other, UNEXPECTED),
            },
        }
    }

    /// The first answer to a publish came.
    fn answered(&mut self, id: PacketId, stage: Stage) {
        match self.to_repeat.iter().position(|other| *other == id) {
            Some(place) => drop(self.to_repeat.remove(place)),
            None if matches!(stage, Stage::Released(_)) => {}
            None => self.repeated = self.repeated.saturating_sub(1),
        }
    }

    fn recorded(&mut self, id: PacketId, incoming: &Incoming<'_, u32>) {
        self.records += 1;
        if let Some(known) = self.publishes.get(&id).copied()
            && known.stage == Stage::Written
        {
            self.answered(id, known.stage);
        }
        let stage = self.publishes.get_mut(&id).map(|known| &mut known.stage);
        match stage {
            Some(Stage::QoS1) => return assert_eq!(*incoming, Incoming::Violation),
            Some(stage @ Stage::Written) => {
                *stage = Stage::Released(self.records);
                assert_eq!(*incoming, Incoming::Recorded(id));
            }
            Some(Stage::Released(_)) => assert_eq!(*incoming, Incoming::Recorded(id)),
            None if self.abandoned.contains(&id) => {
                assert_eq!(*incoming, Incoming::Recorded(id));
            }
            None => {
                let release = Some(id);
                assert_eq!(*incoming, Incoming::UnexpectedAck { release });
                self.abandoned.push(id);
            }
        }
        assert_eq!(incoming.answer(), Some(Packet::PubRel(id)));
    }

    fn disconnect(&mut self, session: &mut Session<u32>) {
        session.disconnected();
        self.request = None;
        self.to_repeat.clear();
        self.repeated = 0;
    }

    fn resume(&mut self, session: &mut Session<u32>, count: usize) -> TestCaseResult {
        self.disconnect(session);
        let released: Vec<_> = session.resume(at(self.now_s)).collect();
        let again = self.again().into_iter();
        let (release, repeat): (Vec<_>, Vec<_>) = again.partition(|(is_release, _)| *is_release);
        let ids = |ids: Vec<(bool, PacketId)>| ids.into_iter().map(|(_, id)| id).collect();
        let release: Vec<_> = ids(release);
        prop_assert_eq!(released, release);
        self.to_repeat = ids(repeat);
        self.repeat(session, count)
    }

    fn repeat(&mut self, session: &mut Session<u32>, count: usize) -> TestCaseResult {
        let expected = count.min(self.to_repeat.len());
        let expected: Vec<_> = self.to_repeat.drain(..expected).collect();
        self.repeated += expected.len();
        let repeated = session.repeat(at(self.now_s), count).map(|e| e.packet_id);
        prop_assert_eq!(repeated.collect::<Vec<_>>(), expected);
        Ok(())
    }

    fn power_cut(&mut self, session: &mut Session<u32>) -> TestCaseResult {
        self.disconnect(session);
        let again = self.again();
        let mut ended = 0;
        session.power_cut(|_| ended += 1);
        prop_assert_eq!(ended, self.in_flight());
        let is_qos1 = |id: PacketId| {
            let known = self.publishes.get(&id);
            known.is_some_and(|known| known.stage == Stage::QoS1)
        };
        let again = again.into_iter().map(|(_, id)| id);
        self.abandoned = again.filter(|id| !is_qos1(*id)).collect();
        self.publishes.clear();
        Ok(())
    }

    fn apply(&mut self, session: &mut Session<u32>, step: &Step) -> TestCaseResult {
        self.now_s += 1;
        match step {
            Step::Publish(exactly_once) => self.publish(session, *exactly_once)?,
            Step::Subscribe => self.ask(session.subscribe(at(self.now_s), 1), true)?,
            Step::Unsubscribe => self.ask(session.unsubscribe(at(self.now_s)), false)?,
            Step::PubAck(id) => {
                let packet = Packet::PubAck(*id);
                self.completed(*id, &session.receive(&packet), QoS::AtLeastOnce);
            }
            Step::PubComp(id) => {
                let packet = Packet::PubComp(*id);
                self.completed(*id, &session.receive(&packet), QoS::ExactlyOnce);
            }
            Step::PubRec(id) => self.recorded(*id, &session.receive(&Packet::PubRec(*id))),
            Step::SubAck(packet_id) => {
                let granted = vec![None];
                let packet_id = *packet_id;
                let packet = Packet::SubAck { packet_id, granted };
                let right = self.request == Some((packet_id, true));
                prop_assert_eq!(session.receive(&packet) != Incoming::Violation, right);
                self.request = self.request.filter(|_| !right);
            }
            Step::UnsubAck(id) => {
                let right = self.request == Some((*id, false));
                let packet = Packet::UnsubAck(*id);
                let is_answer = session.receive(&packet) == Incoming::Unsubscribed;
                prop_assert_eq!(is_answer, right);
                self.request = self.request.filter(|_| !right);
            }
            Step::Message(id) => {
                let packet = message(QoS::ExactlyOnce, *id);
                let incoming = session.receive(&packet);
                let is_first = matches!(incoming, Incoming::Message(_));
                prop_assert_eq!(is_first, self.received.insert(*id));
                prop_assert_eq!(incoming.answer(), Some(Packet::PubRec(*id)));
            }
            Step::PubRel(id) => {
                let packet = Packet::PubRel(*id);
                let incoming = session.receive(&packet);
                prop_assert_eq!(&incoming, &Incoming::Released(*id));
                prop_assert_eq!(incoming.answer(), Some(Packet::PubComp(*id)));
                self.received.remove(id);
            }
            Step::TimeOut => {
                self.now_s += TIMEOUT.as_secs();
                let mut ended = 0;
                session.time_out(at(self.now_s), |_| TIMEOUT, |_| ended += 1);
                prop_assert_eq!(ended, self.in_flight());
                self.publishes.values_mut().for_each(|k| k.held = true);
            }
            Step::Resume(count) => self.resume(session, *count)?,
            Step::Repeat(count) => self.repeat(session, *count)?,
            Step::Discard => {
                let mut ended = 0;
                self.disconnect(session);
                session.discard(|_| ended += 1);
                prop_assert_eq!(ended, self.in_flight());
                self.publishes.clear();
                self.abandoned.clear();
                self.received.clear();
            }
            Step::PowerCut => self.power_cut(session)?,
        }
        prop_assert_eq!(usize::from(session.in_flight()), self.in_flight());
        prop_assert_eq!(session.pending().count(), self.in_flight());
        prop_assert_eq!(session.is_asking(), self.request.is_some());
        prop_assert_eq!(session.is_resuming(), !self.to_repeat.is_empty());
        if session.is_resuming() {
            prop_assert_eq!(session.repeated(), self.repeated);
        }
        Ok(())
    }
}

proptest! {
    /// No identifier is in use twice, the window holds, each publish ends exactly once, each message
    /// is delivered once, and what is written again comes in the right order.
    #[test]
    fn any_sequence_matches_the_model(steps in proptest::collection::vec(step(), 0..200)) {
        let (mut session, mut model) = (Session::new(), Model::default());
        for step in &steps {
            model.apply(&mut session, step)?;
        }
    }
}
