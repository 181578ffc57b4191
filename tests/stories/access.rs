//! Who may what: roles in projects, tokens that lapse, and a record that cannot be changed without a trace.

use greenroom_domain::ProblemKind;
use greenroom_proto::v1;
use greenroom_tests::{CLOSE_MARA, Client, Farm, Options, problem, shot_file, until};
use serde_json::Value;
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
use std::{fs, path::PathBuf};

/// A farm that only answers: nothing here is computed.
async fn farm() -> Farm {
    Farm::start_with(Options { workers: 0, ..Options::default() }).await
}

/// Adds a user, and answers with the file of its token.
async fn user(farm: &Farm, name: &str, role: &str, project: &str) -> PathBuf {
    let said = farm.said(&["user", "add", name, "--role", role, "--project", project]).await;
    assert_eq!(said, format!("{name}  {project}: {role}\n"));
    let file = farm.state().join(format!("{name}.token"));
    let said = farm.said(&["token", "create", "--user", name, "--out", file.to_str().unwrap()]).await;
    assert!(said.contains("its secret is in"), "{said}");
    file
}

async fn client(farm: &Farm, token: &PathBuf) -> Client {
    Client::connect(&farm.address(), &fs::read_to_string(token).unwrap()).await
}

#[tokio::test]
async fn a_viewer_looks_and_may_not_push() {
    let farm = farm().await;
    farm.project("lab").await;
    let vera = user(&farm, "vera", "viewer", "lab").await;
    assert_eq!(farm.said_as(&vera, &["whoami"]).await, "vera  lab: viewer\n");
    assert_eq!(farm.said_as(&vera, &["project", "list"]).await, "lab\n");
    let script = farm.state().join("one.toml");
    fs::write(&script, shot_file("One", &[CLOSE_MARA])).unwrap();
    let expected = "error: find missing: vera: it needs the role artist\n  try: ask an administrator for `greenroom user role \
                    vera artist --project NAME`\n";
    assert_eq!(farm.said_as(&vera, &["push", "lab", script.to_str().unwrap()]).await, expected);
    let request = v1::PushScriptRequest { parent: "projects/lab".into(), ..Default::default() };
    let told = problem(&client(&farm, &vera).await.jobs().push_script(request).await.unwrap_err());
    assert_eq!(told.to_string(), "push script: project lab: vera is viewer there, and it needs the role artist");
    assert_eq!(told.remedy, "ask an administrator for `greenroom user role vera artist --project lab`");
    let listed = farm.said(&["audit", "list", "--user", "vera", "--since", "1h", "--json"]).await;
    let rows: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(rows[0]["method"], "greenroom.v1.JobService/PushScript");
    assert_eq!((&rows[0]["outcome"], &rows[0]["resource"]), (&"denied".into(), &"projects/lab".into()));
    let said = farm.said(&["user", "role", "vera", "artist", "--project", "lab"]).await;
    assert_eq!(said, "vera  lab: artist\n");
    let said = farm.said_as(&vera, &["push", "lab", script.to_str().unwrap()]).await;
    assert!(said.contains("one.toml") && !said.contains("role"), "she is let in, and MARA is not there: {said}");
    let said = farm.said_as(&vera, &["user", "list"]).await;
    assert!(said.starts_with("error: list users: vera: it needs the role admin"), "{said}");
}

#[tokio::test]
async fn an_artist_of_another_project_finds_nothing_there() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    farm.project("moon").await;
    let digest = farm.client().upload(&greenroom_tests::reference("mara", "1.png")).await;
    let reference = v1::Reference { file_name: "1.png".into(), digest, quality: None };
    let (parent, character_id) = ("projects/lab".to_owned(), "MARA".to_owned());
    let request =
        v1::CreateCharacterRequest { parent, character_id, references: vec![reference], ..Default::default() };
    let made = farm.client().characters().create_character(request).await.unwrap().into_inner();
    let job = made.character.unwrap().job;
    let mo = client(&farm, &user(&farm, "mo", "artist", "moon").await).await;
    for name in [job.clone(), job.replace("/lab/", "/-/")] {
        let told = problem(&mo.jobs().get_job(v1::GetJobRequest { name }).await.unwrap_err());
        assert_eq!((told.kind, told.step.as_str()), (ProblemKind::NotFound, "find job"));
    }
    let told = async |parent: &str| {
        let request = v1::ListCharactersRequest { parent: parent.into() };
        problem(&mo.characters().list_characters(request).await.unwrap_err()).to_string()
    };
    let [missing, none] = [told("projects/lab").await, told("projects/none").await];
    assert_eq!(missing.replace("lab", "none"), none, "it is told like one that is not there");
    let jobs = async |parent: &str, client: &Client| {
        let request = v1::ListJobsRequest { parent: parent.into(), page_size: 0 };
        client.jobs().list_jobs(request).await.unwrap().into_inner().jobs.len()
    };
    assert_eq!((jobs("projects/-", &mo).await, jobs("projects/-", farm.client()).await), (0, 1));
    assert_eq!(lab.job(&job).await.name, job);
}

#[tokio::test]
async fn a_token_that_expired_or_was_revoked_says_so() {
    let farm = farm().await;
    farm.project("lab").await;
    let ada = user(&farm, "ada", "artist", "lab").await;
    let brief = farm.state().join("brief.token");
    let create = ["token", "create", "--name", "brief", "--expires", "1s", "--out", brief.to_str().unwrap()];
    farm.said_as(&ada, &create).await;
    let said = until("the token expires", async || {
        let said = farm.said_as(&brief, &["whoami"]).await;
        said.starts_with("error").then_some(said)
    })
    .await;
    assert!(said.starts_with("error: use token: brief: the token expired on "), "{said}");
    let tokens: Value = serde_json::from_str(&farm.said_as(&ada, &["token", "list", "--json"]).await).unwrap();
    assert_eq!((&tokens[1]["state"], tokens.as_array().unwrap().len()), (&"expired".into(), 2));
    farm.said_as(&ada, &["token", "revoke", tokens[0]["name"].as_str().unwrap()]).await;
    let said = farm.said_as(&ada, &["whoami"]).await;
    assert!(said.starts_with("error: use token: token: the token was revoked on "), "{said}");
    fs::write(&brief, "0".repeat(64)).unwrap();
    let said = farm.said_as(&brief, &["whoami"]).await;
    assert!(said.contains("is not the daemon's"), "{said}");
    let secret = fs::read(&ada).unwrap();
    fs::remove_file(&ada).unwrap();
    assert!(!farm.holds(&secret), "the farm keeps no secret that it gave out");
}

#[tokio::test]
async fn a_row_of_the_audit_log_that_somebody_edited_is_named() {
    let farm = farm().await;
    for project in ["lab", "moon", "mars"] {
        farm.project(project).await;
    }
    let verified: Value = serde_json::from_str(&farm.said(&["audit", "verify", "--json"]).await).unwrap();
    assert_eq!(verified["rows"], 3);
    let head = verified["head"].as_str().unwrap();
    let options = SqliteConnectOptions::new().filename(farm.state().join("greenroom.db"));
    let mut editor = options.connect().await.unwrap();
    let edit = "update audit set body = replace(body, 'projects/moon', 'projects/lab') where seq = 2";
    let refused = sqlx::query(edit).execute(&mut editor).await.unwrap_err().to_string();
    assert!(refused.contains("the audit log is only ever added to"), "{refused}");
    sqlx::query("drop trigger audit_stays").execute(&mut editor).await.unwrap();
    sqlx::query(edit).execute(&mut editor).await.unwrap();
    let said = farm.said(&["audit", "verify"]).await;
    let expected = "error: verify audit log: row 2: it is not as it was written, or does not follow row 1\n";
    assert!(said.starts_with(expected), "{said}");
    let back = edit.replace("'projects/moon', 'projects/lab'", "'projects/lab', 'projects/moon'");
    sqlx::query(sqlx::AssertSqlSafe(back)).execute(&mut editor).await.unwrap();
    sqlx::query("drop trigger audit_keeps").execute(&mut editor).await.unwrap();
    sqlx::query("delete from audit where seq = 3").execute(&mut editor).await.unwrap();
    assert!(farm.said(&["audit", "verify"]).await.starts_with("2 rows fit"), "the end alone is missed by no chain");
    let said = farm.said(&["audit", "verify", "--head", head]).await;
    assert!(said.contains("no row has this digest any more"), "{said}");
}
