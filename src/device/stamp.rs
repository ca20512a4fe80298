//! The 24-byte stamp in each telemetry payload, from which an observer fills the delivery ledger.

use crate::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Who sent which message when; 24 bytes, 32 characters as unpadded base64 (standard alphabet).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Run id.
    pub run: u32,
    /// Device index in the fleet.
    pub device: u32,
    /// Stream index in the plan.
    pub stream: u16,
    /// Boot counter.
    pub boot: u16,
    /// Sequence number.
    pub seq: u32,
    /// When the schedule wanted it, on the run's axis.
    pub intended: Instant,
}

impl Stamp {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 32;

    /// Length of the binary form.
    const BYTES: usize = 24;

    /// The text form: 24 bytes big-endian in field order, base64.
    pub fn to_text(self) -> [u8; Self::TEXT_LEN] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..4].copy_from_slice(&self.run.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.device.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.stream.to_be_bytes());
        bytes[10..12].copy_from_slice(&self.boot.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.seq.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.intended.ns().to_be_bytes());
        let mut text = [0; Self::TEXT_LEN];
        STANDARD_NO_PAD
            .encode_slice(bytes, &mut text)
            .expect("24 bytes are 32 characters");
        text
    }

    /// Inverse of [`Stamp::to_text`]; `None` if it is not one.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.len() != Self::TEXT_LEN {
            return None;
        }
        let mut bytes = [0; Self::BYTES];
        STANDARD_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (run, rest) = bytes.split_first_chunk()?;
        let (device, rest) = rest.split_first_chunk()?;
        let (stream, rest) = rest.split_first_chunk()?;
        let (boot, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let intended = rest.first_chunk()?;
        Some(Self {
            run: u32::from_be_bytes(*run),
            device: u32::from_be_bytes(*device),
            stream: u16::from_be_bytes(*stream),
            boot: u16::from_be_bytes(*boot),
            seq: u32::from_be_bytes(*seq),
            intended: Instant::from_ns(u64::from_be_bytes(*intended)),
        })
    }

    /// Finds the stamp in a telemetry payload: the string value of the JSON field `field`
    /// (`"<field>":"<32 characters>"`), or the first 32 bytes of a raw payload.
    ///
    /// White space around the colon is allowed, in case something on the way wrote the object
    /// anew. `field` is compared byte by byte, so it is a name that JSON does not escape.
    pub fn find(payload: &[u8], field: &str) -> Option<Self> {
        let payload = payload.trim_ascii_start();
        // `{` is not a base64 character, so a raw payload never begins with it.
        if payload.first() != Some(&b'{') {
            return Self::from_text(payload.get(..Self::TEXT_LEN)?);
        }
        let mut rest = payload;
        loop {
            let quote = rest.iter().position(|&b| b == b'"')?;
            rest = &rest[quote + 1..];
            if let Some(stamp) = Self::after_name(rest, field.as_bytes()) {
                return Some(stamp);
            }
        }
    }

    /// The stamp in `<field>" : "<stamp>"…`.
    fn after_name(text: &[u8], field: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(field)?.strip_prefix(b"\"")?;
        let rest = rest.trim_ascii_start().strip_prefix(b":")?;
        let rest = rest.trim_ascii_start().strip_prefix(b"\"")?;
        let (text, rest) = rest.split_at_checked(Self::TEXT_LEN)?;
        if rest.first() != Some(&b'"') {
            return None;
        }
        Self::from_text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp() -> Stamp {
        Stamp {
            run: 0x0102_0304,
            device: 299_999,
            stream: 3,
            boot: 2,
            seq: 77,
            intended: Instant::from_ns(61_000_000_001),
        }
    }

    proptest! {
        #[test]
        fn text_comes_back(run: u32, device: u32, stream: u16, boot: u16, seq: u32, ns: u64) {
            let intended = Instant::from_ns(ns);
            let stamp = Stamp { run, device, stream, boot, seq, intended };
            prop_assert_eq!(Stamp::from_text(&stamp.to_text()), Some(stamp));
        }

        #[test]
        fn any_payload_is_survived(payload in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Stamp::find(&payload, "_fs");
            let _ = Stamp::find(&[b"{\"_fs\":\"", payload.as_slice()].concat(), "_fs");
        }
    }

    #[test]
    fn the_text_form_never_changes() {
        // Another program may read it: big-endian fields, standard alphabet, no padding.
        assert_eq!(&stamp().to_text(), b"AQIDBAAEk98AAwACAAAATQAAAA4z4iIB");
    }

    #[test]
    fn it_is_found_in_payloads_of_all_kinds() {
        let text = String::from_utf8(stamp().to_text().to_vec()).expect("base64 is ASCII");
        let found = [
            format!(r#"{{"_fs":"{text}","watts":12.5}}"#),
            format!(r#"{{"a":"_fs","b":"\"_fs\"","_fs":"{text}"}}"#),
            format!("\n {{ \"x\": 1,\n \"_fs\" : \"{text}\" }}"),
            text.clone(),
            format!("{text}raw bytes"),
        ];
        for payload in found {
            assert_eq!(
                Stamp::find(payload.as_bytes(), "_fs"),
                Some(stamp()),
                "{payload}"
            );
        }
    }

    #[test]
    fn it_is_not_found_where_it_is_not() {
        let text = String::from_utf8(stamp().to_text().to_vec()).expect("base64 is ASCII");
        let missing = [
            String::new(),
            "{}".into(),
            text[..31].to_owned(),
            text.replacen('A', "!", 1),
            format!(r#"{{"fs":"{text}"}}"#),
            format!(r#"{{"_fs":"{}"}}"#, &text[..31]),
            format!(r#"{{"_fs":"{text}A"}}"#),
            format!(r#"{{"_fs":"{text}"#),
            format!(r#"{{"_fs":{text}}}"#),
        ];
        for payload in missing {
            assert_eq!(Stamp::find(payload.as_bytes(), "_fs"), None, "{payload}");
        }
    }
}
