//! Whether the event log and the rows tell the same story.

use greenroom_domain::{Event, EventBody, EventSeq, JobId, TaskId};
use std::collections::BTreeMap;

use crate::{EventScope, Result, Store};

/// Everything in which they do not: tasks that ended more than once or otherwise than was told, leases that were not told, jobs
/// that ended twice, and open tasks of jobs that are over. Reads the whole ledger: for tests, and after something went wrong.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn history_faults(store: &dyn Store) -> Result<Vec<String>> {
    let events = store.events(EventSeq(0), EventScope::All, usize::MAX >> 1).await?;
    let mut told = Told::default();
    events.iter().enumerate().for_each(|(at, event)| told.note(at, event));
    let mut faults = told.faults;
    for (job, ends) in told.ends.iter().filter(|(_, ends)| **ends != 1) {
        faults.push(format!("{job} ended {ends} times"));
    }
    for job in store.jobs(None, usize::MAX >> 1).await? {
        if job.state.is_final() != told.ends.contains_key(&job.id) {
            faults.push(format!("{} is {}, and its events say otherwise", job.id, job.state.name()));
        }
        for task in store.tasks(job.id).await? {
            let states = told.states.get(&task.id).map_or(&[][..], Vec::as_slice);
            let (id, state) = (task.id, task.state.name());
            if states.last().map(String::as_str) != Some(state) {
                faults.push(format!("{id} is {state}, and its events are {states:?}"));
            }
            let ends = states.iter().filter(|state| matches!(state.as_str(), "done" | "failed" | "cancelled")).count();
            if ends > 1 {
                faults.push(format!("{id} was published more than once: {states:?}"));
            }
            let leases = states.iter().filter(|state| *state == "leased").count() as u64;
            if leases != task.epoch.0 {
                faults.push(format!("{id} is at epoch {}, and {leases} leases were told", task.epoch.0));
            }
            if job.state.is_final() && !task.state.is_final() {
                faults.push(format!("{} is {}, and {id} of it is {state}", job.id, job.state.name()));
            }
        }
    }
    Ok(faults)
}

/// What the event log tells.
#[derive(Default)]
struct Told {
    /// Of each task its states, in their order.
    states: BTreeMap<TaskId, Vec<String>>,
    /// Of each job how often it ended.
    ends: BTreeMap<JobId, u32>,
    faults: Vec<String>,
}

impl Told {
    fn note(&mut self, at: usize, event: &Event) {
        if event.seq.0 != at as u64 + 1 {
            self.faults.push(format!("event {} stands at place {}", event.seq.0, at + 1));
        }
        match (&event.body, event.job) {
            (EventBody::TaskChanged { task, state, .. }, _) => {
                self.states.entry(*task).or_default().push(state.clone());
            }
            (EventBody::JobChanged { state }, Some(job)) if state.is_final() => *self.ends.entry(job).or_default() += 1,
            _ => {}
        }
    }
}
