//! Several who write, one who leads, and what is left when one of them is cut off.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use greenroom_domain::{EventSeq, ProblemKind, Task};
use greenroom_store::{
    Batch, EventScope, EventStore, Expected, JobStore, Store, StoreError, TaskStore, Unique, conformance::sample,
};
use greenroom_store_postgres::PostgresStore;
use greenroom_test_postgres::Server;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

async fn stores(server: &Server, database: &str, count: usize) -> Vec<Arc<PostgresStore>> {
    let url = server.url(database);
    futures::future::join_all((0..count).map(async |_| Arc::new(PostgresStore::open(&url).await.unwrap()))).await
}

fn lease(task: &Task, worker: u32) -> Batch {
    let leased = task.clone().lease(sample::worker(worker), sample::at(5)).unwrap();
    Batch::new().update_task(leased, Expected::of(task))
}

#[tokio::test]
async fn two_daemons_share_one_gapless_log_and_no_lease() {
    const TASKS: u32 = 40;
    let server = Server::start();
    let writers = stores(&server, &server.database(), 2).await;
    let (project, job) = (sample::project(1), sample::job(&sample::project(1), 1));
    let tasks: Vec<_> = (0..TASKS).map(|n| sample::task(&job, n)).collect();
    let batch = Batch::new().insert_project(project.clone()).insert_job(job.clone());
    writers[0].commit(tasks.iter().cloned().fold(batch, Batch::insert_task)).await.unwrap();
    let attempts = writers.iter().enumerate().map(|(n, writer)| {
        let (writer, tasks, project) = (Arc::clone(writer), tasks.clone(), project.clone());
        tokio::spawn(async move {
            let mut won = vec![];
            for task in &tasks {
                let batch = lease(task, n as u32).event(sample::event(&project, None, n as u32));
                match writer.commit(batch).await {
                    Ok(_) => won.push(task.id),
                    Err(StoreError::Stale { task: id }) => assert_eq!(id, task.id),
                    Err(error) => panic!("{error:?}"),
                }
            }
            won
        })
    });
    let won: Vec<_> = futures::future::join_all(attempts).await.into_iter().flat_map(Result::unwrap).collect();
    let by_task: BTreeMap<_, _> = won.iter().map(|id| (id, ())).collect();
    assert_eq!((won.len(), by_task.len()), (TASKS as usize, TASKS as usize), "each task was leased once");
    let events = writers[1].events(EventSeq(0), EventScope::All, 1_000).await.unwrap();
    assert!(events.iter().map(|e| e.seq.0).eq(1..=u64::from(TASKS)), "refused batches took no numbers");
    writers[1].integrity_check().await.unwrap();
}

#[tokio::test]
async fn of_many_who_push_the_same_request_one_is_told_it_is_new() {
    let server = Server::start();
    let writers = stores(&server, &server.database(), 4).await;
    let project = sample::project(1);
    writers[0].commit(Batch::new().insert_project(project.clone())).await.unwrap();
    let pushes = writers.iter().enumerate().map(|(n, writer)| {
        let request = sample::job(&project, 0).request;
        writer.commit(Batch::new().insert_job(greenroom_domain::Job { request, ..sample::job(&project, n as u32) }))
    });
    let answers = futures::future::join_all(pushes).await;
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1);
    let told = |a: &&greenroom_store::Result<_>| matches!(a, Err(StoreError::Exists(Unique::Request { .. })));
    assert_eq!(answers.iter().filter(told).count(), 3);
}

#[tokio::test]
async fn a_batch_with_one_stale_task_in_its_middle_leaves_nothing() {
    let server = Server::start();
    let store = &stores(&server, &server.database(), 1).await[0];
    let (project, job) = (sample::project(1), sample::job(&sample::project(1), 1));
    let tasks: Vec<_> = (0..9).map(|n| sample::task(&job, n)).collect();
    let batch = Batch::new().insert_project(project).insert_job(job.clone());
    store.commit(tasks.iter().cloned().fold(batch, Batch::insert_task)).await.unwrap();
    store.commit(lease(&tasks[4], 1)).await.unwrap();
    let all = tasks.iter().fold(Batch::new(), |batch, task| batch.and(lease(task, 2)));
    let error = store.commit(all).await.expect_err("one of them is held");
    assert!(matches!(error, StoreError::Stale { task } if task == tasks[4].id), "{error:?}");
    assert_eq!(store.leased_tasks().await.unwrap().len(), 1);
    let free = tasks.iter().filter(|t| t.id != tasks[4].id).fold(Batch::new(), |batch, task| batch.and(lease(task, 2)));
    store.commit(free).await.unwrap();
    assert_eq!(store.leased_tasks().await.unwrap().len(), 9);
}

#[tokio::test]
async fn a_leader_whose_session_is_cut_writes_no_more_and_the_next_one_leads() {
    let server = Server::start();
    let database = server.database();
    let daemons = stores(&server, &database, 2).await;
    for daemon in &daemons {
        daemon.stand_by().await;
    }
    let refused = daemons[0].commit(Batch::new().insert_project(sample::project(1))).await.unwrap_err();
    assert!(refused.to_string().ends_with("this daemon does not lead"), "{refused}");
    let first = daemons[0].lead("http://a:7474").await.unwrap();
    let project = sample::project(1);
    daemons[0].commit(Batch::new().insert_project(project.clone())).await.unwrap();
    let other = Arc::clone(&daemons[1]);
    let waiting = tokio::spawn(async move { other.lead("http://b:7474").await.unwrap() });
    assert_eq!(daemons[1].leader().await.unwrap().as_deref(), Some("http://a:7474"));
    assert!(daemons[1].commit(Batch::new().insert_project(sample::project(2))).await.is_err(), "one leads");
    server.cut(&database);
    tokio::time::timeout(Duration::from_secs(3), first.ended()).await.expect("the leader notices");
    let error = daemons[0].commit(Batch::new().insert_project(sample::project(3))).await.unwrap_err();
    assert_eq!(error.problem().kind, ProblemKind::Unavailable, "{error}");
    // The one that waited was cut off too, and asks again as a daemon does.
    let second = match waiting.await {
        Ok(term) => term,
        Err(_) => daemons[1].lead("http://b:7474").await.unwrap(),
    };
    assert_eq!(second.epoch, 2);
    assert_eq!(daemons[0].leader().await.unwrap().as_deref(), Some("http://b:7474"));
    daemons[1].commit(Batch::new().insert_job(sample::job(&project, 1))).await.unwrap();
    assert_eq!(daemons[0].jobs(None, 9).await.unwrap().len(), 1, "whoever stands by reads");
}

#[tokio::test]
async fn whoever_stands_by_hears_of_what_the_leader_commits() {
    let server = Server::start();
    let database = server.database();
    let daemons = stores(&server, &database, 2).await;
    let mut listener = daemons[1].listen().await.unwrap();
    let project = sample::project(1);
    let event = sample::event(&project, None, 1);
    daemons[0].commit(Batch::new().insert_project(project).event(event.clone()).event(event.clone())).await.unwrap();
    assert_eq!(listener.next().await.unwrap(), EventSeq(2));
    server.cut(&database);
    daemons[0].commit(Batch::new().event(event.clone())).await.ok();
    daemons[0].commit(Batch::new().event(event)).await.unwrap();
    assert!(listener.next().await.unwrap() >= EventSeq(3), "what was said during a break is asked for");
}
