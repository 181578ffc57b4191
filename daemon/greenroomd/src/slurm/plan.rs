//! How many jobs Slurm should have, from what it has and what the farm has to do. Nothing in here waits or writes.

use greenroom_domain::{Timestamp, TokenId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One of our jobs in Slurm's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SlurmJob {
    /// Slurm's number. It is used again after a loss, so nothing is known by it.
    pub number: String,
    /// Our name for it, which is its intent's.
    pub ask: TokenId,
    /// Where it stands.
    pub stage: Stage,
}

/// Where a job stands, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for nodes.
    Waits,
    /// It was requeued, and Slurm keeps it back for minutes.
    Delayed,
    /// It has them.
    Runs,
    /// It has ended, or is about to.
    Over {
        /// With an error of what it ran.
        badly: bool,
    },
}

/// What the farm has to do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Demand {
    /// Tasks that could start.
    pub wanting: usize,
    /// Tasks that run.
    pub running: usize,
    /// The fewest and the most workers that Slurm may have.
    pub bounds: (usize, usize),
    /// What was asked of Slurm and is not in its queue after this long is lost: it forgets jobs that it acknowledged when its
    /// controller dies within a moment.
    pub lost_after: Duration,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Record another intent and submit its job.
    Submit,
    /// Cancel a job that nobody wants.
    Cancel(String),
    /// An intent's job is over or lost: what it was to show holds no more.
    Forget(TokenId),
}

impl SlurmJob {
    const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over { .. })
    }
}

/// Decides. `asks` are the intents that are open, and since when; of these, `attached` have a worker that is here.
pub(super) fn plan(
    asks: &BTreeMap<TokenId, Timestamp>,
    jobs: &[SlurmJob],
    attached: &BTreeSet<TokenId>,
    demand: Demand,
    now: Timestamp,
) -> Vec<Step> {
    let (mut steps, mut alive, mut waiting) = (Vec::new(), 0, Vec::new());
    for (&ask, &since) in asks {
        let mut own = jobs.iter().filter(|job| job.ask == ask && !job.is_over());
        match own.next() {
            // Another one begins sooner.
            Some(job) if job.stage == Stage::Delayed => steps.push(Step::Cancel(job.number.clone())),
            Some(job) => {
                alive += 1;
                if job.stage == Stage::Waits {
                    waiting.push(job);
                }
                // One intent is one job.
                steps.extend(own.map(|twin| Step::Cancel(twin.number.clone())));
            }
            // Slurm has lost a job that runs on.
            None if attached.contains(&ask) => alive += 1,
            None if jobs.iter().any(|job| job.ask == ask) || now.since(since) >= demand.lost_after => {
                steps.push(Step::Forget(ask));
            }
            // It was submitted a moment ago, or nobody knows whether it was.
            None => alive += 1,
        }
    }
    // An intent that was forgotten has come back with its controller's last state.
    let stray = jobs.iter().filter(|job| !job.is_over() && !asks.contains_key(&job.ask));
    steps.extend(stray.map(|job| Step::Cancel(job.number.clone())));
    let (least, most) = demand.bounds;
    let wanted = (demand.wanting + demand.running).clamp(least, most.max(least));
    steps.extend((alive..wanted).map(|_| Step::Submit));
    let surplus = alive.saturating_sub(wanted).min(waiting.len());
    steps.extend(waiting.iter().rev().take(surplus).map(|job| Step::Cancel(job.number.clone())));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVER: Stage = Stage::Over { badly: false };
    const NOW: Timestamp = Timestamp::from_millis(100_000);

    fn plan(asks: &BTreeMap<TokenId, Timestamp>, jobs: &[SlurmJob], demand: Demand, now: Timestamp) -> Vec<Step> {
        super::plan(asks, jobs, &BTreeSet::new(), demand, now)
    }

    fn ask(n: u8) -> TokenId {
        TokenId::new(NOW, [n; 10])
    }

    fn asked(asks: &[u8], seconds_ago: u64) -> BTreeMap<TokenId, Timestamp> {
        let since = Timestamp::from_millis(NOW.as_millis() - seconds_ago as i64 * 1000);
        asks.iter().map(|&n| (ask(n), since)).collect()
    }

    fn job(n: u8, stage: Stage) -> SlurmJob {
        SlurmJob { number: n.to_string(), ask: ask(n), stage }
    }

    fn work(wanting: usize, running: usize) -> Demand {
        Demand { wanting, running, bounds: (0, 3), lost_after: Duration::from_secs(10) }
    }

    fn cancel(n: u8) -> Step {
        Step::Cancel(n.to_string())
    }

    #[test]
    fn there_are_as_many_jobs_as_there_is_work_for_and_no_more_than_allowed() {
        assert_eq!(plan(&asked(&[], 0), &[], work(0, 0), NOW), []);
        assert_eq!(plan(&asked(&[], 0), &[], work(2, 0), NOW), [Step::Submit, Step::Submit]);
        assert_eq!(plan(&asked(&[1], 60), &[job(1, Stage::Runs)], work(9, 1), NOW), [Step::Submit, Step::Submit]);
        let kept = Demand { bounds: (2, 3), ..work(0, 0) };
        assert_eq!(plan(&asked(&[1], 60), &[job(1, Stage::Runs)], kept, NOW), [Step::Submit]);
    }

    #[test]
    fn a_job_that_was_asked_for_a_moment_ago_is_not_asked_for_again_and_a_lost_one_is() {
        assert_eq!(plan(&asked(&[1], 9), &[], work(1, 0), NOW), []);
        assert_eq!(plan(&asked(&[1], 10), &[], work(1, 0), NOW), [Step::Forget(ask(1)), Step::Submit]);
        let over = [job(1, OVER)];
        assert_eq!(plan(&asked(&[1], 1), &over, work(1, 0), NOW), [Step::Forget(ask(1)), Step::Submit]);
    }

    #[test]
    fn a_worker_that_is_here_counts_though_slurm_has_lost_its_job() {
        let here = BTreeSet::from([ask(1)]);
        assert_eq!(super::plan(&asked(&[1], 60), &[], &here, work(0, 1), NOW), []);
        assert_eq!(super::plan(&asked(&[1, 2], 60), &[], &here, work(0, 1), NOW), [Step::Forget(ask(2))]);
    }

    #[test]
    fn what_waits_in_vain_is_cancelled_and_what_runs_goes_by_itself() {
        let jobs = [job(1, Stage::Runs), job(2, Stage::Waits), job(3, Stage::Waits)];
        assert_eq!(plan(&asked(&[1, 2, 3], 60), &jobs, work(0, 1), NOW), [cancel(3), cancel(2)]);
        assert_eq!(plan(&asked(&[1], 60), &jobs[..1], work(0, 0), NOW), []);
    }

    #[test]
    fn a_job_that_was_requeued_is_not_waited_for() {
        let jobs = [job(1, Stage::Delayed)];
        assert_eq!(plan(&asked(&[1], 60), &jobs, work(1, 0), NOW), [cancel(1), Step::Submit]);
    }

    #[test]
    fn a_job_without_an_intent_is_cancelled_and_so_is_a_twin() {
        assert_eq!(plan(&asked(&[], 0), &[job(1, Stage::Runs), job(2, OVER)], work(0, 0), NOW), [cancel(1)]);
        let twin = SlurmJob { number: "7".into(), ..job(1, Stage::Waits) };
        assert_eq!(plan(&asked(&[1], 60), &[job(1, Stage::Runs), twin], work(1, 0), NOW), [cancel(7)]);
    }
}
