//! Following a job: every event once and in order, over lost connections.

use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1::{self, GetJobRequest, WatchJobRequest, job::State, watch_job_response::Update};
use std::time::Duration;
use tonic::Status;

use crate::connection::{Farm, is_lost_connection};

/// What a follower hears.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// From the daemon.
    Update(&'a Update),
    /// The connection is lost; it is tried again after `wait`.
    Lost {
        /// Until then.
        wait: Duration,
    },
}

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Lost this often in a row (about two minutes) is lost.
const MOST_TRIES: u32 = 18;

/// Follows a job to its end and answers with it, tasks included. `on` hears everything on the way.
pub(crate) async fn follow(farm: &Farm, name: &str, on: &mut dyn FnMut(Heard<'_>)) -> Result<v1::Job, Problem> {
    let (mut after, mut tries) = (0, 0);
    loop {
        let before = after;
        match listen(farm, name, &mut after, on).await {
            Ok(true) => return get(farm, name).await,
            // It may have ended while nobody listened: then there is no further event to come.
            Ok(false)
                if let Ok(job) = get(farm, name).await
                    && has_ended(&job) =>
            {
                return Ok(job);
            }
            Err(status) if !is_lost_connection(&status) => return Err(farm.problem(status).await),
            // Cut off: where nothing was heard since the last time, this is one more try in vain.
            Ok(false) | Err(_) if tries < MOST_TRIES => {
                tries = if after > before { 1 } else { tries + 1 };
                let wait = backoff(tries);
                on(Heard::Lost { wait });
                tokio::time::sleep(wait).await;
            }
            Err(status) => return Err(farm.problem(status).await),
            Ok(false) => return Err(cut_off(farm)),
        }
    }
}

/// One job with its tasks.
pub(crate) async fn get(farm: &Farm, name: &str) -> Result<v1::Job, Problem> {
    match farm.jobs().get_job(GetJobRequest { name: name.to_owned() }).await {
        Ok(job) => Ok(job.into_inner()),
        Err(status) => Err(farm.problem(status).await),
    }
}

/// One connection's worth: true once the job has ended, false where the stream ended before it.
async fn listen(farm: &Farm, name: &str, after: &mut u64, on: &mut dyn FnMut(Heard<'_>)) -> Result<bool, Status> {
    let request = WatchJobRequest { name: name.to_owned(), after_sequence: *after };
    let mut stream = farm.jobs().watch_job(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        let Some(update) = message.update else { continue };
        if let Update::Event(event) = &update {
            if event.sequence <= *after {
                continue;
            }
            *after = event.sequence;
        }
        on(Heard::Update(&update));
        if ends(&update) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ends(update: &Update) -> bool {
    match update {
        Update::Event(v1::Event { body: Some(v1::event::Body::Job(job)), .. }) => has_ended(job),
        _ => false,
    }
}

fn has_ended(job: &v1::Job) -> bool {
    !matches!(job.state(), State::Active | State::Unspecified)
}

/// A quarter of a second, then twice as long each time, up to eight seconds.
fn backoff(tries: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_WAIT)
}

fn cut_off(farm: &Farm) -> Problem {
    let cause = "the daemon ends the connection again and again";
    Problem::new(ProblemKind::Unavailable, "watch job", farm.address(), cause, "look at the daemon's log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_eight_seconds_and_give_up_after_about_two_minutes() {
        let waits = (1..=MOST_TRIES).map(backoff).collect::<Vec<_>>();
        assert_eq!(waits[..3], [250, 500, 1000].map(Duration::from_millis));
        assert_eq!(waits.last(), Some(&LONGEST_WAIT));
        assert!((90..150).contains(&waits.iter().sum::<Duration>().as_secs()));
    }

    #[test]
    fn only_a_job_that_is_no_longer_active_ends_the_watch() {
        let event = |state: State| {
            let job = v1::Job { state: state.into(), ..v1::Job::default() };
            Update::Event(v1::Event { body: Some(v1::event::Body::Job(job)), ..v1::Event::default() })
        };
        assert!(!ends(&event(State::Active)));
        assert!(ends(&event(State::Draft)) && ends(&event(State::Cancelled)));
        assert!(!ends(&Update::Progress(v1::TaskProgress::default())));
    }
}
