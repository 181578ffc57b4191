//! Wire values that several tests begin with.

use greenroom_proto::v1::{self, event::Body, job::State, watch_job_response::Update};

/// A task of a job.
pub(crate) fn task(uid: &str, kind: &str, shot: &str, take: u32, state: &str, note: &str) -> v1::Task {
    v1::Task {
        uid: uid.into(),
        kind: kind.into(),
        shot: shot.into(),
        take,
        state: state.into(),
        note: note.into(),
        attempts: u64::from(state != "waiting" && state != "ready"),
        ..v1::Task::default()
    }
}

/// A task event, so many seconds after the beginning.
pub(crate) fn task_event(second: i64, task: v1::Task) -> Update {
    event(second, Body::Task(task))
}

/// A job event, so many seconds after the beginning.
pub(crate) fn job_event(second: i64, title: &str, state: State, drafts: &[&str]) -> Update {
    let draft_shots = drafts.iter().map(|&shot| shot.into()).collect();
    event(second, Body::Job(v1::Job { title: title.into(), state: state.into(), draft_shots, ..v1::Job::default() }))
}

/// How far a task is.
pub(crate) fn progress(task: &str, fraction: f32, message: &str) -> Update {
    Update::Progress(v1::TaskProgress { task: task.into(), fraction, message: message.into(), picture: vec![] })
}

fn event(second: i64, body: Body) -> Update {
    let time = Some((std::time::UNIX_EPOCH + std::time::Duration::from_secs(second.unsigned_abs())).into());
    Update::Event(v1::Event { sequence: second.unsigned_abs() + 1, time, body: Some(body) })
}
