//! The reference backend's own truth: exact named counts, held against what devices measured.

use super::faults::PublishAck;
use std::collections::BTreeMap;

macro_rules! counts {
    ($(#[$about:meta])+ $struct:ident { $($(#[$doc:meta])+ $name:ident,)+ }) => {
        $(#[$about])+
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(super) struct $struct {
            $($(#[$doc])+ pub(super) $name: u64,)+
        }

        impl $struct {
            /// By name.
            pub(super) fn by_name(&self) -> BTreeMap<String, u64> {
                BTreeMap::from([$((stringify!($name).to_owned(), self.$name),)+])
            }
        }
    };
}

counts! {
    /// Exact counts since the backend began.
    Counts {
        /// Connections the driver accepted.
        connections_opened,
        /// Connections reset because the node was down.
        connections_refused_down,
        /// Connections reset by a restart.
        connections_reset,
        /// CONNECT packets.
        connects_received,
        /// CONNACK 0.
        connects_accepted,
        /// CONNACK with another code.
        connects_refused,
        /// CONNECTs that had to wait for admission.
        connects_queued,
        /// Of the refused: the admission queue was full.
        accept_queue_full,
        /// CONNECTs that waited, in admission or in the work queue, or were worked on, when their
        /// client left or the node went down.
        connects_abandoned,
        /// Of those: served all the same, for nothing.
        connects_served_after_client_left,
        /// CONNECTs with a will that MQTT does not allow; also protocol errors.
        connects_malformed,
        /// Connections that brought no CONNECT in time.
        connect_timeouts,
        /// Old connections closed because their client connected again.
        takeovers,
        /// Connections closed because an error of ThingsBoard's (`v2/fw/error`) was delivered on them.
        error_closes,
        /// Accepted with the session-present flag.
        sessions_resumed,
        /// Persistent sessions a restart forgot.
        sessions_forgotten,
        /// Granted subscriptions, renewals included.
        subscriptions_granted,
        /// Filters answered with 0x80.
        subscriptions_refused,
        /// PUBLISH packets, counted when they take effect.
        publishes_received,
        /// Of those: QoS 1.
        publishes_received_qos1,
        /// Of those: QoS 2.
        publishes_received_qos2,
        /// Of the received: with DUP.
        publishes_received_dup,
        /// QoS 2 PUBLISHes whose identifier was stored already: acknowledged, not routed again.
        publishes_qos2_duplicates,
        /// QoS 2 PUBLISHes whose connection had ended when they would have taken effect; not among
        /// the received.
        publishes_qos2_left_behind,
        /// PUBLISHes and wills to the backend's own topics (`$SYS`): acknowledged, neither routed nor
        /// retained.
        publishes_to_sys,
        /// Of the received, and of wills: no subscriber.
        publishes_unrouted,
        /// Of the received: acknowledged, but neither routed nor retained, because of a `lose` fault.
        publishes_lost,
        /// Messages retained, first ones and replacements.
        retained_stored,
        /// Retained messages deleted by an empty one.
        retained_deleted,
        /// Messages with the retain flag that were routed but not retained, because the node retains
        /// as many, or as many bytes, as it may.
        retained_not_stored,
        /// Retained messages handed to new and renewed subscriptions; from there on they are
        /// delivered, queued or dropped as any message.
        retained_matched,
        /// PUBACKs handed to the driver.
        pubacks_sent,
        /// PUBACKs that a fault dropped.
        pubacks_dropped,
        /// PUBACKs, delayed or of publishes in the work queue, whose connection ended first.
        pubacks_undeliverable,
        /// Delayed PUBACKs that a restart lost.
        pubacks_lost,
        /// PUBRECs handed to the driver, those of duplicates included.
        pubrecs_sent,
        /// PUBRECs that a fault dropped.
        pubrecs_dropped,
        /// Delayed PUBRECs whose connection ended first.
        pubrecs_undeliverable,
        /// Delayed PUBRECs that a restart lost.
        pubrecs_lost,
        /// Delayed PUBACKs and PUBRECs sent early because their queue was full.
        ack_delay_full,
        /// PUBRELs from publishers.
        pubrels_received,
        /// PUBCOMPs handed to the driver: one for each PUBREL.
        pubcomps_sent,
        /// First deliveries to subscribers, any QoS.
        messages_delivered,
        /// Deliveries repeated with DUP after a resumed session.
        deliveries_retransmitted,
        /// Deliveries whose last acknowledgement came from the subscriber: PUBACK at QoS 1, PUBCOMP at
        /// QoS 2.
        deliveries_acked,
        /// PUBRECs from subscribers.
        pubrecs_received,
        /// PUBRELs handed to the driver.
        pubrels_sent,
        /// Of those: repeated after a resumed session.
        pubrels_retransmitted,
        /// PUBCOMPs from subscribers.
        pubcomps_received,
        /// Acknowledgements from subscribers whose identifier no delivery held; tolerated.
        acks_unknown,
        /// QoS 0 messages for a session without a connection.
        qos0_offline_drops,
        /// QoS 1 and 2 messages dropped because a session's queue was full.
        queue_full_drops,
        /// Will messages published.
        wills_published,
        /// Will messages a restart lost.
        wills_lost,
        /// Connections closed because nothing came for 1.5 x keep-alive.
        keep_alive_expired,
        /// Connections closed because of something MQTT 3.1.1 does not allow.
        protocol_errors,
        /// Connections closed because a stalled node could not hold more input.
        stall_full_closes,
        /// Inputs of connections that were closed already.
        inputs_after_close,
    }
}

counts! {
    /// Exact counts of the work queue. Every job that came is in exactly one of
    /// `service_queue_full`, `jobs_served`, `jobs_skipped`, `jobs_forgotten`, or still under way.
    JobCounts {
        /// Jobs (CONNECTs and PUBLISHes that cost work) that came.
        jobs_offered,
        /// Of those: found no idle worker and waited for one.
        jobs_queued,
        /// Worked on to the end, effect included.
        jobs_served,
        /// Dropped at no cost before a worker took them, because their connection had ended.
        jobs_skipped,
        /// Waited or were worked on when the node went down.
        jobs_forgotten,
        /// Turned away: no worker was idle, and the queue or its memory was full.
        service_queue_full,
        /// Of those: PUBLISHes, whose connection was closed.
        service_queue_full_closes,
        /// Connections closed because too many packets waited behind unfinished PUBLISHes.
        service_order_full_closes,
        /// Of the served: PUBLISHes whose connection had ended; those of QoS 0 and 1 are routed, none
        /// is acknowledged.
        publishes_served_after_client_left,
    }
}

/// What became of the acknowledgement of a PUBLISH.
#[derive(Copy, Clone, Debug)]
pub(super) enum AckFate {
    Sent,
    Dropped,
    Undeliverable,
    Lost,
}

impl Counts {
    /// Counts the acknowledgement of a PUBLISH; each ends in one of these ways.
    pub(super) const fn count_ack(&mut self, ack: PublishAck, fate: AckFate) {
        let count = match (ack, fate) {
            (PublishAck::PubAck, AckFate::Sent) => &mut self.pubacks_sent,
            (PublishAck::PubAck, AckFate::Dropped) => &mut self.pubacks_dropped,
            (PublishAck::PubAck, AckFate::Undeliverable) => &mut self.pubacks_undeliverable,
            (PublishAck::PubAck, AckFate::Lost) => &mut self.pubacks_lost,
            (PublishAck::PubRec, AckFate::Sent) => &mut self.pubrecs_sent,
            (PublishAck::PubRec, AckFate::Dropped) => &mut self.pubrecs_dropped,
            (PublishAck::PubRec, AckFate::Undeliverable) => &mut self.pubrecs_undeliverable,
            (PublishAck::PubRec, AckFate::Lost) => &mut self.pubrecs_lost,
        };
        *count += 1;
    }
}
