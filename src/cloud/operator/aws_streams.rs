//! The block server: AWS IoT streams at the operator's end. A request is answered by one message per
//! block, or by one of the guide's errors.

use super::Note;
use super::mail::Step;
use super::package::{FILE, STREAM_VERSION};
use super::rollouts::Rollouts;
use crate::scenario::plan::DeviceIdx;
use crate::wire::aws_streams::{
    Describe, Described, ErrorCode, File, Get, Kind, StreamError, Topic,
};
use std::borrow::Cow;

impl Rollouts {
    /// Answers a question of `device` about a stream.
    pub(super) fn answer_stream(
        &mut self,
        device: DeviceIdx,
        topic: Topic<'_>,
        payload: &[u8],
        to: &mut Step<'_>,
    ) {
        let refusal = match topic.kind {
            Kind::Get => self.serve(device, topic, payload, to),
            Kind::Describe => self.describe(device, topic, payload, to),
            // Those are the operator's own to say.
            Kind::Data | Kind::Description | Kind::Rejected => return to.note(Note::BadMessage),
        };
        if let Err((code, token)) = refusal {
            to.note(Note::Refused);
            let error = StreamError {
                code,
                message: Cow::Borrowed("the request cannot be served"),
                token,
            };
            let payload = error.write(topic.encoding);
            to.send(device, topic.with(Kind::Rejected).write(), payload);
        }
    }

    fn serve<'p>(
        &mut self,
        device: DeviceIdx,
        topic: Topic<'_>,
        payload: &'p [u8],
        to: &mut Step<'_>,
    ) -> Result<(), (ErrorCode, Option<Cow<'p, str>>)> {
        let get = Get::read(topic.encoding, payload)
            .map_err(|bad| (ErrorCode::of_bad_message(bad), None))?;
        let refused = |code| (code, get.token.clone());
        let index = self.stream(device, topic).map_err(refused)?;
        let packages = std::sync::Arc::clone(&self.packages);
        let package = packages[index].as_ref().expect("its id was found there");
        let wanted = get.blocks(STREAM_VERSION, FILE, package.image.len());
        let wanted = wanted.map_err(refused)?;
        let data_topic = topic.with(Kind::Data).write();
        let (block_bytes, mut served) = (wanted.block_bytes, 0);
        for block in wanted {
            let token = get.token.as_deref();
            let encoded =
                self.blocks
                    .get((index, package), topic.encoding, block_bytes, block, token);
            if let Some((payload, bytes)) = encoded {
                to.send(device, data_topic.clone(), payload);
                served += bytes;
            }
        }
        self.served(index, device, served, to);
        Ok(())
    }

    fn describe<'p>(
        &self,
        device: DeviceIdx,
        topic: Topic<'_>,
        payload: &'p [u8],
        to: &mut Step<'_>,
    ) -> Result<(), (ErrorCode, Option<Cow<'p, str>>)> {
        let question = Describe::read(topic.encoding, payload)
            .map_err(|bad| (ErrorCode::of_bad_message(bad), None))?;
        let index = self.stream(device, topic);
        let index = index.map_err(|code| (code, question.token.clone()))?;
        let description = Described {
            token: question.token,
            version: STREAM_VERSION,
            description: Cow::Borrowed(&self.package(index).image.version),
            files: vec![File {
                file: u64::from(FILE),
                bytes: u64::from(self.package(index).image.len()),
            }],
        };
        let payload = description.write(topic.encoding);
        to.answer(device, topic.with(Kind::Description).write(), payload);
        Ok(())
    }

    /// The campaign whose image `topic` names. Who has no job of it is not let in.
    fn stream(&self, device: DeviceIdx, topic: Topic<'_>) -> Result<usize, ErrorCode> {
        let index = self.campaign_of(topic.stream);
        let index = index.ok_or(ErrorCode::ResourceNotFound)?;
        match self.execution(index, device) {
            Some(_) => Ok(index),
            None => Err(ErrorCode::Unauthorized),
        }
    }
}
