//! CBOR maps with text keys, read member by member: order does not matter, unknown members are left,
//! lengths may be indefinite.

use crate::wire::BadMessage;
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use minicbor::encode::Encoder;

/// Hands each member to `member`, which reads its value and says whether it knew the key.
pub(super) fn read_map<'a>(
    decoder: &mut Decoder<'a>,
    mut member: impl FnMut(&str, &mut Decoder<'a>) -> Result<bool, BadMessage>,
) -> Result<(), BadMessage> {
    let mut left = decoder.map().map_err(bad)?;
    loop {
        match &mut left {
            Some(0) => return Ok(()),
            Some(members) => *members -= 1,
            None if decoder.datatype().map_err(bad)? == Type::Break => {
                return decoder.skip().map_err(bad);
            }
            None => {}
        }
        let key = decoder.str().map_err(bad)?;
        if !member(key, decoder)? {
            decoder.skip().map_err(bad)?;
        }
    }
}

/// Reads a whole payload that is one map; bytes behind it are an error.
pub(super) fn read_document<'a>(
    payload: &'a [u8],
    member: impl FnMut(&str, &mut Decoder<'a>) -> Result<bool, BadMessage>,
) -> Result<(), BadMessage> {
    let mut decoder = Decoder::new(payload);
    read_map(&mut decoder, member)?;
    if decoder.position() == payload.len() {
        Ok(())
    } else {
        Err(BadMessage::Cbor)
    }
}

/// Sorts an error.
pub(super) fn bad(error: Error) -> BadMessage {
    if error.is_type_mismatch() || error.is_unknown_variant() || error.is_missing_value() {
        BadMessage::Form
    } else {
        BadMessage::Cbor
    }
}

/// Puts `value` where nothing was yet: a key that comes twice has no meaning.
pub(super) fn once<T>(place: &mut Option<T>, value: Result<T, Error>) -> Result<bool, BadMessage> {
    if place.is_some() {
        return Err(BadMessage::Form);
    }
    *place = Some(value.map_err(bad)?);
    Ok(true)
}

/// Writes a map of `members`.
pub(super) fn map(members: u64, capacity: usize) -> Writer {
    let mut writer = Writer(Encoder::new(Vec::with_capacity(capacity)));
    writer.written(|encoder| encoder.map(members).map(drop));
    writer
}

/// A map, or an array, being written.
#[derive(Debug)]
pub(super) struct Writer(Encoder<Vec<u8>>);

impl Writer {
    /// A text.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.written(|encoder| encoder.str(key)?.str(value).map(drop));
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.written(|encoder| encoder.str(key)?.u64(value).map(drop));
    }

    /// Bytes.
    pub(super) fn bytes(&mut self, key: &str, value: &[u8]) {
        self.written(|encoder| encoder.str(key)?.bytes(value).map(drop));
    }

    /// An array of maps, each with `members`, which `write` fills.
    pub(super) fn maps<T>(
        &mut self,
        key: &str,
        items: &[T],
        members: u64,
        write: impl Fn(&mut Self, &T),
    ) {
        let len = u64::try_from(items.len()).expect("lengths fit 64 bits");
        self.written(|encoder| encoder.str(key)?.array(len).map(drop));
        for item in items {
            self.written(|encoder| encoder.map(members).map(drop));
            write(self, item);
        }
    }

    /// The payload.
    pub(super) fn done(self) -> Vec<u8> {
        self.0.into_writer()
    }

    fn written(
        &mut self,
        write: impl FnOnce(
            &mut Encoder<Vec<u8>>,
        ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>>,
    ) {
        write(&mut self.0).expect("a Vec takes everything");
    }
}
