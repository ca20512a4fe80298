//! The servers' side: as small as it can be, with the words of `wire`.

use super::*;
use crate::wire::aws_jobs::{
    Accepted, Asked, Document, ErrorCode, Execution, ExecutionState, JobStatus, NotifyNext,
    Rejected, Request, UpdateAccepted, notify_next_topic,
};
use crate::wire::aws_streams::{Get, Kind, Topic, encode_block};
use crate::wire::generic_action;
use crate::wire::thingsboard;
use crate::wire::{Stage, Status};

/// Topic and payload.
pub(super) type Message = (String, Vec<u8>);

/// A server of one device.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) encoding: Encoding,
    pub(super) image: Image,
    /// The execution: state, version number, number. `None` = nothing is pending.
    pub(super) execution: Option<(JobStatus, u64, u64)>,
    /// What the device said, as the server read it.
    pub(super) heard: Vec<Status>,
    /// So many requests for blocks are not answered.
    pub(super) ignore_blocks: u32,
    /// So many updates are taken, but not answered.
    pub(super) mute_updates: u32,
    /// The firmware is assigned (ThingsBoard).
    pub(super) assigned: bool,
    /// Bytes that a fetch gives before it breaks.
    pub(super) breaks_after: Option<usize>,
    /// Bytes that a fetch gives before nothing comes any more.
    pub(super) stalls_after: Option<usize>,
    /// How the next fetches end at once.
    pub(super) refusals: Vec<FetchEnd>,
}

pub(super) const THING: &str = "meters-0";
pub(super) const JOB: &str = "fs-00000007-0";

impl Speaker {
    pub(super) fn new() -> Self {
        Self {
            encoding: Encoding::Cbor,
            image: image(),
            execution: None,
            heard: Vec::new(),
            ignore_blocks: 0,
            mute_updates: 0,
            assigned: false,
            breaks_after: None,
            stalls_after: None,
            refusals: Vec::new(),
        }
    }

    /// The stages it has heard of.
    pub(super) fn stages(&self) -> Vec<Stage> {
        self.heard.iter().map(|status| status.stage).collect()
    }

    /// What a message of the device is answered with.
    pub(super) fn hear(&mut self, topic: &str, payload: &[u8]) -> Vec<Message> {
        if let Ok(asked) = Asked::of_topic(topic) {
            return self.hear_job(asked, payload);
        }
        if let Ok(topic) = Topic::read(topic) {
            return self.hear_stream(topic, payload);
        }
        if let Ok(request) = thingsboard::Request::read(topic, payload) {
            return self.hear_thingsboard(&request);
        }
        let pattern = generic_action::Pattern::status(generic_action::STATUS).expect("sound");
        if let Ok(report) = generic_action::Report::read(&pattern, payload) {
            self.heard.push(report.status);
        }
        Vec::new()
    }

    fn hear_job(&mut self, asked: Asked<'_>, payload: &[u8]) -> Vec<Message> {
        match asked.read(payload).expect("sound") {
            Request::GetNext(get) => {
                let document = self.document();
                let accepted = Accepted {
                    client_token: get.client_token,
                    timestamp: 0,
                    execution: self.pending(&document),
                };
                vec![(asked.accepted_topic(), accepted.write())]
            }
            Request::StartNext(_) => panic!("it never does"),
            Request::Update { job, update } => {
                assert_eq!(job, JOB);
                let status = update.status().expect("a device says only that");
                let token = update.client_token.clone();
                let rejected = |code, state: Option<(JobStatus, u64)>| {
                    let rejected = Rejected {
                        code,
                        message: "".into(),
                        client_token: token.clone(),
                        timestamp: 0,
                        execution_state: state.map(|(status, version_number)| ExecutionState {
                            status,
                            status_details: None,
                            version_number,
                        }),
                    };
                    vec![(asked.rejected_topic(), rejected.write())]
                };
                let Some((state, version, number)) = &mut self.execution else {
                    return rejected(ErrorCode::ResourceNotFound, None);
                };
                if state.is_terminal() {
                    let state = Some((*state, *version));
                    return rejected(ErrorCode::TerminalStateReached, state);
                }
                let is_of_another = update.execution_number.is_some_and(|n| n != *number);
                if is_of_another || update.expected_version.is_some_and(|v| v != *version) {
                    let state = Some((*state, *version));
                    return rejected(ErrorCode::VersionMismatch, state);
                }
                *version += 1;
                *state = update.status;
                self.heard.push(status);
                if self.mute_updates > 0 {
                    self.mute_updates -= 1;
                    return Vec::new();
                }
                let accepted = UpdateAccepted {
                    client_token: token,
                    timestamp: 0,
                    execution_state: update.include_job_execution_state.map(|_| ExecutionState {
                        status: *state,
                        status_details: None,
                        version_number: *version,
                    }),
                };
                vec![(asked.accepted_topic(), accepted.write())]
            }
        }
    }

    fn hear_stream(&mut self, topic: Topic<'_>, payload: &[u8]) -> Vec<Message> {
        assert_eq!(topic.encoding, self.encoding);
        let get = Get::read(self.encoding, payload).expect("sound");
        if self.ignore_blocks > 0 {
            self.ignore_blocks -= 1;
            return Vec::new();
        }
        let block_bytes = u32::try_from(get.block_bytes).expect("small");
        let blocks = get.blocks(1, 0, self.image.len()).expect("within limits");
        let block = |index| {
            let bytes = self.image.block(index, block_bytes).expect("there is one");
            self.block(index, &bytes)
        };
        blocks.map(block).collect()
    }

    /// A block as it goes out.
    pub(super) fn block(&self, index: u32, bytes: &[u8]) -> Message {
        let payload = encode_block(self.encoding, 0, index, bytes);
        (self.data_topic(), payload.to_vec())
    }

    pub(super) fn data_topic(&self) -> String {
        let topic = Topic {
            thing: THING,
            stream: JOB,
            kind: Kind::Data,
            encoding: self.encoding,
        };
        topic.write()
    }

    fn hear_thingsboard(&mut self, request: &thingsboard::Request<'_>) -> Vec<Message> {
        match request {
            thingsboard::Request::Attributes { request, .. } => {
                let firmware = self.assigned.then(|| firmware(&self.image));
                let payload = thingsboard::Firmware::write_answer(firmware.as_ref());
                vec![(thingsboard::attributes_response_topic(*request), payload)]
            }
            thingsboard::Request::Chunk {
                request,
                index,
                chunk_bytes,
            } => {
                if self.ignore_blocks > 0 {
                    self.ignore_blocks -= 1;
                    return Vec::new();
                }
                let bytes = self.image.block(*index, chunk_bytes.expect("always said"));
                let topic = thingsboard::chunk_response_topic(*request, *index);
                vec![(topic, bytes.map_or(Vec::new(), |bytes| bytes.to_vec()))]
            }
            thingsboard::Request::Telemetry(telemetry) => {
                self.heard.extend(telemetry.status);
                Vec::new()
            }
        }
    }

    pub(super) fn document(&self) -> Box<serde_json::value::RawValue> {
        let document = Document {
            stream: JOB.into(),
            file_path: "/fw".into(),
            file: 0,
            bytes: self.image.len(),
            version: self.image.version.as_str().into(),
            sha256: self.image.sha256,
        };
        document.write()
    }

    fn pending<'a>(&self, document: &'a serde_json::value::RawValue) -> Option<Execution<'a>> {
        let (status, version_number, execution_number) = self
            .execution
            .filter(|(status, ..)| !status.is_terminal())?;
        Some(Execution {
            job_id: JOB.into(),
            status,
            status_details: None,
            queued_at: 0,
            started_at: None,
            last_updated_at: 0,
            version_number,
            execution_number,
            job_document: Some(document),
        })
    }

    /// What the server says when its next job has changed.
    pub(super) fn notice(&self) -> Message {
        let document = self.document();
        let notice = NotifyNext {
            timestamp: 0,
            execution: self.pending(&document),
        };
        (notify_next_topic(THING), notice.write())
    }

    /// The body of an image from `fetch.offset` on, in pieces.
    pub(super) fn fetch(&mut self, fetch: &Fetch) -> Vec<Coming> {
        assert_eq!(fetch.url, "/2.0.0");
        if !self.refusals.is_empty() {
            return vec![Coming::FetchEnded(self.refusals.remove(0))];
        }
        let all = &self.image.bytes[fetch.offset as usize..];
        if let Some(bytes) = self.stalls_after.take() {
            return vec![Coming::Fetched(all[..bytes].to_vec())];
        }
        let breaks = self.breaks_after.take().filter(|bytes| *bytes < all.len());
        let body = &all[..breaks.unwrap_or(all.len())];
        let pieces = body
            .chunks(1_000)
            .map(|piece| Coming::Fetched(piece.to_vec()));
        let end = match breaks {
            Some(_) => FetchEnd::Broken,
            None => FetchEnd::Complete,
        };
        pieces.chain([Coming::FetchEnded(end)]).collect()
    }
}

/// The shared attributes for `image`.
pub(super) fn firmware(image: &Image) -> thingsboard::Firmware<'_> {
    thingsboard::Firmware {
        title: "meter".into(),
        version: image.version.as_str().into(),
        bytes: image.len(),
        sha256: image.sha256,
    }
}

/// An AWS world whose device is online and has been told of its job.
pub(super) fn offered(plan: Plan) -> World {
    let mut speaker = Speaker::new();
    let update = plan.cohorts[0].update.as_ref().expect("it has one");
    if let WireProfile::AwsJobs { encoding } = update.profile {
        speaker.encoding = encoding;
    }
    let mut world = World::new(plan, speaker);
    world.run(1.0);
    world.speaker.execution = Some((JobStatus::Queued, 1, 1));
    let notice = world.speaker.notice();
    world.push(notice);
    world
}
