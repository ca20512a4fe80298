//! What a client of MQTT 3.1.1 must do, judged at its own socket: the checker sees every byte that
//! the client writes, whether or not it arrives, and every packet that reaches it. So it knows what
//! is a first delivery and what is not, which a server at the far end can only guess.
//!
//! Where the specification leaves a time open the checker asks for more, because the devices under
//! test promise more: an answer is due within the step that took the packet, and what a resumed
//! session re-sends is due before anything new; up to `UNANSWERED_MAX` publishes at once, the others
//! as those are answered.

use super::wire::{self, Connect, FromClient, Message, ToClient, Violation, violation};
use std::collections::{BTreeSet, VecDeque};

/// More exchanges than this at a time are no inflight window any more: the largest window of a
/// scenario (256) and as many identifiers that timed-out publishes hold.
const OPEN_MAX: usize = 512;

/// Publishes that a resumed session sends again before one of them is answered, if it has so many.
const UNANSWERED_MAX: usize = 64;

/// One client, over all its connections.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// Its QoS 1 and 2 messages without a last acknowledgement, in the order of first writes.
    open: Vec<Exchange>,
    /// Identifiers of those that a PUBREC came for, in the order of the PUBRECs.
    released: Vec<u16>,
    /// Identifiers of QoS 2 messages that it has received, without a PUBREL.
    incoming: BTreeSet<u16>,
    link: Option<Link>,
    pub(crate) seen: Seen,
}

/// What the checker has seen happen, so that a test can tell that it did.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) packets: u64,
    /// Resumed sessions with something to send again.
    pub(crate) resumes: u64,
    pub(crate) publishes_again: u64,
    pub(crate) releases_again: u64,
    /// QoS 2 exchanges that a power cut broke off and a PUBREL finished.
    pub(crate) abandoned: u64,
    /// Messages of QoS 1 and 2 that reached the client for the first time.
    pub(crate) received: u64,
    /// QoS 2 messages that reached it again.
    pub(crate) received_again: u64,
    pub(crate) pings: u64,
    pub(crate) disconnects: u64,
}

#[derive(Debug)]
struct Exchange {
    stage: Stage,
    message: Message,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// PUBLISH written, no PUBACK or PUBREC yet.
    Published,
    /// PUBREC came: PUBREL is due or written.
    Released,
    /// QoS 2, and a power cut took the message: only its identifier is known still.
    Abandoned,
}

/// One network connection.
#[derive(Debug)]
struct Link {
    /// Bytes of a packet that is not complete.
    buffer: Vec<u8>,
    stage: LinkStage,
    connect: Option<Connect>,
    last_write_ns: u64,
    /// Acknowledgements that are due, by kind, in the order of what they answer.
    pub_acks: VecDeque<u16>,
    pub_recs: VecDeque<u16>,
    pub_rels: VecDeque<u16>,
    pub_comps: VecDeque<u16>,
    /// What the resumed session has to send again.
    releases_again: VecDeque<u16>,
    publishes_again: VecDeque<u16>,
    /// What it has sent again and got no answer to.
    unanswered: BTreeSet<u16>,
    abandoned: BTreeSet<u16>,
    /// Identifiers of SUBSCRIBE and UNSUBSCRIBE without an answer.
    requests: BTreeSet<u16>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum LinkStage {
    Fresh,
    Connecting,
    Up,
    Refused,
    Left,
}

impl Checker {
    /// The client's transport is open.
    pub(crate) fn opened(&mut self, now_ns: u64) {
        assert!(self.link.is_none(), "one connection at a time");
        self.link = Some(Link {
            buffer: Vec::new(),
            stage: LinkStage::Fresh,
            connect: None,
            last_write_ns: now_ns,
            pub_acks: VecDeque::new(),
            pub_recs: VecDeque::new(),
            pub_rels: VecDeque::new(),
            pub_comps: VecDeque::new(),
            releases_again: VecDeque::new(),
            publishes_again: VecDeque::new(),
            unanswered: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            requests: BTreeSet::new(),
        });
    }

    /// The client wrote bytes, whole packets or parts.
    pub(crate) fn wrote(&mut self, now_ns: u64, bytes: &[u8]) -> Result<(), Violation> {
        let Some(link) = &mut self.link else {
            return Err(violation("section 4.2", "bytes without a connection"));
        };
        if link.stage == LinkStage::Left {
            return Err(violation("MQTT-3.14.4-2", "bytes after DISCONNECT"));
        }
        link.buffer.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut link.buffer);
        let mut done = 0;
        while let Some((packet, len)) = wire::parse(&buffer[done..])? {
            done += len;
            self.packet(now_ns, packet)?;
        }
        buffer.drain(..done);
        let link = self.link.as_mut().expect("checked above");
        link.buffer = buffer;
        Ok(())
    }

    /// A whole packet of the server reached the client.
    pub(crate) fn got(&mut self, now_ns: u64, packet: &ToClient) {
        let link = self.link.as_mut().expect("packets come on a connection");
        match packet {
            ToClient::ConnAck {
                session_present,
                code,
            } => self.shook_hands(now_ns, *session_present, *code),
            ToClient::Publish(message) => match message.qos {
                0 => {}
                1 => {
                    link.pub_acks.push_back(message.id);
                    self.seen.received += 1;
                }
                _ => {
                    link.pub_recs.push_back(message.id);
                    if self.incoming.insert(message.id) {
                        self.seen.received += 1;
                    } else {
                        self.seen.received_again += 1;
                    }
                }
            },
            ToClient::PubAck(id) => {
                link.answered(*id);
                self.open.retain(|open| {
                    open.message.id != *id
                        || open.message.qos != 1
                        || open.stage != Stage::Published
                });
            }
            ToClient::PubRec(id) => {
                link.pub_rels.push_back(*id);
                link.answered(*id);
                let published = self.open.iter_mut().find(|open| {
                    open.message.id == *id
                        && open.message.qos == 2
                        && open.stage == Stage::Published
                });
                if let Some(open) = published {
                    open.stage = Stage::Released;
                    self.released.push(*id);
                }
            }
            ToClient::PubRel(id) => {
                self.incoming.remove(id);
                link.pub_comps.push_back(*id);
            }
            ToClient::PubComp(id) => {
                self.open
                    .retain(|open| open.message.id != *id || open.stage == Stage::Published);
                self.released.retain(|released| released != id);
            }
            ToClient::SubAck(id, _) | ToClient::UnsubAck(id) => {
                link.requests.remove(id);
            }
            ToClient::PingResp => {}
        }
    }

    /// The client has done what it does at `now_ns`; nothing that is due may be left.
    pub(crate) fn settled(&mut self, now_ns: u64) -> Result<(), Violation> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let due = [
            (&link.pub_acks, "MQTT-4.5.0-2", "PUBACK"),
            (&link.pub_recs, "MQTT-4.5.0-2", "PUBREC"),
            (&link.pub_rels, "MQTT-4.3.3-1", "PUBREL"),
            (&link.pub_comps, "MQTT-4.3.3-2", "PUBCOMP"),
            (&link.releases_again, "MQTT-4.4.0-1", "PUBREL again"),
        ];
        for (ids, statement, what) in due {
            if !ids.is_empty() {
                return Err(violation(statement, format!("no {what} of {ids:?}")));
            }
        }
        if !link.publishes_again.is_empty() && link.unanswered.len() < UNANSWERED_MAX {
            let what = format!("no PUBLISH again of {:?}", link.publishes_again);
            return Err(violation("MQTT-4.4.0-1", what));
        }
        if !link.abandoned.is_empty() {
            let what = format!("no PUBREL of {:?} after a power cut", link.abandoned);
            return Err(violation("MQTT-4.4.0-1", what));
        }
        if link.stage == LinkStage::Left {
            return Err(violation("MQTT-3.14.4-1", "open after DISCONNECT"));
        }
        link.not_silent(now_ns)
    }

    /// The connection ended, whoever ended it.
    pub(crate) fn closed(&mut self, now_ns: u64) -> Result<(), Violation> {
        let Some(link) = self.link.take() else {
            return Ok(());
        };
        if link.connect.as_ref().is_some_and(|c| c.clean_session) {
            self.forget();
        }
        link.not_silent(now_ns)
    }

    /// The client lost its power, after its connection. A session that lasts keeps on flash which
    /// QoS 2 identifiers are open in either direction, and nothing more: a message of QoS 1 may be
    /// forgotten, and its identifier used anew, without harm to any other message.
    pub(crate) fn power_cut(&mut self) {
        self.open.retain(|open| open.message.qos == 2);
        for open in &mut self.open {
            open.stage = Stage::Abandoned;
        }
        self.released.clear();
    }

    /// Whether the connection is established.
    pub(crate) fn is_up(&self) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.stage == LinkStage::Up)
    }

    fn forget(&mut self) {
        self.open.clear();
        self.released.clear();
        self.incoming.clear();
    }

    fn shook_hands(&mut self, now_ns: u64, session_present: bool, code: u8) {
        let link = self.link.as_mut().expect("packets come on a connection");
        assert_eq!(link.stage, LinkStage::Connecting, "a server's own mistake");
        if code != 0 {
            link.stage = LinkStage::Refused;
            return;
        }
        link.stage = LinkStage::Up;
        // The wait may have been longer than the keep-alive: then something is due at once.
        link.last_write_ns = link
            .last_write_ns
            .max(now_ns.saturating_sub(link.longest_ns()));
        if !session_present {
            self.forget();
            return;
        }
        let ids = |stage: Stage| {
            let of_stage = self.open.iter().filter(move |open| open.stage == stage);
            of_stage.map(|open| open.message.id)
        };
        link.publishes_again = ids(Stage::Published).collect();
        link.abandoned = ids(Stage::Abandoned).collect();
        link.releases_again = self.released.iter().copied().collect();
        self.seen.resumes += u64::from(!self.open.is_empty());
    }

    fn packet(&mut self, now_ns: u64, packet: FromClient) -> Result<(), Violation> {
        let link = self.link.as_mut().expect("the caller has one");
        link.not_silent(now_ns)?;
        link.last_write_ns = now_ns;
        self.seen.packets += 1;
        link.may_write(&packet)?;
        match packet {
            FromClient::Connect(connect) => {
                link.stage = LinkStage::Connecting;
                if connect.clean_session {
                    self.forget();
                }
                let link = self.link.as_mut().expect("still there");
                link.connect = Some(connect);
                Ok(())
            }
            FromClient::Publish(message) if message.qos == 0 => Ok(()),
            FromClient::Publish(message) if message.dup => self.publish_again(&message),
            FromClient::Publish(message) => self.publish(message),
            FromClient::PubAck(id) => in_turn(
                &mut link.pub_acks,
                id,
                "PUBACK",
                "MQTT-4.6.0-2",
                "MQTT-2.3.1-6",
            ),
            FromClient::PubRec(id) => in_turn(
                &mut link.pub_recs,
                id,
                "PUBREC",
                "MQTT-4.6.0-3",
                "MQTT-2.3.1-6",
            ),
            FromClient::PubComp(id) => in_turn(
                &mut link.pub_comps,
                id,
                "PUBCOMP",
                "MQTT-4.3.3-2",
                "MQTT-4.3.3-2",
            ),
            FromClient::PubRel(id) => self.release(id),
            FromClient::Subscribe(id, _) | FromClient::Unsubscribe(id, _) => self.request(id),
            FromClient::PingReq => {
                self.seen.pings += 1;
                Ok(())
            }
            FromClient::Disconnect => {
                link.stage = LinkStage::Left;
                self.seen.disconnects += 1;
                Ok(())
            }
        }
    }

    /// A PUBLISH of QoS 1 or 2 without DUP: a new message.
    fn publish(&mut self, message: Message) -> Result<(), Violation> {
        let link = self.link.as_ref().expect("the caller has one");
        let id = message.id;
        if let Some(open) = self.open.iter().find(|open| open.message.id == id) {
            let again = open.stage == Stage::Published && open.message == message;
            return Err(if again && link.publishes_again.contains(&id) {
                violation("MQTT-3.3.1-1", format!("PUBLISH {id} again without DUP"))
            } else {
                violation("MQTT-2.3.1-2", format!("identifier {id} is in use"))
            });
        }
        if link.requests.contains(&id) {
            let what = format!("identifier {id} is in use by a request");
            return Err(violation("MQTT-2.3.1-2", what));
        }
        if !link.publishes_again.is_empty() || !link.releases_again.is_empty() {
            let what = format!("new PUBLISH {id} before what is to be sent again");
            return Err(violation("MQTT-4.6.0-1", what));
        }
        if self.open.len() >= OPEN_MAX {
            let what = format!("more than {OPEN_MAX} exchanges at a time");
            return Err(violation("section 4.4", what));
        }
        let stage = Stage::Published;
        self.open.push(Exchange { stage, message });
        Ok(())
    }

    /// A PUBLISH with DUP: a message again.
    fn publish_again(&mut self, message: &Message) -> Result<(), Violation> {
        let link = self.link.as_mut().expect("the caller has one");
        let id = message.id;
        let same = |open: &Exchange| {
            open.message.topic == message.topic
                && open.message.payload == message.payload
                && (open.message.qos, open.message.retain) == (message.qos, message.retain)
        };
        let Some(open) = self.open.iter().find(|open| open.message.id == id) else {
            return Err(if self.open.iter().any(same) {
                violation("MQTT-2.3.1-3", format!("re-sent as {id}, a new identifier"))
            } else {
                violation("MQTT-4.3.2-1", format!("first PUBLISH {id} with DUP"))
            });
        };
        if open.stage != Stage::Published {
            let what = format!("PUBLISH {id} again after its PUBREC");
            return Err(violation("MQTT-4.3.3-1", what));
        }
        if !same(open) {
            let what = format!("PUBLISH {id} again with another message");
            return Err(violation("MQTT-2.3.1-3", what));
        }
        match link.publishes_again.front() {
            Some(next) if *next == id => {
                link.publishes_again.pop_front();
                link.unanswered.insert(id);
                self.seen.publishes_again += 1;
                Ok(())
            }
            Some(next) if link.publishes_again.contains(&id) => {
                let what = format!("PUBLISH {id} again before {next}");
                Err(violation("MQTT-4.6.0-1", what))
            }
            Some(_) | None => {
                let what = format!("PUBLISH {id} again without a resumed session");
                Err(violation("MQTT-4.4.0-1", what))
            }
        }
    }

    fn release(&mut self, id: u16) -> Result<(), Violation> {
        let link = self.link.as_mut().expect("the caller has one");
        if link.abandoned.remove(&id) {
            self.seen.abandoned += 1;
            return Ok(());
        }
        if link.releases_again.front() == Some(&id) {
            link.releases_again.pop_front();
            self.seen.releases_again += 1;
            return Ok(());
        }
        if link.releases_again.contains(&id) {
            let what = format!("PUBREL {id} again out of order");
            return Err(violation("MQTT-4.6.0-4", what));
        }
        in_turn(
            &mut link.pub_rels,
            id,
            "PUBREL",
            "MQTT-4.6.0-4",
            "MQTT-4.3.3-1",
        )
    }

    fn request(&mut self, id: u16) -> Result<(), Violation> {
        let link = self.link.as_mut().expect("the caller has one");
        let in_use = self.open.iter().any(|open| open.message.id == id);
        if in_use || !link.requests.insert(id) {
            return Err(violation(
                "MQTT-2.3.1-2",
                format!("identifier {id} is in use"),
            ));
        }
        Ok(())
    }
}

impl Link {
    /// The PUBLISH of `id` is answered, and must not be sent again any more.
    fn answered(&mut self, id: u16) {
        self.unanswered.remove(&id);
        self.publishes_again.retain(|again| *again != id);
    }

    /// The interval between packets stays within the keep-alive. It binds the client alone, also
    /// while a PINGRESP is awaited. Up to the CONNACK our clients wait in silence, as all do.
    fn not_silent(&self, now_ns: u64) -> Result<(), Violation> {
        let longest_ns = self.longest_ns();
        let silent_ns = now_ns - self.last_write_ns;
        if self.stage != LinkStage::Up || longest_ns == 0 || silent_ns <= longest_ns {
            return Ok(());
        }
        let what = format!("silent for {silent_ns} ns");
        Err(violation("MQTT-3.1.2-23", what))
    }

    /// The keep-alive, 0 = off.
    fn longest_ns(&self) -> u64 {
        let connect = self.connect.as_ref();
        connect.map_or(0, |c| u64::from(c.keep_alive_s) * 1_000_000_000)
    }

    /// Whether a packet of this type may be written at this stage.
    fn may_write(&self, packet: &FromClient) -> Result<(), Violation> {
        let is_connect = matches!(packet, FromClient::Connect(_));
        match (self.stage, is_connect) {
            (LinkStage::Fresh, true) | (LinkStage::Up, false) => Ok(()),
            (LinkStage::Fresh, false) => Err(violation("MQTT-3.1.0-1", format!("{packet:?}"))),
            (LinkStage::Connecting | LinkStage::Up, true) => {
                Err(violation("MQTT-3.1.0-2", "CONNECT again"))
            }
            (LinkStage::Connecting, false) => {
                // Allowed, but then a server that refuses must drop it: no client under test does.
                let what = format!("{packet:?} before CONNACK");
                Err(violation("section 3.1.4", what))
            }
            (LinkStage::Refused, _) => {
                let what = format!("{packet:?} on a refused connection");
                Err(violation("MQTT-3.2.2-5", what))
            }
            (LinkStage::Left, _) => Err(violation("MQTT-3.14.4-2", format!("{packet:?}"))),
        }
    }
}

/// Takes `id` from what is due, whose turn it must be.
fn in_turn(
    due: &mut VecDeque<u16>,
    id: u16,
    what: &str,
    order: &'static str,
    unasked: &'static str,
) -> Result<(), Violation> {
    match due.front() {
        Some(next) if *next == id => {
            due.pop_front();
            Ok(())
        }
        Some(next) if due.contains(&id) => {
            Err(violation(order, format!("{what} {id} before {next}")))
        }
        Some(_) | None => Err(violation(unasked, format!("{what} {id} answers nothing"))),
    }
}
