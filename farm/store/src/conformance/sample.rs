//! Small values to write, made from a number; equal numbers make equal values.

use greenroom_domain::{
    CalibrationRevision, CalibrationSummary, Character, CharacterId, CharacterState, Deed, Digest, Event, EventBody,
    EventSeq, Holder, Job, JobId, LeaseEpoch, LoraDefaults, LoraMade, LoraProof, LoraState, LoraVersion, Problem,
    Project, ProjectId, Reference, Role, Settings, Spec, Task, TaskId, TaskKind, TaskOutput, TaskState, Timestamp,
    Token, TokenId, User, UserId, WorkerId,
};
use std::collections::{BTreeMap, BTreeSet};

/// A moment that many milliseconds into the story.
#[must_use]
pub const fn at(ms: u32) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000 + ms as i64)
}

/// Ten bytes that differ for every number.
#[must_use]
pub fn entropy(n: u32) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[6..].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// A project named `project-n`.
#[must_use]
pub fn project(n: u32) -> Project {
    let id = ProjectId::new(at(0), entropy(n));
    Project { id, name: format!("project-{n}"), settings: Settings::default(), created: at(n) }
}

/// A calibration of that number of a character's first revision.
#[must_use]
pub fn calibration(number: u32) -> CalibrationRevision {
    let (spec, calibration) = (Digest::of(b"spec"), Digest::of(&number.to_be_bytes()));
    let summary = CalibrationSummary {
        pack: "test 1".into(),
        embedder: Digest::of(b"embedder"),
        anchors: vec![(0.0, 0.0), (1.0, 1.0)],
        genuine: 5,
        impostors: 1000,
        others: 0,
        uncalibrated: None,
    };
    CalibrationRevision { number, revision: 1, spec, calibration, summary, created: at(number) }
}

/// A LoRA of that number in that state.
#[must_use]
pub fn lora(number: u32, state: LoraState) -> LoraVersion {
    let proof = LoraProof {
        against: None,
        pictures: 32,
        before: 0.4,
        after: 0.6,
        gain_lower: 0.15,
        accepted: (12, 20),
        text_alone: Some(0.3),
        adherence: None,
        diversity: (0.3, 0.3),
        copies: 0,
    };
    LoraVersion {
        made: LoraMade::Trained,
        number,
        revision: 1,
        pack: Digest::of(b"pack"),
        job: JobId::new(at(0), entropy(number)),
        lora: Digest::of(&number.to_be_bytes()),
        dataset: Digest::of(b"dataset"),
        recipe: LoraDefaults::default().low,
        proof,
        sheet: Digest::of(b"sheet"),
        state,
        created: at(number),
    }
}

/// The first revision of a character of that name, being profiled.
#[must_use]
pub fn character(project: &Project, n: u32, name: &str) -> Character {
    Character {
        id: CharacterId::new(at(0), entropy(n)),
        project: project.id,
        name: name.to_owned(),
        revision: 1,
        references: vec![Reference { name: "front.png".into(), digest: Digest::of(name.as_bytes()), quality: None }],
        description: format!("{name}, with a scar"),
        loras: vec![],
        consent: None,
        state: CharacterState::Profiling { task: TaskId::new(at(0), entropy(n)) },
        calibrations: vec![],
        created: at(n),
    }
}

/// An active job whose request is its number.
#[must_use]
pub fn job(project: &Project, n: u32) -> Job {
    let id = JobId::new(at(0), entropy(n));
    Job::new(id, project.id, format!("Script {n}"), Digest::of(&n.to_be_bytes()), at(n))
}

/// A spec that equals only the spec of the same number.
#[must_use]
pub fn spec(n: u32) -> Spec {
    Spec::Breakdown { script: Digest::of(&n.to_be_bytes()) }
}

/// What a task with that spec gives.
#[must_use]
pub fn output(n: u32) -> TaskOutput {
    TaskOutput::Breakdown { breakdown: Digest::of(format!("breakdown {n}").as_bytes()) }
}

/// A task that is ready to run, with the spec of its number.
#[must_use]
pub fn task(job: &Job, n: u32) -> Task {
    Task {
        id: TaskId::new(at(0), entropy(n)),
        job: job.id,
        shot: None,
        take: None,
        kind: TaskKind::Breakdown,
        spec: Some(spec(n)),
        state: TaskState::Ready { since: at(n) },
        epoch: LeaseEpoch(0),
        failures: 0,
        created: at(n),
    }
}

/// A task that waits for others, without a spec yet.
#[must_use]
pub fn waiting(job: &Job, n: u32, on: &[&Task]) -> Task {
    let on: BTreeSet<_> = on.iter().map(|t| t.id).collect();
    Task { spec: None, state: TaskState::Waiting { on }, ..task(job, n) }
}

/// A worker.
#[must_use]
pub fn worker(n: u32) -> WorkerId {
    WorkerId::new(at(0), entropy(n))
}

/// Something that went wrong.
#[must_use]
pub fn problem() -> Problem {
    Problem::invalid("read script", "lab.fountain", "no scene", "add a scene heading")
}

/// An event of a project or of one of its jobs.
#[must_use]
pub fn event(project: &Project, job: Option<&Job>, ms: u32) -> Event {
    let body = EventBody::ProjectCreated { name: project.name.clone() };
    Event { seq: EventSeq(0), at: at(ms), project: project.id, job: job.map(|j| j.id), body }
}

/// An artist of a project, named `user-n`.
#[must_use]
pub fn user(project: &Project, n: u32) -> User {
    let members = BTreeMap::from([(project.id, Role::Artist)]);
    let id = UserId::new(at(0), entropy(n));
    User { id, name: format!("user-{n}"), admin: false, members, created: at(n), removed: None }
}

/// A token whose secret is its number.
#[must_use]
pub fn token(user: &User, n: u32) -> Token {
    Token {
        id: TokenId::new(at(0), entropy(n)),
        name: format!("token-{n}"),
        holder: Holder::User { user: user.id },
        hash: Token::hash_of(&n.to_string()),
        earlier: None,
        created: at(n),
        expires: Some(at(1000)),
        revoked: None,
        used: None,
    }
}

/// What a user did at that moment.
#[must_use]
pub fn deed(user: &str, n: u32) -> Deed {
    Deed {
        at: at(n),
        user: user.to_owned(),
        token: String::new(),
        method: "greenroom.v1.JobService/CancelJob".into(),
        resource: format!("projects/project-1/jobs/{n}"),
        outcome: "ok".into(),
        request: Digest::of(&n.to_be_bytes()),
    }
}
