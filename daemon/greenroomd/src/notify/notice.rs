//! What somebody is told.

use greenroom_domain::{CharacterState, Event, EventBody, JobState, Timestamp};
use greenroom_store::Result;
use serde::Serialize;

use crate::{clock, farm::Farm};

/// What one can be told of.
pub(crate) const KINDS: [&str; 11] = [
    "job.created",
    "job.done",
    "job.draft",
    "job.failed",
    "job.cancelled",
    "task.failed",
    "character.ready",
    "character.refused",
    "node.sick",
    "node.healed",
    "trial",
];

/// Something that happened. In JSON it is what a webhook gets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Notice {
    /// Names it: whoever gets it twice can tell.
    pub id: String,
    /// One of [`KINDS`].
    pub event: &'static str,
    /// When, RFC 3339.
    pub time: String,
    /// The project's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `job_…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// In a sentence.
    pub text: String,
}

impl Notice {
    /// What an event tells people; none for what they are not told of.
    pub(super) async fn of(farm: &Farm, event: Event) -> Result<Option<Self>> {
        let Some((kind, text)) = told(farm, &event).await? else { return Ok(None) };
        let project = farm.store.project(event.project).await?.map(|project| project.name);
        Ok(Some(Self {
            id: format!("event_{}", event.seq.0),
            event: kind,
            time: clock::rfc3339(event.at),
            project,
            job: event.job.map(|job| job.to_string()),
            text,
        }))
    }

    /// Something about a machine.
    pub(crate) fn node(event: &'static str, now: Timestamp, text: String) -> Self {
        Self {
            id: format!("{event}_{}", now.as_millis()),
            event,
            time: clock::rfc3339(now),
            project: None,
            job: None,
            text,
        }
    }

    /// To see whether it arrives.
    pub(super) fn trial(now: Timestamp) -> Self {
        Self::node("trial", now, "this is a trial: greenroomd can tell you what happens".into())
    }
}

async fn told(farm: &Farm, event: &Event) -> Result<Option<(&'static str, String)>> {
    let job = match event.job {
        Some(job) => farm.store.job(job).await?,
        None => None,
    };
    let title = job.map(|job| job.title).unwrap_or_default();
    Ok(match &event.body {
        EventBody::JobCreated { title, .. } => Some(("job.created", format!("{title} was pushed"))),
        EventBody::JobChanged { state } => match state {
            JobState::Active => None,
            JobState::Done { .. } => Some(("job.done", format!("{title} is done"))),
            JobState::Draft { .. } => Some(("job.draft", format!("{title} is finished, with drafts"))),
            JobState::Failed { problem, .. } => Some(("job.failed", format!("{title} failed: {problem}"))),
            JobState::Cancelled { .. } => Some(("job.cancelled", format!("{title} was cancelled"))),
        },
        EventBody::TaskChanged { kind, shot, state, note, .. } if state == "failed" => {
            let shot = shot.map(|shot| format!(" of shot {shot}")).unwrap_or_default();
            let note = note.as_deref().unwrap_or("no cause is known");
            Some(("task.failed", format!("{title}: {kind}{shot} failed: {note}")))
        }
        EventBody::CharacterChanged { character, state } => {
            let known = farm.store.character(*character).await?;
            let (name, problem) = match known {
                Some(character) => match character.state {
                    CharacterState::Refused { problem } => (character.name, problem.to_string()),
                    _ => (character.name, String::new()),
                },
                None => return Ok(None), // forgotten
            };
            match state.as_str() {
                "ready" => Some(("character.ready", format!("{name} is ready to be cast"))),
                "refused" => Some(("character.refused", format!("{name} was refused: {problem}"))),
                _ => None,
            }
        }
        _ => None,
    })
}
