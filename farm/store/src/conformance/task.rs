use super::{Factory, refused, sample};
use crate::{Batch, Expected, Store, StoreError, Unique};
use greenroom_domain::{Job, JobState, Project, Task, TaskError, TaskState};
use std::sync::Arc;

/// Tasks: order, what is open, who lost a race, and outputs that can be used again.
pub async fn tasks(make: impl Factory) {
    tasks_keep_the_order_they_were_made_in(&make).await;
    only_unfinished_tasks_of_active_jobs_are_open(&make).await;
    of_two_who_lease_a_task_one_is_told(&make).await;
    of_two_who_strike_out_an_input_one_looks_again(&make).await;
    an_old_epoch_cannot_write(&make).await;
    a_task_that_ended_stays_as_it_is(&make).await;
    a_done_task_lends_its_output_by_spec(&make).await;
}

async fn with_job(make: &impl Factory) -> (Arc<dyn Store>, Project, Job) {
    let store = make().await;
    let project = sample::project(1);
    let job = sample::job(&project, 1);
    store.commit(Batch::new().insert_project(project.clone()).insert_job(job.clone())).await.unwrap();
    (store, project, job)
}

fn lease(task: &Task, worker: u32) -> Task {
    task.clone().lease(sample::worker(worker), sample::at(50)).unwrap()
}

fn finish(task: &Task, n: u32) -> Task {
    let leased = lease(task, 1);
    leased.clone().finish(leased.epoch, sample::output(n), sample::at(1_050)).unwrap()
}

async fn write(store: &Arc<dyn Store>, was: &Task, task: &Task) {
    store.commit(Batch::new().update_task(task.clone(), Expected::of(was))).await.unwrap();
}

async fn tasks_keep_the_order_they_were_made_in(make: &impl Factory) {
    let (store, _, job) = with_job(make).await;
    let tasks = [sample::task(&job, 3), sample::task(&job, 1), sample::task(&job, 2)];
    for task in &tasks {
        store.commit(Batch::new().insert_task(task.clone())).await.unwrap();
    }
    assert_eq!(store.tasks(job.id).await.unwrap(), tasks);
    assert_eq!(store.open_tasks().await.unwrap(), tasks);
    assert_eq!(store.task(tasks[1].id).await.unwrap(), Some(tasks[1].clone()));
    refused!(store, Batch::new().insert_task(tasks[0].clone()), StoreError::Exists(Unique::Id(_)));
    let orphan = sample::task(&Job { id: sample::job(&sample::project(1), 9).id, ..job }, 9);
    refused!(store, Batch::new().insert_task(orphan), StoreError::Missing { noun: "job", .. });
}

async fn only_unfinished_tasks_of_active_jobs_are_open(make: &impl Factory) {
    let (store, project, job) = with_job(make).await;
    let other = sample::job(&project, 2);
    let (ready, running, done) = (sample::task(&job, 1), sample::task(&job, 2), sample::task(&job, 3));
    let (waits, elsewhere) = (sample::waiting(&job, 4, &[&ready]), sample::task(&other, 5));
    let all = [&ready, &running, &done, &waits, &elsewhere];
    let batch = Batch::new().insert_job(other.clone());
    let batch = all.iter().fold(batch, |batch, task| batch.insert_task((*task).clone()));
    store.commit(batch).await.unwrap();
    let leased = lease(&running, 1);
    write(&store, &running, &leased).await;
    write(&store, &done, &finish(&done, 3)).await;
    let held = lease(&elsewhere, 2);
    write(&store, &elsewhere, &held).await;
    let stopped = Job { state: JobState::Cancelled { at: sample::at(60) }, ..other };
    store.commit(Batch::new().update_job(stopped)).await.unwrap();
    assert_eq!(store.open_tasks().await.unwrap(), [ready, leased.clone(), waits]);
    assert_eq!(store.leased_tasks().await.unwrap(), [leased, held]);
    store.integrity_check().await.unwrap();
}

async fn of_two_who_lease_a_task_one_is_told(make: &impl Factory) {
    let (store, _, job) = with_job(make).await;
    let task = sample::task(&job, 1);
    store.commit(Batch::new().insert_task(task.clone())).await.unwrap();
    let leases = (1..=4).map(|worker| {
        let batch = Batch::new().update_task(lease(&task, worker), Expected::of(&task));
        let store = Arc::clone(&store);
        async move { store.commit(batch).await }
    });
    let results = futures::future::join_all(leases).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert_eq!(
        results.iter().filter(|r| matches!(r, Err(StoreError::Stale { task: id }) if *id == task.id)).count(),
        3
    );
}

async fn of_two_who_strike_out_an_input_one_looks_again(make: &impl Factory) {
    let (store, _, job) = with_job(make).await;
    let (first, second) = (sample::task(&job, 1), sample::task(&job, 2));
    let both = sample::waiting(&job, 3, &[&first, &second]);
    store.commit(Batch::new().insert_task(both.clone())).await.unwrap();
    write(&store, &both, &sample::waiting(&job, 3, &[&second])).await;
    let lost = Batch::new().update_task(sample::waiting(&job, 3, &[&first]), Expected::of(&both));
    refused!(store, lost, StoreError::Stale { .. });
}

async fn an_old_epoch_cannot_write(make: &impl Factory) {
    let (store, _, job) = with_job(make).await;
    let task = sample::task(&job, 1);
    store.commit(Batch::new().insert_task(task.clone())).await.unwrap();
    let first = lease(&task, 1);
    write(&store, &task, &first).await;
    let error = TaskError { problem: sample::problem(), retry: true };
    let back = first.clone().fail(first.epoch, error, sample::at(70)).unwrap();
    write(&store, &first, &back).await;
    let second = lease(&back, 2);
    write(&store, &back, &second).await;
    let ghost = first.clone().finish(first.epoch, sample::output(1), sample::at(80)).unwrap();
    refused!(store, Batch::new().update_task(ghost, Expected::of(&first)), StoreError::Stale { .. });
    assert_eq!(store.task(task.id).await.unwrap(), Some(second));
}

async fn a_task_that_ended_stays_as_it_is(make: &impl Factory) {
    let (store, _, job) = with_job(make).await;
    let task = sample::task(&job, 1);
    store.commit(Batch::new().insert_task(task.clone())).await.unwrap();
    let moved = Task { take: Some(2), ..lease(&task, 1) };
    refused!(store, Batch::new().update_task(moved, Expected::of(&task)), StoreError::Fixed { field: "take", .. });
    let done = finish(&task, 1);
    write(&store, &task, &done).await;
    let undone = Task { state: TaskState::Ready { since: sample::at(0) }, ..done.clone() };
    refused!(store, Batch::new().update_task(undone, Expected::of(&done)), StoreError::Final { noun: "task", .. });
    let unknown = sample::task(&job, 9);
    let was = Expected::of(&unknown);
    refused!(store, Batch::new().update_task(unknown, was), StoreError::Missing { noun: "task", .. });
    assert_eq!(store.task(task.id).await.unwrap(), Some(done));
}

async fn a_done_task_lends_its_output_by_spec(make: &impl Factory) {
    let (store, _, job) = with_job(make).await;
    let (task, later) = (sample::task(&job, 1), sample::waiting(&job, 2, &[]));
    store.commit(Batch::new().insert_task(task.clone()).insert_task(later.clone())).await.unwrap();
    let wanted = sample::spec(1).digest();
    assert_eq!(store.output_by_spec(wanted).await.unwrap(), None, "a task that is not done lends nothing");
    write(&store, &task, &finish(&task, 1)).await;
    let ready = later.clone().ready(sample::spec(2), sample::at(60)).unwrap();
    write(&store, &later, &ready).await;
    write(&store, &ready, &finish(&ready, 2)).await;
    assert_eq!(store.output_by_spec(wanted).await.unwrap(), Some(sample::output(1)));
    assert_eq!(store.output_by_spec(sample::spec(2).digest()).await.unwrap(), Some(sample::output(2)));
    assert_eq!(store.output_by_spec(sample::spec(3).digest()).await.unwrap(), None);
    store.integrity_check().await.unwrap();
}
