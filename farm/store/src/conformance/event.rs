use super::{Factory, refused, sample};
use crate::{Batch, EventScope, Store, StoreError};
use greenroom_domain::{Event, EventSeq, Job, Project};
use std::sync::Arc;

/// Events: one gapless sequence in commit order, read by scope.
pub async fn events(make: impl Factory) {
    the_sequence_has_no_gaps(&make).await;
    writers_at_once_share_one_sequence(&make).await;
    a_watcher_reads_on_where_it_stopped(&make).await;
    an_event_needs_its_project_and_its_job(&make).await;
}

async fn with_job(make: &impl Factory) -> (Arc<dyn Store>, Project, Job) {
    let store = make().await;
    let project = sample::project(1);
    let job = sample::job(&project, 1);
    store.commit(Batch::new().insert_project(project.clone()).insert_job(job.clone())).await.unwrap();
    (store, project, job)
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|e| e.seq.0).collect()
}

async fn the_sequence_has_no_gaps(make: &impl Factory) {
    let (store, project, _) = with_job(make).await;
    assert_eq!(store.last_seq().await.unwrap(), EventSeq(0));
    let two = Batch::new().event(sample::event(&project, None, 1)).event(sample::event(&project, None, 2));
    let first = store.commit(two.clone()).await.unwrap();
    assert_eq!(numbers(&first), [1, 2]);
    refused!(store, two.clone().insert_project(project), StoreError::Exists(_));
    assert_eq!(numbers(&store.commit(two).await.unwrap()), [3, 4], "a refused batch takes no numbers");
    assert_eq!(store.last_seq().await.unwrap(), EventSeq(4));
    let all = store.events(EventSeq(0), EventScope::All, 100).await.unwrap();
    assert_eq!(numbers(&all), [1, 2, 3, 4]);
    assert_eq!(all[..2], first);
}

async fn writers_at_once_share_one_sequence(make: &impl Factory) {
    let (store, project, _) = with_job(make).await;
    let writers = (0..8).map(|n| {
        let batch = Batch::new().event(sample::event(&project, None, n)).event(sample::event(&project, None, n));
        let store = Arc::clone(&store);
        async move { store.commit(batch).await.unwrap() }
    });
    let answers = futures::future::join_all(writers).await;
    assert!(answers.iter().all(|events| events[1].seq.0 == events[0].seq.0 + 1), "a batch's events stay together");
    let all = store.events(EventSeq(0), EventScope::All, 100).await.unwrap();
    assert_eq!(numbers(&all), (1..=16).collect::<Vec<_>>());
    store.integrity_check().await.unwrap();
}

async fn a_watcher_reads_on_where_it_stopped(make: &impl Factory) {
    let (store, project, job) = with_job(make).await;
    let elsewhere = sample::project(2);
    let batch = Batch::new()
        .insert_project(elsewhere.clone())
        .event(sample::event(&project, Some(&job), 1))
        .event(sample::event(&elsewhere, None, 2))
        .event(sample::event(&project, None, 3))
        .event(sample::event(&project, Some(&job), 4));
    store.commit(batch).await.unwrap();
    let read = async |after, scope, limit| numbers(&store.events(EventSeq(after), scope, limit).await.unwrap());
    assert_eq!(read(1, EventScope::All, 2).await, [2, 3]);
    assert_eq!(read(0, EventScope::Project(project.id), 10).await, [1, 3, 4]);
    assert_eq!(read(1, EventScope::Job(job.id), 10).await, [4]);
    assert!(read(4, EventScope::All, 10).await.is_empty());
}

async fn an_event_needs_its_project_and_its_job(make: &impl Factory) {
    let (store, project, _) = with_job(make).await;
    let nowhere = sample::event(&sample::project(9), None, 1);
    refused!(store, Batch::new().event(nowhere), StoreError::Missing { noun: "project", .. });
    let unasked = sample::event(&project, Some(&sample::job(&project, 9)), 1);
    refused!(store, Batch::new().event(unasked), StoreError::Missing { noun: "job", .. });
    assert_eq!(store.last_seq().await.unwrap(), EventSeq(0));
}
