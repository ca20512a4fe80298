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
            action_id: action_id(&package.id, view.attempt),
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
            self.campaign_of_action(device, &report.action_id)
        };
        match index {
            Some(index) => self.hear(index, device, status, to),
            None => to.note(Note::BadMessage),
        }
    }

    /// The campaign of an action, unless another try has followed it.
    fn campaign_of_action(&self, device: DeviceIdx, id: &str) -> Option<usize> {
        let (index, attempt) = self.campaign_of(id).map(|index| (index, 1)).or_else(|| {
            let (first, attempt) = id.rsplit_once('-')?;
            Some((self.campaign_of(first)?, attempt.parse().ok()?))
        })?;
        let view = self.execution(index, device);
        view.is_none_or(|view| view.attempt == attempt)
            .then_some(index)
    }
}

/// An action's id: the campaign's, and from the second try on the number of the try behind it. By
/// its id a device knows an action that comes twice from one that is to be carried out once more.
fn action_id(campaign: &str, attempt: u8) -> Cow<'_, str> {
    match attempt {
        ..=1 => Cow::Borrowed(campaign),
        again => Cow::Owned(format!("{campaign}-{again}")),
    }
}
