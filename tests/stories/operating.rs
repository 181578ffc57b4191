//! The administrator looks at the farm: what runs, what was said, how everything is, and a copy of the ledger.

use greenroom_tests::{CLOSE_MARA, Farm, Options, Postbox, Receiver, shot_file, until};
use serde_json::Value;
use std::{fs, path::Path};

async fn told(farm: &Farm, arguments: &[&str]) -> Value {
    let said = farm.said(&[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
}

#[tokio::test]
async fn what_tasks_say_is_followed_searched_and_kept() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let job = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await.job.name;
    // Following ends with the job.
    let followed = farm.said(&["logs", &job, "--follow"]).await;
    lab.ended(&job).await;
    let all = farm.said(&["logs", &job]).await;
    assert_eq!(followed.lines().count(), all.lines().count(), "{followed}\n---\n{all}");
    for words in ["generate 1-1, attempt 1", "validate 1-1, attempt 1", "task.run", "keyframe"] {
        assert!(all.contains(words), "{words}\n{all}");
    }
    let found = farm.said(&["logs", &job, "1-1", "--grep", "KEYFRAME", "--json"]).await;
    let lines: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["kind"] == "generate"), "{found}");
    let last = farm.said(&["logs", lines[0]["task"].as_str().unwrap(), "--tail", "1"]).await;
    assert_eq!(last.lines().count(), 2, "a heading and a line: {last}");
    let refused = farm.said(&["logs", &job, "--grep", "("]).await;
    assert!(refused.contains("read logs") && refused.contains("regular expression"), "{refused}");
}

#[tokio::test]
async fn a_live_view_and_metrics_tell_what_happens() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let job = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await.job.name;
    lab.computing(&job, "generate").await;
    let top = told(&farm, &["top", "--once"]).await;
    assert_eq!((&top["devices"], &top["busy"], &top["running"][0]["kind"]), (&1.into(), &1.into(), &"generate".into()));
    assert_eq!(top["running"][0]["project"], "lab");
    lab.ended(&job).await;
    let top = farm.said(&["top", "--once"]).await;
    assert!(top.contains("0 of 1 devices busy, 0 queued"), "{top}");
    let (status, text) = farm.scraped(true).await;
    assert_eq!(status, 200);
    let done = "greenroom_task_transitions_total{kind=\"validate\",state=\"done\"} 1";
    let found = text.lines().any(|line| line == done);
    assert!(found && text.contains("greenroom_ledger_commit_seconds_bucket") && text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("MARA") && !text.contains("lab"), "nothing of a project is told");
    let (status, text) = farm.scraped(false).await;
    assert!(status == 401 && text.contains("no token was given"), "{status} {text}");
}

#[tokio::test]
async fn a_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let mut farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let parts = told(&farm, &["doctor", "--thorough"]).await;
    let verdict = |parts: &Value, part: &str| {
        let found = parts.as_array().unwrap().iter().find(|found| found["part"] == part);
        found.unwrap_or_else(|| panic!("{part}: {parts}"))["verdict"].as_str().unwrap().to_owned()
    };
    for part in ["connection", "pack", "ledger", "artifact store", "workers", "queue", "task logs", "audit log"] {
        assert_eq!(verdict(&parts, part), "ok", "{parts}");
    }
    let said = farm.said(&["doctor"]).await;
    assert!(said.contains("ok    ledger") && said.contains("events; this daemon leads"), "{said}");
    let node = told(&farm, &["nodes"]).await[0]["name"].as_str().unwrap().to_owned();
    farm.said(&["node", "drain", &node, "--reason", "new fan"]).await;
    let said = farm.said(&["doctor"]).await;
    assert!(said.contains("is drained: new fan") && said.contains("greenroom node resume"), "{said}");
    farm.kill_daemon();
    let said = farm.said(&["doctor"]).await;
    assert!(said.contains("FAIL  connection") && said.contains("start greenroomd there"), "{said}");
}

#[tokio::test]
async fn a_copy_of_the_ledger_is_put_back() {
    let mut farm = Farm::start().await;
    farm.project("before").await;
    let copy = told(&farm, &["backup"]).await;
    let path = copy["path"].as_str().unwrap().to_owned();
    assert_eq!(fs::metadata(&path).unwrap().len(), copy["size"].as_u64().unwrap());
    farm.project("after").await;
    assert_eq!(told(&farm, &["backup", "--list"]).await.as_array().unwrap().len(), 1);
    farm.kill_daemon();
    let text = Path::new(&path).with_file_name("greenroom-text.db");
    fs::write(&text, "no ledger").unwrap();
    let refused = farm.maintained(&["ledger", "restore", "--from", text.to_str().unwrap()]);
    assert!(refused.contains("the file is not a database"), "{refused}");
    let said = farm.maintained(&["ledger", "restore", "--from", &path]);
    assert!(said.contains("the ledger is the copy's"), "{said}");
    farm.restart().await;
    let projects = farm.said(&["project", "list"]).await;
    assert!(projects.contains("before") && !projects.contains("after"), "{projects}");
}

#[tokio::test]
async fn people_are_told_what_happens_even_where_the_daemon_was_killed_meanwhile() {
    let secrets = tempfile::tempdir().unwrap();
    let (secret, file) = ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", secrets.path().join("hook.secret"));
    fs::write(&file, secret).unwrap();
    let (hook, post) = (Receiver::start(&[503]).await, Postbox::start().await);
    let config = format!(
        "[[notify]]\nname = \"chat\"\nurl = \"{}\"\nsecret_file = \"{}\"\n\
         [[notify]]\nname = \"ada\"\nmail = [\"ada@studio.example\"]\nevents = [\"job.created\"]\n\
         [mail]\nserver = \"{}\"\nfrom = \"Greenroom <farm@studio.example>\"\n",
        hook.address(),
        file.display(),
        post.address(),
    );
    let mut farm = Farm::start_with(Options { config, ..Options::default() }).await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let job = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await.job.name;
    until("mail comes", async || post.got().iter().any(|m| m.contains("Subject: [lab] One was pushed")).then_some(()))
        .await;
    // The first try is answered 503; what is not acknowledged then is told by the next daemon.
    lab.ended(&job).await;
    farm.kill_daemon();
    farm.restart().await;
    let told = || hook.got().into_iter().filter(|(_, body)| String::from_utf8_lossy(body).contains("\"One is "));
    until("it is told", async || (told().count() > 0 && hook.got().len() > 1).then_some(())).await;
    let verifier = standardwebhooks::Webhook::new(secret).unwrap();
    for (headers, body) in hook.got() {
        verifier.verify(&body, &headers).unwrap();
    }
    let (_, body) = told().next().unwrap();
    let notice: Value = serde_json::from_slice(&body).unwrap();
    assert!(["job.done", "job.draft"].contains(&notice["event"].as_str().unwrap()), "{notice}");
    assert_eq!(notice["project"], "lab");
    assert!(!farm.log().contains("C2FVsBQIhrscChlQIMV"), "a secret is in no log");
    let refused = farm.maintained(&["notify", "nobody"]);
    assert!(refused.contains("there is no [[notify]] of that name"), "{refused}");
}
