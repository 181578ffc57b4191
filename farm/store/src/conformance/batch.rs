use super::{Factory, refused, sample};
use crate::{Batch, EventScope, Expected, StoreError};
use greenroom_domain::{EventSeq, Job, JobState};

/// Batches: all of it or nothing, and a later change sees an earlier one.
pub async fn batches(make: impl Factory) {
    a_refused_batch_leaves_nothing(&make).await;
    a_later_change_sees_an_earlier_one(&make).await;
    an_empty_batch_is_no_event(&make).await;
}

async fn a_refused_batch_leaves_nothing(make: &impl Factory) {
    let store = make().await;
    let project = sample::project(1);
    let (kept, task) = (sample::job(&project, 1), sample::task(&sample::job(&project, 1), 1));
    let first = Batch::new().insert_project(project.clone()).insert_job(kept.clone()).insert_task(task.clone());
    store.commit(first.event(sample::event(&project, None, 1))).await.unwrap();
    let leased = task.clone().lease(sample::worker(1), sample::at(5)).unwrap();
    let lost = Batch::new()
        .insert_project(sample::project(2))
        .insert_character(sample::character(&project, 1, "MARA"))
        .insert_job(sample::job(&project, 2))
        .update_task(leased.clone(), Expected::of(&task))
        .update_task(leased, Expected::of(&task))
        .event(sample::event(&project, None, 2));
    refused!(store, lost, StoreError::Stale { .. });
    assert_eq!(store.projects().await.unwrap(), std::slice::from_ref(&project));
    assert_eq!(store.characters(project.id).await.unwrap(), []);
    assert_eq!(store.jobs(None, 10).await.unwrap(), [kept]);
    assert_eq!(store.open_tasks().await.unwrap(), [task]);
    assert_eq!(store.events(EventSeq(0), EventScope::All, 10).await.unwrap().len(), 1);
    store.integrity_check().await.unwrap();
}

async fn a_later_change_sees_an_earlier_one(make: &impl Factory) {
    let store = make().await;
    let project = sample::project(1);
    let job = sample::job(&project, 1);
    let task = sample::task(&job, 1);
    let reused = task.clone().reuse(sample::output(1), sample::at(5)).unwrap();
    let done = Job { state: JobState::Done { at: sample::at(5) }, ..job.clone() };
    let batch = Batch::new()
        .insert_project(project)
        .insert_job(job)
        .insert_task(task.clone())
        .update_task(reused.clone(), Expected::of(&task))
        .update_job(done.clone());
    store.commit(batch).await.unwrap();
    assert_eq!(store.task(task.id).await.unwrap(), Some(reused));
    assert_eq!(store.job(done.id).await.unwrap(), Some(done));
}

async fn an_empty_batch_is_no_event(make: &impl Factory) {
    let store = make().await;
    assert_eq!(store.commit(Batch::new()).await.unwrap(), []);
    assert_eq!(store.last_seq().await.unwrap(), EventSeq(0));
}
