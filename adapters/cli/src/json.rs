//! What the daemon says, as JSON for programs. Field names are those of the proto files.

mod access;
mod schedule;

use greenroom_domain::Problem;
use greenroom_proto::v1::{self, event::Body, watch_job_response::Update};
use serde_json::{Value, json};

use crate::summary::Summary;

pub(crate) use access::{audit_row, token, user};
pub(crate) use schedule::{device, explanation, limit, node, queued};

/// A job; tasks where they are known.
pub(crate) fn job(job: &v1::Job) -> Value {
    let mut value = json!({
        "name": job.name,
        "title": job.title,
        "user": text(&job.user),
        "state": job_state(job),
        "problem": job.problem.as_ref().map(wire_problem),
        "draft_shots": job.draft_shots,
        "create_time": job.create_time.as_ref().map(time),
        "end_time": job.end_time.as_ref().map(time),
        "user": text(&job.user),
        "priority": job.priority,
        "paused": job.paused,
        "task_counts": job.task_counts.iter().collect::<std::collections::BTreeMap<_, _>>(),
    });
    if !job.tasks.is_empty() {
        value["tasks"] = job.tasks.iter().map(task).collect();
    }
    value
}

/// `active`, `done`, `draft`, `failed`, `cancelled`.
pub(crate) fn job_state(job: &v1::Job) -> String {
    job.state().as_str_name().trim_start_matches("STATE_").to_ascii_lowercase()
}

/// A character.
pub(crate) fn character(character: &v1::Character) -> Value {
    json!({
        "name": character.name,
        "uid": character.uid,
        "revision": character.revision,
        "description": character.description,
        "references": character.references.iter().map(reference).collect::<Value>(),
        "state": character_state(character),
        "problem": character.problem.as_ref().map(wire_problem),
        "profile_digest": text(&character.profile_digest),
        "thumbnail_digest": text(&character.thumbnail_digest),
        "job": text(&character.job),
        "create_time": character.create_time.as_ref().map(time),
        "calibration": character.calibration.as_ref().map(calibration),
        "uncalibrated": text(&character.uncalibrated),
        "consent": character.consent.as_ref().map(consent),
    })
}

/// A character's LoRA.
pub(crate) fn lora(lora: &v1::Lora) -> Value {
    let (recipe, proof) = (lora.recipe.unwrap_or_default(), lora.proof.unwrap_or_default());
    json!({
        "name": lora.name,
        "number": lora.number,
        "active": lora.active,
        "reasons": lora.reasons,
        "digest": lora.digest,
        "dataset_digest": lora.dataset_digest,
        "sheet_digest": lora.sheet_digest,
        "character_revision": lora.character_revision,
        "job": lora.job,
        "shrunk_from": lora.shrunk_from,
        "given_as": lora.given_as,
        "recipe": {
            "rank": recipe.rank,
            "alpha": float(recipe.alpha),
            "steps": recipe.steps,
            "resolution": recipe.resolution,
            "learning_rate": recipe.learning_rate,
            "convolutions": recipe.convolutions,
        },
        "proof": {
            "against": proof.against,
            "pictures": proof.pictures,
            "before": float(proof.before),
            "after": float(proof.after),
            "gain_lower": float(proof.gain_lower),
            "adherence_before": proof.adherence_before.map(float),
            "adherence_after": proof.adherence_after.map(float),
            "diversity_before": float(proof.diversity_before),
            "diversity_after": float(proof.diversity_after),
            "copies": proof.copies,
            "accepted_before": proof.accepted_before,
            "accepted_after": proof.accepted_after,
            "text_alone": proof.text_alone.map(float),
        },
        "create_time": lora.create_time.as_ref().map(time),
    })
}

/// A character's own curve.
fn calibration(calibration: &v1::Calibration) -> Value {
    let anchor = |anchor: &v1::calibration::Anchor| json!([float(anchor.cosine), float(anchor.idr)]);
    json!({
        "number": calibration.number,
        "digest": calibration.digest,
        "pack": calibration.pack,
        "anchors": calibration.anchors.iter().map(anchor).collect::<Value>(),
        "genuine": calibration.genuine,
        "impostors": calibration.impostors,
        "others": calibration.others,
        "create_time": calibration.create_time.as_ref().map(time),
    })
}

/// What a real person allowed.
fn consent(consent: &v1::Consent) -> Value {
    json!({
        "subject": consent.subject,
        "document_name": text(&consent.document_name),
        "document_digest": text(&consent.document_digest),
        "reference": text(&consent.reference),
        "licence": consent.licence,
        "expire_time": consent.expire_time.as_ref().map(time),
    })
}

/// The proof that a character was forgotten.
pub(crate) fn receipt(receipt: &v1::Receipt) -> Value {
    let artifact = |a: &v1::ForgottenArtifact| {
        let mut value = json!({"kind": a.kind, "digest": a.digest, "bytes": a.bytes});
        for (key, given) in [("reason", &a.reason), ("job", &a.job), ("shot", &a.shot)] {
            if let Some(given) = text(given) {
                value[key] = given.into();
            }
        }
        value
    };
    let all = |artifacts: &[v1::ForgottenArtifact]| artifacts.iter().map(artifact).collect::<Value>();
    let verification = receipt.verification.as_ref().map(|v| {
        json!({
            "time": v.time.as_ref().map(time),
            "clean": v.clean,
            "digests": v.digests,
            "artifacts_read": v.artifacts_read,
            "findings": v.findings,
        })
    });
    json!({
        "character": receipt.character,
        "project": receipt.project,
        "forget_time": receipt.forget_time.as_ref().map(time),
        "revisions": receipt.revisions,
        "removed": all(&receipt.removed),
        "kept": all(&receipt.kept),
        "footage": all(&receipt.footage),
        "cancelled_jobs": receipt.cancelled_jobs,
        "rewritten_rows": receipt.rewritten_rows,
        "verification": verification,
    })
}

/// `profiling`, `ready`, `refused`.
pub(crate) fn character_state(character: &v1::Character) -> String {
    character.state().as_str_name().trim_start_matches("STATE_").to_ascii_lowercase()
}

/// A project.
pub(crate) fn project(project: &v1::Project) -> Value {
    let settings = project.settings.as_ref().map(|settings| {
        json!({
            "width": settings.width,
            "height": settings.height,
            "fps": settings.fps,
            "gate": settings.gate.map(float),
            "retries": settings.retries,
            "keyframes_per_second": settings.keyframes_per_second,
            "crossfade_frames": settings.crossfade_frames,
            "seed": settings.seed,
            "anchors": settings.anchors.iter().collect::<std::collections::BTreeMap<_, _>>(),
        })
    });
    json!({
        "name": project.name,
        "settings": settings,
        "create_time": project.create_time.as_ref().map(time),
    })
}

/// The farm.
pub(crate) fn farm(address: &str, farm: &v1::Farm) -> Value {
    let worker = |worker: &v1::Worker| json!({"uid": worker.uid, "device": worker.device, "task": text(&worker.task)});
    json!({
        "address": address,
        "version": farm.version,
        "pack": farm.pack,
        "leader": farm.leader,
        "workers": farm.workers.iter().map(worker).collect::<Value>(),
    })
}

/// What came of a job.
pub(crate) fn summary(summary: &Summary) -> Value {
    let drafts = summary.drafts.iter();
    json!({
        "title": summary.title,
        "shots": summary.shots,
        "accepted": summary.accepted(),
        "drafts": drafts
            .map(|draft| json!({"shot": draft.shot, "takes": draft.takes, "reason": draft.reason}))
            .collect::<Value>(),
    })
}

/// One line of a watch.
pub(crate) fn update(update: &Update) -> Value {
    match update {
        Update::Progress(v1::TaskProgress { task, fraction, message, picture: _ }) => {
            json!({"progress": {"task": task, "fraction": float(*fraction), "message": message}})
        }
        Update::Event(event) => {
            let mut value = json!({"sequence": event.sequence, "time": event.time.as_ref().map(time)});
            match &event.body {
                Some(Body::Job(body)) => value["job"] = job(body),
                Some(Body::Task(body)) => value["task"] = task(body),
                None => {}
            }
            value
        }
    }
}

/// A problem.
pub(crate) fn problem(problem: &Problem) -> Value {
    json!({
        "kind": problem.kind,
        "step": problem.step,
        "subject": problem.subject,
        "cause": problem.cause,
        "remedy": problem.remedy,
    })
}

/// RFC 3339, UTC.
pub(crate) fn time(time: &prost_types::Timestamp) -> String {
    instant(time).map_or_else(String::new, |instant| instant.to_string())
}

/// `2026-03-01 14:05`, where the person is.
pub(crate) fn local_time(time: Option<&prost_types::Timestamp>) -> String {
    let zoned = time.and_then(instant).map(|instant| instant.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or_else(String::new, |zoned| zoned.strftime("%Y-%m-%d %H:%M").to_string())
}

/// `14:05:06`, where the person is.
pub(crate) fn local_clock(time: Option<&prost_types::Timestamp>) -> String {
    let zoned = time.and_then(instant).map(|instant| instant.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or_else(String::new, |zoned| zoned.strftime("%H:%M:%S").to_string())
}

/// A line of a task's log.
pub(crate) fn log_line(line: &v1::LogLine) -> Value {
    json!({
        "task": line.task,
        "kind": line.kind,
        "shot": text(&line.shot),
        "attempt": line.attempt,
        "time": line.time.as_ref().map(time),
        "level": line.level,
        "text": line.text,
    })
}

fn instant(time: &prost_types::Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(time.seconds, time.nanos).ok()
}

fn task(task: &v1::Task) -> Value {
    json!({
        "uid": task.uid,
        "kind": task.kind,
        "shot": text(&task.shot),
        "take": task.take,
        "state": task.state,
        "note": task.note,
        "attempts": task.attempts,
        "step": text(&task.step),
        "label": text(&task.label),
    })
}

fn reference(reference: &v1::Reference) -> Value {
    let quality = reference.quality.as_ref().map(|quality| {
        json!({
            "detection": float(quality.detection),
            "face_size": float(quality.face_size),
            "yaw": float(quality.yaw),
            "sharpness": float(quality.sharpness),
            "weight": float(quality.weight),
            "agreement": quality.agreement.map(float),
        })
    });
    json!({"file_name": reference.file_name, "digest": reference.digest, "quality": quality})
}

fn wire_problem(wire: &v1::Problem) -> Value {
    problem(&crate::connection::from_wire(wire))
}

/// The shortest number that is this one: 0.6, not 0.6000000238418579.
pub(crate) fn float(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

/// Empty texts are absent things.
fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::progress;

    #[test]
    fn numbers_are_written_as_they_were_meant() {
        let written = update(&progress("task_1", 0.6, "keyframe 3 of 5")).to_string();
        assert_eq!(written, r#"{"progress":{"fraction":0.6,"message":"keyframe 3 of 5","task":"task_1"}}"#);
    }

    #[test]
    fn times_are_in_utc_to_the_millisecond() {
        let time = prost_types::Timestamp { seconds: 1_795_000_000, nanos: 250_000_000 };
        let job = job(&v1::Job { create_time: Some(time), ..v1::Job::default() });
        assert_eq!(job["create_time"], "2026-11-18T11:06:40.25Z");
        assert_eq!(job["end_time"], Value::Null);
    }
}
