//! The job document: that of AWS's OTA agent, with what our devices need beside it.

use crate::wire::{Reason, image, json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The way of downloading in the agent's words.
const MQTT: &str = "MQTT";

/// What a job wants of a device.
///
/// The agent's own document, as AWS makes it, has no word for the version of an image, and a signature
/// in place of a hash. So ours has the agent's `afr_ota` (without the members about signatures and
/// certificates, because nothing is signed here), and beside it an object of our own:
/// `"fleetstorm":{"version":"2.0.0","sha256":"<64 hex digits>"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// The stream that the file is in.
    pub stream: Cow<'a, str>,
    /// Where it goes on the device; `/firmware` from our server.
    pub file_path: Cow<'a, str>,
    /// Its number in the stream.
    pub file: u8,
    /// Its size, in bytes, above 0.
    pub bytes: u32,
    /// Version of the firmware.
    pub version: Cow<'a, str>,
    /// Hash over the file.
    pub sha256: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct Mirror<'a> {
    #[serde(borrow)]
    afr_ota: AfrOta<'a>,
    #[serde(borrow)]
    fleetstorm: Own<'a>,
}

/// Only what tells apart a document of another kind from one with another way of downloading.
#[derive(Deserialize)]
struct Protocols<'a> {
    #[serde(borrow)]
    afr_ota: OfAfrOta<'a>,
}

#[derive(Deserialize)]
struct OfAfrOta<'a> {
    #[serde(borrow)]
    protocols: Vec<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
struct AfrOta<'a> {
    #[serde(borrow)]
    protocols: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    streamname: Cow<'a, str>,
    #[serde(borrow)]
    files: Vec<File<'a>>,
}

#[derive(Serialize, Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    filepath: Cow<'a, str>,
    filesize: u32,
    fileid: u8,
    /// The agent's `fileType`; 0 is firmware of the main processor.
    #[serde(rename = "fileType", default)]
    file_type: u32,
}

#[derive(Serialize, Deserialize)]
struct Own<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    sha256: Cow<'a, str>,
}

impl<'a> Document<'a> {
    /// Reads a job document, as a device would.
    ///
    /// # Errors
    /// [`Reason::UnsupportedProtocol`] if it is the agent's but not to be had over MQTT,
    /// [`Reason::UnsupportedPackage`] if it is anything else than one file with version and hash.
    pub fn read(document: &'a RawValue) -> Result<Self, Reason> {
        let text = document.get().as_bytes();
        let ways: Protocols<'_> = json::read(text).map_err(|_| Reason::UnsupportedPackage)?;
        if !ways.afr_ota.protocols.iter().any(|way| way == MQTT) {
            return Err(Reason::UnsupportedProtocol);
        }
        let Mirror {
            afr_ota,
            fleetstorm,
        } = json::read(text).map_err(|_| Reason::UnsupportedPackage)?;
        let [file] =
            <[File<'_>; 1]>::try_from(afr_ota.files).map_err(|_| Reason::UnsupportedPackage)?;
        let sha256 = image::of_hex(&fleetstorm.sha256).ok_or(Reason::UnsupportedPackage)?;
        if file.filesize == 0 {
            return Err(Reason::UnsupportedPackage);
        }
        Ok(Self {
            stream: afr_ota.streamname,
            file_path: file.filepath,
            file: file.fileid,
            bytes: file.filesize,
            version: fleetstorm.version,
            sha256,
        })
    }

    /// Writes it; once per campaign, because it is the same for all devices.
    pub fn write(&self) -> Box<RawValue> {
        let mirror = Mirror {
            afr_ota: AfrOta {
                protocols: vec![MQTT.into()],
                streamname: Cow::Borrowed(&self.stream),
                files: vec![File {
                    filepath: Cow::Borrowed(&self.file_path),
                    filesize: self.bytes,
                    fileid: self.file,
                    file_type: 0,
                }],
            },
            fleetstorm: Own {
                version: Cow::Borrowed(&self.version),
                sha256: image::hex(&self.sha256).into(),
            },
        };
        serde_json::value::to_raw_value(&mirror).expect("texts and numbers can be written")
    }
}
