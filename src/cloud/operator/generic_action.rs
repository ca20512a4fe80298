//! Home-grown backends at the operator's end: an action down, status up, both by patterns. The image
//! comes over HTTP from elsewhere, so that the operator's rows tell of no bytes.

use super::Note;
use super::mail::Step;
use super::rollouts::Rollouts;
use crate::cloud::campaign::Status as Stands;
use crate::device::payload;
use crate::scenario::plan::DeviceIdx;
use crate::scenario::update::{GenericAction, WireProfile};
use crate::wire::generic_action::{Action, Report};
use std::borrow::Cow;

/// Where the server that the run starts itself has its images.
const IMAGES: &str = "/images";

impl Rollouts {
    /// The action for `device`: topic and payload.
    pub(super) fn action(
        &self,
        run: u32,
        device: DeviceIdx,
        profile: &GenericAction,
    ) -> Option<(String, Vec<u8>)> {
        let (index, view) = self.next_job(device)?;
        if view.status != Stands::Queued {
            return None;
        }
        let package = self.package(index);
        let server = profile.server.as_deref().unwrap_or(IMAGES);
        let server = server.trim_end_matches('/');
        let action = Action {
            action_id: Cow::Borrowed(&package.id),
            version: Cow::Borrowed(&package.image.version),
            url: Cow::Owned(format!("{server}/{}", package.file_name)),
            bytes: Some(package.image.len()),
            sha256: Some(package.image.sha256),
        };
        let names = payload::names(&self.plan, device, run);
        Some((
            profile.action_topic.to_text(&names),
            action.write(&profile.action),
        ))
    }

    /// Takes a status of `device`.
    pub(super) fn hear_status(&mut self, device: DeviceIdx, payload: &[u8], to: &mut Step<'_>) {
        let Some(WireProfile::GenericAction(profile)) = self.profile(device) else {
            return to.note(Note::BadMessage);
        };
        let Ok(report) = Report::read(&profile.status, payload) else {
            return to.note(Note::BadMessage);
        };
        let status = report.status;
        let index = if report.action_id.is_empty() {
            self.next_job(device).map(|(index, _)| index)
        } else {
            self.campaign_of(&report.action_id)
        };
        match index {
            Some(index) => self.hear(index, device, status, to),
            None => to.note(Note::BadMessage),
        }
    }
}
