use super::{Factory, refused, sample};
use crate::{Batch, Store, StoreError, Unique};
use greenroom_domain::{Job, JobState, Project};
use std::sync::Arc;

/// Jobs: equal requests are one job, and what ended stays as it is.
pub async fn jobs(make: impl Factory) {
    the_newest_jobs_come_first(&make).await;
    an_equal_request_is_refused_while_a_job_answers_it(&make).await;
    a_cancelled_or_failed_job_answers_nothing(&make).await;
    a_job_that_ended_stays_as_it_is(&make).await;
}

async fn with_job(make: &impl Factory) -> (Arc<dyn Store>, Project, Job) {
    let store = make().await;
    let project = sample::project(1);
    let job = sample::job(&project, 1);
    store.commit(Batch::new().insert_project(project.clone()).insert_job(job.clone())).await.unwrap();
    (store, project, job)
}

async fn the_newest_jobs_come_first(make: &impl Factory) {
    let (store, project, first) = with_job(make).await;
    let elsewhere = sample::project(2);
    let (second, third) = (sample::job(&elsewhere, 2), sample::job(&project, 3));
    let batch = Batch::new().insert_project(elsewhere).insert_job(second.clone()).insert_job(third.clone());
    store.commit(batch).await.unwrap();
    assert_eq!(store.job(second.id).await.unwrap(), Some(second.clone()));
    assert_eq!(store.jobs(None, 2).await.unwrap(), [third.clone(), second]);
    assert_eq!(store.jobs(Some(project.id), 10).await.unwrap(), [third, first]);
    assert_eq!(store.jobs(None, 0).await.unwrap(), []);
    assert_eq!(store.job(sample::job(&project, 9).id).await.unwrap(), None);
}

async fn an_equal_request_is_refused_while_a_job_answers_it(make: &impl Factory) {
    let (store, project, first) = with_job(make).await;
    let again = Job { request: first.request, ..sample::job(&project, 2) };
    let batch = Batch::new().insert_job(again.clone());
    refused!(store, batch.clone(), StoreError::Exists(Unique::Request { job }) if job == first.id);
    let done = Job { state: JobState::Done { at: sample::at(9) }, ..first.clone() };
    store.commit(Batch::new().update_job(done.clone())).await.unwrap();
    refused!(store, batch, StoreError::Exists(Unique::Request { .. }));
    assert_eq!(store.job_by_request(project.id, first.request).await.unwrap(), Some(done));
    refused!(store, Batch::new().insert_job(first), StoreError::Exists(Unique::Id(_)));
    let elsewhere = sample::project(2);
    let same_there = Job { project: elsewhere.id, ..again };
    store.commit(Batch::new().insert_project(elsewhere).insert_job(same_there)).await.unwrap();
}

async fn a_cancelled_or_failed_job_answers_nothing(make: &impl Factory) {
    let (store, project, first) = with_job(make).await;
    let cancelled = Job { state: JobState::Cancelled { at: sample::at(5) }, ..first.clone() };
    store.commit(Batch::new().update_job(cancelled)).await.unwrap();
    assert_eq!(store.job_by_request(project.id, first.request).await.unwrap(), None);
    let second = Job { request: first.request, ..sample::job(&project, 2) };
    store.commit(Batch::new().insert_job(second.clone())).await.unwrap();
    let failed = JobState::Failed { at: sample::at(6), problem: sample::problem() };
    store.commit(Batch::new().update_job(Job { state: failed, ..second })).await.unwrap();
    let third = Job { request: first.request, ..sample::job(&project, 3) };
    store.commit(Batch::new().insert_job(third.clone())).await.unwrap();
    assert_eq!(store.job_by_request(project.id, first.request).await.unwrap(), Some(third));
    store.integrity_check().await.unwrap();
}

async fn a_job_that_ended_stays_as_it_is(make: &impl Factory) {
    let (store, project, job) = with_job(make).await;
    let cancelled = Job { state: JobState::Cancelled { at: sample::at(5) }, ..job.clone() };
    store.commit(Batch::new().update_job(cancelled.clone())).await.unwrap();
    let done = Job { state: JobState::Done { at: sample::at(6) }, ..job.clone() };
    refused!(store, Batch::new().update_job(done), StoreError::Final { noun: "job", .. });
    let late = Batch::new().insert_task(sample::task(&job, 1));
    refused!(store, late, StoreError::Final { noun: "job", .. });
    assert_eq!(store.job(job.id).await.unwrap(), Some(cancelled));
    let unknown = Batch::new().update_job(sample::job(&project, 9));
    refused!(store, unknown, StoreError::Missing { noun: "job", .. });
}
