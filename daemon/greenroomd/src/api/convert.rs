//! Domain values as wire messages, and the few the other way round.

use greenroom_domain as domain;
use greenroom_proto::v1;
use prost_types::Timestamp;
use tonic::Status;

use super::status::{invalid, status};
use crate::ledger;

pub(super) fn time(at: domain::Timestamp) -> Option<Timestamp> {
    let ms = at.as_millis();
    Some(Timestamp { seconds: ms.div_euclid(1000), nanos: (ms.rem_euclid(1000) * 1_000_000) as i32 })
}

/// The part of a resource name after `prefix`, and before the next slash.
pub(super) fn segment<'a>(name: &'a str, collection: &str) -> Result<&'a str, Status> {
    let mut parts = name.split('/');
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        if key == collection && !value.is_empty() {
            return Ok(value);
        }
    }
    let shape = match collection {
        "projects" => "projects/{project}",
        "characters" => "projects/{project}/characters/{character}",
        _ => "projects/{project}/jobs/{job}",
    };
    Err(invalid("read name", name, format!("a name of the form {shape} is expected"), "write the whole name"))
}

pub(super) fn digest(text: &str) -> Result<domain::Digest, Status> {
    text.parse().map_err(|e| invalid("read digest", text, e, "send the SHA-256 as 64 hexadecimal digits"))
}

/// A template with what it is filled in with.
pub(super) fn command_source(given: &v1::PushTemplateRequest) -> Result<domain::CommandSource, Status> {
    let mut parameters = std::collections::BTreeMap::new();
    for file in &given.parameter_files {
        parameters.extend(greenroom_openjd::parameters(&file.name, &file.text).map_err(|problem| status(&problem))?);
    }
    if !given.parameters_json.is_empty() {
        let over: std::collections::BTreeMap<_, _> = serde_json::from_str(&given.parameters_json)
            .map_err(|e| invalid("read parameters", &given.file_name, e, "send a JSON object, name → value"))?;
        parameters.extend(over);
    }
    let named = |p: &v1::NamedArtifact| Ok((p.name.clone(), digest(&p.digest)?));
    Ok(domain::CommandSource {
        file: given.file_name.clone(),
        template: digest(&given.template_digest)?,
        environments: given.environments.iter().map(named).collect::<Result<_, Status>>()?,
        parameters,
        template_folder: given.template_folder.clone(),
        working_folder: given.working_folder.clone(),
        again: Some(given.again.clone()).filter(|again| !again.is_empty()),
    })
}

pub(super) fn project(project: &domain::Project) -> v1::Project {
    let s = &project.settings;
    v1::Project {
        name: format!("projects/{}", project.name),
        settings: Some(v1::Settings {
            width: Some(s.size.0),
            height: Some(s.size.1),
            fps: Some(s.fps.to_string()),
            gate: Some(s.gate),
            retries: Some(s.retries),
            keyframes_per_second: Some(s.keyframes_per_second),
            crossfade_frames: Some(s.crossfade.0 as u32),
            lora_images: Some(s.lora_images),
            seed: Some(s.seed.0),
            anchors: s.anchors.iter().map(|(name, weight)| (name.clone(), *weight)).collect(),
        }),
        create_time: time(project.created),
    }
}

/// Settings laid over the farm's defaults, checked.
pub(super) fn settings(given: &v1::Settings) -> Result<domain::Settings, Status> {
    let default = domain::Settings::default();
    let bad = |field: &str, cause: &str| Err(invalid("read settings", field, cause, "change the setting"));
    let size = (given.width.unwrap_or(default.size.0), given.height.unwrap_or(default.size.1));
    let usable = |side: u32| side.is_multiple_of(2) && (64..=4096).contains(&side);
    if !usable(size.0) || !usable(size.1) {
        return bad("size", "width and height must be even and between 64 and 4096 pixels");
    }
    let fps = match &given.fps {
        Some(text) => text.parse().map_err(|e| invalid("read settings", "fps", e, "change the setting"))?,
        None => default.fps,
    };
    let gate = given.gate.unwrap_or(default.gate);
    if !(0.0..=1.0).contains(&gate) {
        return bad("gate", "an IDR is between 0 and 1");
    }
    let retries = given.retries.unwrap_or(default.retries);
    if retries > 3 {
        return bad("retries", "one take and at most three rounds after it");
    }
    let keyframes_per_second = given.keyframes_per_second.unwrap_or(default.keyframes_per_second);
    if !(2..=24).contains(&keyframes_per_second) {
        return bad("keyframes_per_second", "2 to 24 keyframes per second");
    }
    let crossfade = given.crossfade_frames.map_or(default.crossfade, |n| domain::Frames(n.into()));
    if fps.seconds(crossfade) > 10.0 {
        return bad("crossfade", "a cross-fade lasts at most ten seconds");
    }
    let seed = given.seed.map_or(default.seed, domain::Seed);
    let lora_images = given.lora_images.unwrap_or(default.lora_images);
    if given.anchors.values().any(|weight| !weight.is_finite() || *weight < 0.0) {
        return bad("anchors", "a weight is a number of 0 or more");
    }
    let anchors = given.anchors.iter().map(|(name, weight)| (name.clone(), *weight)).collect();
    Ok(domain::Settings { size, fps, gate, retries, keyframes_per_second, crossfade, lora_images, seed, anchors })
}

pub(super) fn character(
    project: &str,
    c: &domain::Character,
    job: Option<String>,
    pack: &domain::Pack,
) -> v1::Character {
    use domain::CharacterState as S;
    use v1::character::State;
    let (state, fault, profile, thumbnail) = match &c.state {
        S::Profiling { .. } => (State::Profiling, None, None, None),
        S::Ready { profile, thumbnail } => (State::Ready, None, Some(profile), Some(thumbnail)),
        S::Refused { problem } => (State::Refused, Some(problem), None, None),
    };
    v1::Character {
        name: format!("projects/{project}/characters/{}", c.name),
        uid: c.id.to_string(),
        revision: c.revision,
        description: c.description.clone(),
        references: c.references.iter().map(reference).collect(),
        state: state.into(),
        problem: fault.map(problem),
        profile_digest: profile.map(ToString::to_string).unwrap_or_default(),
        thumbnail_digest: thumbnail.map(ToString::to_string).unwrap_or_default(),
        job: job.unwrap_or_default(),
        create_time: time(c.created),
        calibration: own_calibration(c).map(calibration),
        uncalibrated: uncalibrated(c, pack).unwrap_or_default(),
        consent: c.consent.as_ref().map(given_consent),
    }
}

fn own_calibration(c: &domain::Character) -> Option<&domain::CalibrationRevision> {
    c.calibration().filter(|last| last.summary.uncalibrated.is_none())
}

fn calibration(c: &domain::CalibrationRevision) -> v1::Calibration {
    let anchor = |&(cosine, idr): &(f32, f32)| v1::calibration::Anchor { cosine, idr };
    v1::Calibration {
        number: c.number,
        digest: c.calibration.to_string(),
        pack: c.summary.pack.clone(),
        anchors: c.summary.anchors.iter().map(anchor).collect(),
        genuine: c.summary.genuine,
        impostors: c.summary.impostors,
        others: c.summary.others,
        create_time: time(c.created),
    }
}

/// Why a character that could be cast has no curve of its own.
fn uncalibrated(c: &domain::Character, pack: &domain::Pack) -> Option<String> {
    let domain::CharacterState::Ready { .. } = c.state else { return None };
    let (found, needed) = (c.references.len(), domain::FEWEST_REFERENCES);
    match c.calibration() {
        Some(last) => last.summary.uncalibrated.clone(),
        None if found < needed => {
            Some(format!("{found} reference{}, five are needed", if found == 1 { "" } else { "s" }))
        }
        None if pack.files(domain::ModelRole::Impostors).next().is_none() => {
            Some("the pack has no faces of strangers to compare with".into())
        }
        None => Some("it was not compared with strangers yet".into()),
    }
}

fn given_consent(c: &domain::Consent) -> v1::Consent {
    let document = c.document.as_ref();
    v1::Consent {
        subject: c.subject.clone(),
        document_name: document.map(|d| d.name.clone()).unwrap_or_default(),
        document_digest: document.map(|d| d.digest.to_string()).unwrap_or_default(),
        reference: c.reference.clone().unwrap_or_default(),
        licence: c.licence.clone(),
        expire_time: c.expires.and_then(time),
    }
}

/// A consent as it is given; whether it says enough is the domain's to judge.
pub(super) fn consent(c: v1::Consent) -> Result<domain::Consent, Status> {
    let document = if c.document_digest.is_empty() {
        None
    } else {
        Some(domain::ConsentDocument { name: c.document_name, digest: digest(&c.document_digest)? })
    };
    let moment = |t: Timestamp| domain::Timestamp::from_millis(t.seconds * 1000 + i64::from(t.nanos) / 1_000_000);
    let reference = Some(c.reference).filter(|r| !r.is_empty());
    let (subject, licence, expires) = (c.subject, c.licence, c.expire_time.map(moment));
    Ok(domain::Consent { subject, document, reference, licence, expires })
}

fn reference(r: &domain::Reference) -> v1::Reference {
    v1::Reference {
        file_name: r.name.clone(),
        digest: r.digest.to_string(),
        quality: r.quality.as_ref().map(|q| v1::ReferenceQuality {
            detection: q.detection,
            face_size: q.face_size,
            yaw: q.yaw,
            sharpness: q.sharpness,
            weight: q.weight,
            agreement: q.agreement,
        }),
    }
}

pub(super) fn problem(p: &domain::Problem) -> v1::Problem {
    let kind = match p.kind {
        domain::ProblemKind::Invalid => "invalid",
        domain::ProblemKind::NotFound => "not_found",
        domain::ProblemKind::Gone => "gone",
        domain::ProblemKind::Conflict => "conflict",
        domain::ProblemKind::Denied => "denied",
        domain::ProblemKind::Unavailable => "unavailable",
        domain::ProblemKind::OutOfMemory => "out_of_memory",
        domain::ProblemKind::Internal => "internal",
    };
    v1::Problem {
        kind: kind.into(),
        step: p.step.clone(),
        subject: p.subject.clone(),
        cause: p.cause.clone(),
        remedy: p.remedy.clone(),
    }
}

/// `tasks` is what is known of them; `whole` sends them along, else only their counts.
pub(super) fn job(project: &str, j: &domain::Job, tasks: &[domain::Task], whole: bool) -> v1::Job {
    use domain::JobState as S;
    use v1::job::State;
    let (state, end) = match &j.state {
        S::Active => (State::Active, None),
        S::Done { at } => (State::Done, Some(*at)),
        S::Draft { at, .. } => (State::Draft, Some(*at)),
        S::Failed { at, .. } => (State::Failed, Some(*at)),
        S::Cancelled { at } => (State::Cancelled, Some(*at)),
    };
    let mut task_counts = std::collections::HashMap::new();
    for task in tasks {
        *task_counts.entry(task.state.name().to_owned()).or_default() += 1;
    }
    v1::Job {
        name: format!("projects/{project}/jobs/{}", j.id),
        title: j.title.clone(),
        state: state.into(),
        problem: if let S::Failed { problem: p, .. } = &j.state { Some(problem(p)) } else { None },
        draft_shots: if let S::Draft { shots, .. } = &j.state {
            shots.iter().map(ToString::to_string).collect()
        } else {
            vec![]
        },
        create_time: time(j.created),
        end_time: end.and_then(time),
        tasks: if whole { tasks.iter().map(task).collect() } else { vec![] },
        task_counts,
        user: j.user.clone(),
        priority: j.priority.get(),
        paused: j.paused.is_some(),
    }
}

pub(super) fn task(t: &domain::Task) -> v1::Task {
    let (step, label) = match &t.spec {
        Some(domain::Spec::Command(spec)) => (spec.step.clone(), spec.label.clone()),
        _ => Default::default(),
    };
    v1::Task {
        uid: t.id.to_string(),
        kind: t.kind.to_string(),
        shot: t.shot.map(|s| s.to_string()).unwrap_or_default(),
        take: t.take.unwrap_or_default(),
        state: t.state.name().into(),
        note: ledger::note(t).unwrap_or_default(),
        attempts: t.epoch.0,
        step,
        label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(segment("projects/lab/jobs/job_1", "jobs").unwrap(), "job_1");
        assert_eq!(segment("projects/lab/jobs/job_1", "projects").unwrap(), "lab");
        assert!(segment("lab", "projects").unwrap_err().message().contains("projects/{project}"));
    }

    #[test]
    fn odd_sizes_and_impossible_gates_are_refused() {
        assert!(settings(&v1::Settings { width: Some(641), ..Default::default() }).is_err());
        assert!(settings(&v1::Settings { gate: Some(1.5), ..Default::default() }).is_err());
        assert!(settings(&v1::Settings { gate: Some(f32::NAN), ..Default::default() }).is_err());
        assert!(settings(&v1::Settings { anchors: [("scar".into(), -1.0)].into(), ..Default::default() }).is_err());
        assert_eq!(settings(&v1::Settings::default()).unwrap(), domain::Settings::default());
    }
}
