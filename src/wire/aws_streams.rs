//! AWS IoT's MQTT-based file delivery ("streams"), both ends, in JSON and CBOR: topics, members and
//! errors as in AWS's developer guide (`mqtt-based-file-delivery-in-devices`). The embedded OTA agent
//! writes a request's members in the order `c f l o b n` (`ota_cbor.c`), asks with QoS 0, and subscribes to
//! the data with QoS 0.

mod cbor;
mod data;
mod request;

pub use data::{Data, Described, File, StreamError, encode_block};
pub use request::{
    Blocks, Describe, ErrorCode, Get, MAX_BLOCK_BYTES, MAX_FILE_BYTES, MIN_BLOCK_BYTES,
};

use super::BadMessage;

/// What stands in front of a thing's name in all topics.
const THINGS: &str = "$aws/things/";

/// The client token of all block requests: the embedded agent's. One token for all devices means one
/// payload per block for all devices.
pub const TOKEN: &str = "rdy";

/// Longest client token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 64;

/// How requests and blocks are written.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Blocks in base64.
    Json,
    /// Blocks as bytes.
    Cbor,
}

impl Encoding {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Json, Self::Cbor];

    /// The last level of its topics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Cbor => "cbor",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|encoding| encoding.word() == word)
    }
}

/// What a topic of a stream is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// From a device: blocks, please. [`Get`].
    Get,
    /// From a device: what is in the stream? [`Describe`].
    Describe,
    /// To a device: a block. [`Data`].
    Data,
    /// To a device: what is in it. [`Described`].
    Description,
    /// To a device: no. [`StreamError`].
    Rejected,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Get,
        Self::Describe,
        Self::Data,
        Self::Description,
        Self::Rejected,
    ];

    /// Its level of the topic.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Describe => "describe",
            Self::Data => "data",
            Self::Description => "description",
            Self::Rejected => "rejected",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A topic: `$aws/things/<thing>/streams/<stream>/<kind>/<encoding>`. With `+` as thing or stream it is
/// the filter for all.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// Name of the thing.
    pub thing: &'a str,
    /// Id of the stream.
    pub stream: &'a str,
    /// What it is for.
    pub kind: Kind,
    /// How its payloads are written.
    pub encoding: Encoding,
}

impl<'a> Topic<'a> {
    /// Reads a topic.
    ///
    /// # Errors
    /// [`BadMessage::Topic`] if it is not one of a stream.
    pub fn read(topic: &'a str) -> Result<Self, BadMessage> {
        Self::of(topic).ok_or(BadMessage::Topic)
    }

    fn of(topic: &'a str) -> Option<Self> {
        let rest = topic.strip_prefix(THINGS)?;
        let mut levels = rest.split('/');
        let (thing, streams, stream) = (levels.next()?, levels.next()?, levels.next()?);
        let (kind, encoding) = (levels.next()?, levels.next()?);
        if streams != "streams" || levels.next().is_some() {
            return None;
        }
        if thing.is_empty() || stream.is_empty() {
            return None;
        }
        Some(Self {
            thing,
            stream,
            kind: Kind::of_word(kind)?,
            encoding: Encoding::of_word(encoding)?,
        })
    }

    /// The same with another purpose: where the answer goes.
    pub const fn with(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The topic.
    pub fn write(&self) -> String {
        let Self {
            thing,
            stream,
            kind,
            encoding,
        } = self;
        let (kind, encoding) = (kind.word(), encoding.word());
        format!("{THINGS}{thing}/streams/{stream}/{kind}/{encoding}")
    }
}

/// The filters that a device subscribes to for the stream of a job.
pub fn subscriptions(thing: &str, stream: &str, encoding: Encoding) -> [String; 2] {
    [Kind::Data, Kind::Rejected].map(|kind| {
        let topic = Topic {
            thing,
            stream,
            kind,
            encoding,
        };
        topic.write()
    })
}

/// The filters that a server of all things subscribes to.
pub const SERVER_SUBSCRIPTIONS: [&str; 2] = [
    "$aws/things/+/streams/+/get/+",
    "$aws/things/+/streams/+/describe/+",
];
