//! What a person reads when a database cannot be the ledger, and that one which can be keeps everything.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use greenroom_domain::ProblemKind;
use greenroom_store::{Batch, EventScope, EventStore, JobStore, ProjectStore, Store, StoreError, conformance::sample};
use greenroom_store_postgres::PostgresStore;
use greenroom_test_postgres::Server;

/// The whole text: what is wrong with which database, and what to do.
async fn refusal(url: &str) -> String {
    let error = PostgresStore::open(url).await.expect_err("the database cannot be opened");
    let subject = error.problem().subject;
    format!("{error}\n{}", error.problem().remedy).replace(&subject, "DATABASE")
}

async fn open(server: &Server, database: &str) -> PostgresStore {
    PostgresStore::open(&server.url(database)).await.unwrap()
}

#[tokio::test]
async fn a_database_that_cannot_be_the_ledger_is_left_alone() {
    let server = Server::start();
    let database = server.database();
    let url = server.url(&database);
    server.sql(&database, "create schema greenroom; create table greenroom.mail (body text)");
    assert_eq!(
        refusal(&url).await,
        "open ledger: DATABASE: its schema greenroom is another program's\nname another database, or rename that schema"
    );
    assert_eq!(server.sql(&database, "select tablename from pg_tables where schemaname = 'greenroom'"), "mail\n");
    assert_eq!(
        refusal(&server.url("nowhere")).await,
        "open ledger: DATABASE: there is no such database\nmake it first: createdb --owner USER NAME"
    );
    let wrong = url.replace(greenroom_test_postgres::PASSWORD, "guessed");
    let said = refusal(&wrong).await;
    assert!(said.starts_with("open ledger: DATABASE: the server refuses the user: password"), "{said}");
    server.sql("postgres", "create user guest password 'guest'");
    let guest = url.replace(&format!("greenroom:{}", greenroom_test_postgres::PASSWORD), "guest:guest");
    server.sql(&database, "drop schema greenroom cascade");
    assert_eq!(
        refusal(&guest).await,
        format!(
            "open ledger: DATABASE: the user may not: permission denied for database {database}\n\
             make the user the database's owner, or grant it CREATE on the database"
        )
    );
}

#[tokio::test]
async fn a_newer_schema_is_left_to_the_newer_build() {
    let server = Server::start();
    let database = server.database();
    open(&server, &database).await.close().await;
    let newer = "insert into greenroom._sqlx_migrations values (9000, 'later', now(), true, '', 0)";
    server.sql(&database, newer);
    let said = refusal(&server.url(&database)).await;
    assert!(
        said.starts_with("open ledger: DATABASE: it has schema version 9000, and this build knows versions up"),
        "{said}"
    );
    assert!(said.contains("run the newer build that wrote it"), "{said}");
}

#[tokio::test]
async fn a_server_that_crashes_loses_nothing_and_is_found_again() {
    let mut server = Server::start();
    let database = server.database();
    let store = open(&server, &database).await;
    let project = sample::project(1);
    let event = sample::event(&project, None, 1);
    store.commit(Batch::new().insert_project(project.clone()).event(event.clone())).await.unwrap();
    server.crash();
    let job = Batch::new().insert_job(sample::job(&project, 1)).event(event.clone());
    let error = store.commit(job.clone()).await.expect_err("the server is away");
    assert!(matches!(&error, StoreError::Unusable(p) if p.kind == ProblemKind::Unavailable), "{error:?}");
    assert!(error.problem().remedy.contains("can be asked again"), "{error:?}");
    assert_eq!(store.projects().await.expect_err("reading too").problem().kind, ProblemKind::Unavailable);
    server.run();
    assert_eq!(store.projects().await.unwrap(), std::slice::from_ref(&project));
    assert_eq!(store.commit(job).await.unwrap()[0].seq.0, 2, "the same store goes on");
    assert_eq!(store.events(Default::default(), EventScope::All, 9).await.unwrap().len(), 2);
    store.integrity_check().await.unwrap();
}

#[tokio::test]
async fn a_ledger_is_reached_with_tls_and_only_with_the_right_certificate() {
    let mut server = Server::start();
    server.with_tls();
    let database = server.database();
    let url = server.tls_url(&database);
    let store = PostgresStore::open(&url).await.unwrap();
    store.commit(Batch::new().insert_project(sample::project(1))).await.unwrap();
    let safe = "select count(*) > 0 from pg_stat_ssl join pg_stat_activity using (pid) where ssl and datname = ";
    assert_eq!(server.sql("postgres", &format!("{safe}'{database}'")), "t\n");
    let stranger = url.split("&sslrootcert").next().unwrap();
    let said = refusal(stranger).await;
    assert!(said.starts_with("open ledger: DATABASE: no safe connection: "), "{said}");
}

#[tokio::test]
async fn a_row_that_somebody_edited_is_found() {
    let server = Server::start();
    let database = server.database();
    let store = open(&server, &database).await;
    let (project, job) = (sample::project(1), sample::job(&sample::project(1), 1));
    let batch = Batch::new().insert_project(project.clone()).insert_job(job.clone());
    store.commit(batch.event(sample::event(&project, Some(&job), 1))).await.unwrap();
    server.sql(&database, "update greenroom.job set state = 'done'; update greenroom.event set seq = 7");
    server.sql(&database, "alter table greenroom.task drop constraint task_job_fkey");
    let text = store.integrity_check().await.expect_err("the damage is found").to_string();
    assert!(text.contains("the log has 1 events, but the last has number 7"), "{text}");
    assert!(text.contains(&format!("`{} {} {} done", job.id, job.project, job.request)), "{text}");
    assert!(text.contains("1 of its 6 references between tables are not held any more"), "{text}");
    assert_eq!(store.job(job.id).await.unwrap(), Some(job));
}
