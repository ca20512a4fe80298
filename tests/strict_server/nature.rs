//! How a server and the network in front of it treat a client: all of it legal, little of it kind.

/// Draws of one world; splitmix64, so that a seed is a world.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// Whether something of this chance in a thousand happens.
    pub(crate) fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// Chances in a thousand, and gaps, of what a client meets.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Nature {
    pub(crate) name: &'static str,
    /// Transports: the peer refuses.
    pub(crate) refuse_transport: u64,
    /// CONNECTs: refused with a code.
    pub(crate) refuse_connect: u64,
    /// CONNECTs: never answered.
    pub(crate) mute_connect: u64,
    /// CONNECTs: answered seconds late.
    pub(crate) slow_connect: u64,
    /// CONNECTs of a session that is there: it is forgotten.
    pub(crate) forget: u64,
    /// Connections: cut at some byte, in one direction or the other.
    pub(crate) cut: u64,
    /// Connections: ended by the server at some time.
    pub(crate) close: u64,
    /// Connections: no PINGRESP ever.
    pub(crate) mute_pings: u64,
    /// Connections: no acknowledgement ever.
    pub(crate) mute_acks: u64,
    /// Acknowledgements: later than any `ack_timeout`.
    pub(crate) late_ack: u64,
    /// Messages of the server: sent again with DUP on the same connection.
    pub(crate) repeat: u64,
    /// SUBSCRIBE filters: refused.
    pub(crate) refuse_filter: u64,
    /// SUBSCRIBEs and UNSUBSCRIBEs: never answered.
    pub(crate) mute_subscribe: u64,
    /// Chunks of bytes: split once more.
    pub(crate) split: u64,
    /// Mean gap of the server's own messages on a connection, 0 = none.
    pub(crate) chat_gap_ms: u64,
    /// Mean time between power cuts of the device, 0 = none.
    pub(crate) power_cut_gap_s: u64,
    /// QoS 2 messages are passed on at PUBREL, not at PUBLISH (figure 4.3, method A).
    pub(crate) passes_on_at_release: bool,
}

/// Nothing ever goes wrong.
const KIND: Nature = Nature {
    name: "kind",
    refuse_transport: 0,
    refuse_connect: 0,
    mute_connect: 0,
    slow_connect: 0,
    forget: 0,
    cut: 0,
    close: 0,
    mute_pings: 0,
    mute_acks: 0,
    late_ack: 0,
    repeat: 0,
    refuse_filter: 0,
    mute_subscribe: 0,
    split: 0,
    chat_gap_ms: 20_000,
    power_cut_gap_s: 0,
    passes_on_at_release: false,
};

/// The natures that the devices of a fleet meet in turn.
pub(crate) const NATURES: [Nature; 8] = [
    KIND,
    Nature {
        name: "cutting",
        cut: 950,
        split: 300,
        chat_gap_ms: 1_500,
        repeat: 100,
        ..KIND
    },
    Nature {
        name: "slow",
        late_ack: 150,
        slow_connect: 200,
        mute_acks: 150,
        close: 700,
        split: 50,
        passes_on_at_release: true,
        ..KIND
    },
    Nature {
        name: "forgetful",
        forget: 400,
        cut: 700,
        close: 900,
        chat_gap_ms: 3_000,
        ..KIND
    },
    Nature {
        name: "unwilling",
        refuse_transport: 200,
        refuse_connect: 200,
        mute_connect: 100,
        refuse_filter: 150,
        mute_subscribe: 150,
        close: 900,
        ..KIND
    },
    Nature {
        name: "dark",
        power_cut_gap_s: 40,
        cut: 500,
        late_ack: 50,
        chat_gap_ms: 2_000,
        passes_on_at_release: true,
        ..KIND
    },
    Nature {
        name: "mute",
        mute_pings: 700,
        mute_acks: 300,
        chat_gap_ms: 15_000,
        close: 200,
        ..KIND
    },
    Nature {
        name: "all at once",
        refuse_transport: 50,
        refuse_connect: 50,
        mute_connect: 30,
        slow_connect: 50,
        forget: 80,
        cut: 600,
        close: 500,
        mute_pings: 100,
        mute_acks: 80,
        late_ack: 60,
        repeat: 200,
        refuse_filter: 30,
        mute_subscribe: 30,
        split: 200,
        chat_gap_ms: 1_000,
        power_cut_gap_s: 150,
        ..KIND
    },
];
