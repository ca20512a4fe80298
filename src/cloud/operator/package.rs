//! What a campaign of the operator sends around: the image and its words, made once before the run.

use crate::scenario::campaign::Campaign;
use crate::scenario::plan::Plan;
use crate::wire::aws_jobs::Document;
use crate::wire::image::Image;
use crate::wire::thingsboard::Firmware;
use bytes::Bytes;
use serde_json::value::RawValue;

/// Number of the image in its stream.
pub(super) const FILE: u8 = 0;
/// Version of a stream: its image never changes.
pub(super) const STREAM_VERSION: u64 = 1;

/// An image and what is said of it.
#[derive(Debug)]
pub(super) struct Package {
    /// Id of the job, of its stream, and of the action: `fs-<run, 8 hex>-<campaign>`.
    pub(super) id: String,
    /// The image.
    pub(super) image: Image,
    /// The job document.
    pub(super) document: Box<RawValue>,
    /// Shared attributes, as they are pushed.
    pub(super) attributes: Bytes,
    /// The same as an answer.
    pub(super) attributes_answer: Bytes,
    /// Its name on an HTTP server.
    pub(super) file_name: String,
}

impl Package {
    /// Of campaign `index`.
    pub(super) fn new(plan: &Plan, run: u32, index: usize, campaign: &Campaign) -> Self {
        let version = plan.firmware.text(campaign.image.version);
        let image = Image::new(plan.seed, version, campaign.image.bytes);
        let id = format!("fs-{run:08x}-{index}");
        let document = Document {
            stream: id.as_str().into(),
            file_path: "/firmware".into(),
            file: FILE,
            bytes: image.len(),
            version: version.into(),
            sha256: image.sha256,
        };
        let firmware = Firmware {
            title: plan.name.as_str().into(),
            version: version.into(),
            bytes: image.len(),
            sha256: image.sha256,
        };
        Self {
            document: document.write(),
            attributes: firmware.write_push().into(),
            attributes_answer: Firmware::write_answer(Some(&firmware)).into(),
            file_name: campaign.name.clone(),
            id,
            image,
        }
    }
}
