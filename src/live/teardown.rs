//! Clears what a run left on a target that is not ours: persistent sessions (by a connection with
//! Clean Session set) and retained messages of the run's own topics (by an empty one).

use super::fleet::{Fleet, Shared};
use super::link::{Link, READ_BUFFER, each_packet};
use crate::cloud::operator::Desk;
use crate::device::{connect, payload};
use crate::mqtt::codec;
use crate::mqtt::packet::{Connect, ConnectCode, Packet, PacketId, Publish, QoS};
use crate::scenario::plan::DeviceIdx;
use crate::stats::event::Cause;
use crate::time::Duration;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections that clear at a time.
const LANES: usize = 64;

/// Longest exchange with the target for one session.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest clearing in all; a target that answers clears some 10 000 sessions per second.
const CLEARING_MAX: Duration = Duration::from_secs(60);

/// Keep-alive of a clearing connection: longer than an exchange.
const KEEP_ALIVE_S: u16 = 30;

/// Whose session or retained messages are left.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Of a device (index into the fleet's slots).
    Device(usize),
    /// Of an observer.
    Observer(usize),
    /// Of a desk of the operator.
    Desk(Desk),
}

/// What this worker's run left on the target, if it takes that for persistent.
pub(super) fn left_behind(fleet: &Fleet) -> Vec<Leftover> {
    let devices = fleet.devices.iter().enumerate().filter(|(_, slot)| {
        let cohort = usize::from(slot.cohort);
        slot.device.boot() > 0
            && (!fleet.plan.cohorts[cohort].session.clean
                || fleet.plan.retained_topics(cohort).next().is_some())
    });
    let observers = 0..fleet.observers.len();
    let seats = fleet.staff.iter().flat_map(|staff| &staff.desks);
    devices
        .map(|(i, _)| Leftover::Device(i))
        .chain(observers.map(Leftover::Observer))
        .chain((0..).zip(seats).map(|(desk, _)| Leftover::Desk(desk)))
        .collect()
}

/// Clears `left`; gives how many of them were.
pub(super) async fn clear(fleet: &Shared, mut left: Vec<Leftover>) -> usize {
    left.reverse();
    let left = Rc::new(RefCell::new(left));
    let cleared = Rc::new(Cell::new(0));
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (fleet, left, cleared) = (Rc::clone(fleet), Rc::clone(&left), Rc::clone(&cleared));
        lanes.spawn_local(async move {
            loop {
                let next = left.borrow_mut().pop();
                let Some(next) = next else { return };
                let errand = errand(&fleet.borrow(), next);
                if let Ok(Ok(())) = timeout(EXCHANGE_TIMEOUT, errand.run()).await {
                    cleared.set(cleared.get() + 1);
                }
            }
        });
    }
    // Lanes that still run when the time is over are aborted with the set.
    let _ = timeout(CLEARING_MAX, async {
        while lanes.join_next().await.is_some() {}
    })
    .await;
    cleared.get()
}

/// One clearing connection.
struct Errand {
    target: SocketAddr,
    source: Option<IpAddr>,
    connect: Connect,
    /// Topics whose retained message is deleted.
    topics: Vec<String>,
}

fn errand(fleet: &Fleet, left: Leftover) -> Errand {
    let (route, device, client_id, topics) = match (left, &fleet.staff) {
        (Leftover::Device(i), _) => {
            let slot = &fleet.devices[i];
            let id = slot.device.id();
            let cohort = usize::from(slot.cohort);
            let names = payload::names(&fleet.plan, id, fleet.run);
            let client_id = fleet.plan.cohorts[cohort].client.client_id.to_text(&names);
            let topics = fleet.plan.retained_topics(cohort);
            let topics = topics.map(|topic| topic.to_text(&names));
            (&slot.port, id, client_id, topics.collect())
        }
        (Leftover::Observer(o), _) => {
            let watch = &fleet.observers[o];
            let first: Option<&DeviceIdx> = watch.observer.devices().first();
            let client_id = watch.observer.client_id();
            (
                &watch.port,
                first.copied().unwrap_or(0),
                client_id,
                Vec::new(),
            )
        }
        (Leftover::Desk(desk), Some(staff)) => {
            let seat = &staff.desks[usize::from(desk)];
            let topics = seat.retained.iter().cloned().collect();
            // As it has authenticated: like the first device of its node.
            let mut devices = 0..fleet.plan.devices();
            let like = devices.find(|device| fleet.plan.home_node(*device) == seat.node);
            let client_id = staff.operator.client_id(desk);
            (&seat.port, like.unwrap_or(0), client_id, topics)
        }
        (Leftover::Desk(_), None) => unreachable!("a desk has its operator"),
    };
    let names = payload::names(&fleet.plan, device, fleet.run);
    let (username, password) = connect::credentials(&fleet.plan, &names);
    let (target, source) = route.pair(&fleet.routes);
    Errand {
        target,
        source,
        connect: Connect {
            client_id,
            clean_session: true,
            keep_alive_s: KEEP_ALIVE_S,
            will: None,
            username,
            password,
        },
        topics,
    }
}

impl Errand {
    async fn run(self) -> Result<(), Cause> {
        let mut link = Link::connect(self.target, self.source)?;
        poll_fn(|cx| link.poll_established(cx)).await?;
        let connect = Packet::Connect(Box::new(self.connect));
        exchange(&mut link, &connect, |packet| {
            let Packet::ConnAck { code, .. } = packet else {
                return None;
            };
            Some(match code {
                ConnectCode::Accepted => Ok(()),
                ConnectCode::BadProtocolVersion
                | ConnectCode::IdentifierRejected
                | ConnectCode::ServerUnavailable
                | ConnectCode::BadCredentials
                | ConnectCode::NotAuthorized => Err(Cause::ConnAck(*code)),
            })
        })
        .await?;
        for topic in &self.topics {
            let publish = Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: true,
                packet_id: PACKET_ID,
                topic,
                payload: &[],
            });
            exchange(&mut link, &publish, |packet| {
                (*packet == Packet::PubAck(PACKET_ID)).then_some(Ok(()))
            })
            .await?;
        }
        send(&mut link, &Packet::Disconnect).await
    }
}

/// One publish is under way at a time.
const PACKET_ID: PacketId = 1;

async fn send(link: &mut Link, packet: &Packet<'_>) -> Result<(), Cause> {
    let mut bytes = Vec::new();
    codec::encode(packet, &mut bytes).map_err(|_| Cause::ProtocolError)?;
    link.write(&bytes, bytes.len())
        .map_err(|_| Cause::OutputOverflow)?;
    poll_fn(|cx| link.poll_flush(cx)).await;
    Ok(())
}

/// Sends `packet` and reads until `answer` has one.
async fn exchange(
    link: &mut Link,
    packet: &Packet<'_>,
    answer: impl Fn(&Packet<'_>) -> Option<Result<(), Cause>>,
) -> Result<(), Cause> {
    send(link, packet).await?;
    let mut buffer = vec![0; READ_BUFFER / LANES];
    let mut answered = None;
    while answered.is_none() {
        let n = poll_fn(|cx| link.poll_read(cx, &mut buffer)).await?;
        let mut inbox = std::mem::take(link.inbox());
        each_packet(&mut inbox, &buffer[..n], |packet| {
            answered = answered.or_else(|| answer(&packet));
            answered.is_none()
        })
        .map_err(|_| Cause::ProtocolError)?;
        *link.inbox() = inbox;
    }
    answered.unwrap_or(Ok(()))
}
