//! MQTT 3.1.1 on bytes from the server's chair, written apart from the program's codec: a parser of
//! what a client may send, which names the statement that wrong bytes violate, and a writer of what
//! a server sends.

/// A statement of MQTT 3.1.1 that a client did not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Its name in the specification, or the section of a rule without a number.
    pub(crate) statement: &'static str,
    /// What happened.
    pub(crate) what: String,
}

/// A violation of `statement`.
pub(crate) fn violation(statement: &'static str, what: impl Into<String>) -> Violation {
    let what = what.into();
    Violation { statement, what }
}

/// A packet of a client, well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromClient {
    Connect(Connect),
    Publish(Message),
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    Subscribe(u16, Vec<(String, u8)>),
    Unsubscribe(u16, Vec<String>),
    PingReq,
    Disconnect,
}

/// What of a CONNECT matters to a server here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) client_id: String,
    pub(crate) clean_session: bool,
    pub(crate) keep_alive_s: u16,
    pub(crate) has_will: bool,
}

/// An application message with its header; `id` is 0 exactly at QoS 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) id: u16,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// A packet of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToClient {
    ConnAck { session_present: bool, code: u8 },
    Publish(Message),
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    SubAck(u16, Vec<u8>),
    UnsubAck(u16),
    PingResp,
}

impl ToClient {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let acknowledgement = |first: u8, id: u16| {
            let [high, low] = id.to_be_bytes();
            vec![first, 2, high, low]
        };
        match self {
            Self::ConnAck {
                session_present,
                code,
            } => vec![0x20, 2, u8::from(*session_present), *code],
            Self::Publish(message) => publish(message),
            Self::PubAck(id) => acknowledgement(0x40, *id),
            Self::PubRec(id) => acknowledgement(0x50, *id),
            Self::PubRel(id) => acknowledgement(0x62, *id),
            Self::PubComp(id) => acknowledgement(0x70, *id),
            Self::SubAck(id, codes) => {
                let mut body = id.to_be_bytes().to_vec();
                body.extend_from_slice(codes);
                packet(0x90, &body)
            }
            Self::UnsubAck(id) => acknowledgement(0xb0, *id),
            Self::PingResp => vec![0xd0, 0],
        }
    }
}

/// The bytes of a PUBLISH.
pub(crate) fn publish(message: &Message) -> Vec<u8> {
    let flags = u8::from(message.dup) << 3 | message.qos << 1 | u8::from(message.retain);
    let mut body = string(&message.topic);
    if message.qos > 0 {
        body.extend_from_slice(&message.id.to_be_bytes());
    }
    body.extend_from_slice(&message.payload);
    packet(0x30 | flags, &body)
}

/// A packet of this first byte and body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A string with its length in front (1.5.3).
pub(crate) fn string(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).expect("test strings are short");
    let mut bytes = len.to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The length of the first packet of `bytes` and of its fixed header; `None` if that is not complete.
pub(crate) fn frame(bytes: &[u8]) -> Result<Option<(usize, usize)>, Violation> {
    let mut remaining = 0;
    for place in 0..4 {
        let Some(&byte) = bytes.get(1 + place) else {
            return Ok(None);
        };
        remaining |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let header = 2 + place;
            return Ok(Some((header, header + remaining)));
        }
    }
    Err(violation(
        "section 2.2.3",
        "a remaining length of more than four bytes",
    ))
}

/// The first packet of `bytes` and its length; `None` if it is not complete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(FromClient, usize)>, Violation> {
    let Some((header, len)) = frame(bytes)? else {
        return Ok(None);
    };
    let Some(body) = bytes.get(header..len) else {
        return Ok(None);
    };
    let mut body = Body(body);
    let (kind, flags) = (bytes[0] >> 4, bytes[0] & 0x0f);
    flags_are_right(kind, flags)?;
    let packet = match kind {
        1 => FromClient::Connect(connect(&mut body)?),
        3 => FromClient::Publish(message(flags, &mut body)?),
        4 => FromClient::PubAck(body.id("MQTT-2.3.1-6")?),
        5 => FromClient::PubRec(body.id("MQTT-2.3.1-6")?),
        6 => FromClient::PubRel(body.id("MQTT-2.3.1-6")?),
        7 => FromClient::PubComp(body.id("MQTT-2.3.1-6")?),
        8 => subscribe(&mut body)?,
        10 => unsubscribe(&mut body)?,
        12 => FromClient::PingReq,
        14 => FromClient::Disconnect,
        _ => {
            let what = format!("a client sent a packet of type {kind}");
            return Err(violation("section 2.2.1", what));
        }
    };
    if !body.0.is_empty() {
        let what = format!("{} bytes too many in {packet:?}", body.0.len());
        return Err(violation("section 2.2.3", what));
    }
    Ok(Some((packet, len)))
}

fn flags_are_right(kind: u8, flags: u8) -> Result<(), Violation> {
    let (statement, right) = match kind {
        3 => return Ok(()),
        6 => ("MQTT-3.6.1-1", 2),
        8 => ("MQTT-3.8.1-1", 2),
        10 => ("MQTT-3.10.1-1", 2),
        14 => ("MQTT-3.14.1-1", 0),
        _ => ("MQTT-2.2.2-1", 0),
    };
    if flags == right {
        return Ok(());
    }
    let what = format!("flags {flags:04b} in a packet of type {kind}");
    Err(violation(statement, what))
}

fn connect(body: &mut Body<'_>) -> Result<Connect, Violation> {
    if body.string("MQTT-3.1.2-1")? != "MQTT" {
        return Err(violation("MQTT-3.1.2-1", "another protocol name"));
    }
    if body.byte("MQTT-3.1.2-2")? != 4 {
        return Err(violation("MQTT-3.1.2-2", "another protocol level"));
    }
    let flags = body.byte("MQTT-3.1.2-3")?;
    let keep_alive_s = body.two("section 3.1.2.10")?;
    let (has_will, will_qos) = (flags & 0x04 != 0, flags >> 3 & 3);
    let (has_name, has_password) = (flags & 0x80 != 0, flags & 0x40 != 0);
    let rules = [
        (flags & 1 == 0, "MQTT-3.1.2-3"),
        (has_will || will_qos == 0, "MQTT-3.1.2-13"),
        (will_qos != 3, "MQTT-3.1.2-14"),
        (has_will || flags & 0x20 == 0, "MQTT-3.1.2-15"),
        (has_name || !has_password, "MQTT-3.1.2-22"),
    ];
    if let Some((_, statement)) = rules.iter().find(|(kept, _)| !kept) {
        return Err(violation(statement, format!("connect flags {flags:08b}")));
    }
    let client_id = body.string("MQTT-3.1.3-3")?;
    let clean_session = flags & 2 != 0;
    if client_id.is_empty() && !clean_session {
        let what = "no client identifier for a kept session";
        return Err(violation("MQTT-3.1.3-7", what));
    }
    if has_will {
        topic_name(&body.string("MQTT-3.1.2-9")?)?;
        body.binary("MQTT-3.1.2-9")?;
    }
    if has_name {
        body.string("MQTT-3.1.2-19")?;
    }
    if has_password {
        body.binary("MQTT-3.1.2-21")?;
    }
    Ok(Connect {
        client_id,
        clean_session,
        keep_alive_s,
        has_will,
    })
}

fn message(flags: u8, body: &mut Body<'_>) -> Result<Message, Violation> {
    let (dup, qos) = (flags & 8 != 0, flags >> 1 & 3);
    if qos == 3 {
        return Err(violation("MQTT-3.3.1-4", "QoS 3"));
    }
    if qos == 0 && dup {
        return Err(violation("MQTT-3.3.1-2", "DUP at QoS 0"));
    }
    let topic = body.string("MQTT-3.3.2-1")?;
    topic_name(&topic)?;
    let id = if qos == 0 {
        0
    } else {
        body.id("MQTT-2.3.1-1")?
    };
    let payload = std::mem::take(&mut body.0).to_vec();
    Ok(Message {
        dup,
        qos,
        retain: flags & 1 != 0,
        id,
        topic,
        payload,
    })
}

fn topic_name(topic: &str) -> Result<(), Violation> {
    if topic.is_empty() {
        return Err(violation("MQTT-4.7.3-1", "an empty topic name"));
    }
    if topic.contains(['+', '#']) {
        let what = format!("wildcard in topic name {topic:?}");
        return Err(violation("MQTT-3.3.2-2", what));
    }
    Ok(())
}

fn topic_filter(filter: &str) -> Result<(), Violation> {
    if filter.is_empty() {
        return Err(violation("MQTT-4.7.3-1", "an empty topic filter"));
    }
    let levels: Vec<_> = filter.split('/').collect();
    for (place, level) in levels.iter().enumerate() {
        if level.contains('#') && (*level != "#" || place + 1 != levels.len()) {
            return Err(violation("MQTT-4.7.1-2", filter));
        }
        if level.contains('+') && *level != "+" {
            return Err(violation("MQTT-4.7.1-3", filter));
        }
    }
    Ok(())
}

fn subscribe(body: &mut Body<'_>) -> Result<FromClient, Violation> {
    let id = body.id("MQTT-2.3.1-1")?;
    let mut filters = Vec::new();
    while !body.0.is_empty() {
        let filter = body.string("MQTT-3.8.3-1")?;
        topic_filter(&filter)?;
        let qos = body.byte("MQTT-3-8.3-4")?;
        if qos > 2 {
            let what = format!("requested QoS byte {qos:08b}");
            return Err(violation("MQTT-3-8.3-4", what));
        }
        filters.push((filter, qos));
    }
    if filters.is_empty() {
        return Err(violation("MQTT-3.8.3-3", "SUBSCRIBE without a filter"));
    }
    Ok(FromClient::Subscribe(id, filters))
}

fn unsubscribe(body: &mut Body<'_>) -> Result<FromClient, Violation> {
    let id = body.id("MQTT-2.3.1-1")?;
    let mut filters = Vec::new();
    while !body.0.is_empty() {
        let filter = body.string("MQTT-3.10.3-1")?;
        topic_filter(&filter)?;
        filters.push(filter);
    }
    if filters.is_empty() {
        return Err(violation("MQTT-3.10.3-2", "UNSUBSCRIBE without a filter"));
    }
    Ok(FromClient::Unsubscribe(id, filters))
}

/// The rest of a packet's body. Each method names the statement that is violated if the body ends
/// too early.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, len: usize, statement: &'static str) -> Result<&'a [u8], Violation> {
        let Some((taken, rest)) = self.0.split_at_checked(len) else {
            return Err(violation(statement, "the packet ends too early"));
        };
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self, statement: &'static str) -> Result<u8, Violation> {
        Ok(self.take(1, statement)?[0])
    }

    fn two(&mut self, statement: &'static str) -> Result<u16, Violation> {
        let bytes = self.take(2, statement)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn id(&mut self, statement: &'static str) -> Result<u16, Violation> {
        match self.two(statement)? {
            0 => Err(violation(statement, "packet identifier 0")),
            id => Ok(id),
        }
    }

    fn binary(&mut self, statement: &'static str) -> Result<&'a [u8], Violation> {
        let len = self.two(statement)?;
        self.take(usize::from(len), statement)
    }

    fn string(&mut self, statement: &'static str) -> Result<String, Violation> {
        let bytes = self.binary(statement)?;
        // Refuses surrogates as well.
        let text = std::str::from_utf8(bytes)
            .map_err(|_| violation("MQTT-1.5.3-1", format!("{bytes:02x?} is not UTF-8")))?;
        if text.contains('\0') {
            return Err(violation("MQTT-1.5.3-2", format!("{text:?} has U+0000")));
        }
        Ok(text.to_owned())
    }
}
