//! Scripts go in, films come out; equal work is done once.

use greenroom_domain::ShotKey;
use greenroom_proto::v1;
use greenroom_tests::{CLOSE_MARA, CLOSE_TOBIN, Farm, cast_folder, digest, greenroom, of_kind, shot_file};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Output};

const SCRIPT: &str = "\
Title: Alive

INT. HIDDEN LAB - NIGHT

Green light on steel.

CLOSE ON MARA, smiling.

TOBIN
Then put it out, Mara.
";

const SMALL: [&str; 5] = ["size=384x224", "fps=8", "retries=0", "crossfade=2", "seed=7"];

async fn run(script: &Path, out: &Path) -> Output {
    let mut arguments = vec!["run".into(), script.as_os_str().to_owned(), "--cast".into(), cast_folder().into()];
    arguments.extend(["--out".into(), out.as_os_str().to_owned(), "--json".into()]);
    arguments.extend(SMALL.iter().flat_map(|setting| ["--set".into(), setting.into()]));
    let output = greenroom(arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}: {said}", output.status);
    output
}

fn report(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap()
}

/// Path and digest of each video.
fn videos(out: &Path) -> Vec<(String, String)> {
    let shots = report(out)["shots"].as_array().unwrap().clone();
    let clips = shots.iter().map(|shot| format!("clips/{}.mp4", shot["shot"].as_str().unwrap()));
    clips.chain(["episode.mp4".to_owned()]).map(|path| (path.clone(), digest(&out.join(path)))).collect()
}

fn check_report(report: &Value) {
    let shots = report["shots"].as_array().unwrap();
    let frames: u64 = shots.iter().map(|shot| shot["frames"].as_u64().unwrap()).sum();
    assert_eq!(report["episode"]["frames"], frames - 2 * (shots.len() as u64 - 1), "clips less the cross-fades");
    let seeds: BTreeSet<_> = shots.iter().map(|shot| shot["takes"][0]["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds.len(), shots.len(), "every take has a seed of its own");
    for shot in shots {
        let verdict = &shot["takes"][0]["verdict"];
        assert_eq!(shot["accepted"], verdict["decision"]["decision"] == "accept");
        assert_eq!(verdict["models"]["embedder"], report["pack"]["models"]["embedder.onnx"]);
        assert!(shot["takes"][0]["seconds"].as_f64().unwrap() > 0.0);
    }
    for stage in ["generate", "validate", "assemble"] {
        assert!(report["timings"][stage].as_f64().unwrap() > 0.0, "{stage}");
    }
}

#[tokio::test]
async fn a_script_becomes_the_same_film_everywhere_and_is_filmed_once() {
    let folder = tempfile::tempdir().unwrap();
    let [script, out, elsewhere] = ["alive.fountain", "out", "elsewhere"].map(|name| folder.path().join(name));
    fs::write(&script, SCRIPT).unwrap();
    let first = run(&script, &out).await;
    let made = report(&out);
    check_report(&made);
    assert_eq!(first.status.code(), Some(if made["state"] == "done" { 0 } else { 3 }));
    for file in ["contact-sheet.png", "report.html"] {
        assert!(fs::metadata(out.join(file)).unwrap().len() > 1000, "{file}");
    }
    let again = run(&script, &out).await;
    let answer: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(answer["created"], false, "{answer}");
    assert_eq!(report(&out), made, "no task ran again: even the timings are those of the first run");
    run(&script, &elsewhere).await;
    assert_ne!(report(&elsewhere)["job"], made["job"], "a farm of its own");
    assert_eq!(videos(&elsewhere), videos(&out));
}

#[tokio::test]
async fn a_push_is_answered_once_and_a_changed_shot_leaves_the_others() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let text = shot_file("Both", &[CLOSE_MARA, CLOSE_TOBIN]);
    let job = lab.film("both.toml", &text).await;
    let again = lab.push("both.toml", text.as_bytes()).await;
    assert_eq!((again.created, again.job), (false, job.clone()));
    let smiling = CLOSE_TOBIN.replace("seconds", "mood = \"smiling\"\nseconds");
    let changed = lab.film("both.toml", &shot_file("Both", &[CLOSE_MARA, &smiling])).await;
    let told: Vec<_> = of_kind(&changed, "generate").map(|t| (t.shot.as_str(), t.note.as_str(), t.attempts)).collect();
    assert_eq!(told, [("1-1", "reused", 0), ("1-2", "", 1)]);
    let ((old, _), (new, _)) = (lab.report(&job).await, lab.report(&changed).await);
    let take = |report: &Value, shot: usize| report["shots"][shot]["takes"][0]["video"].clone();
    assert_eq!(take(&new, 0), take(&old, 0));
    assert_ne!(take(&new, 1), take(&old, 1));
    assert_eq!(new["shots"][0]["shot"], ShotKey { scene: 1, shot: 1 }.to_string());
}

#[tokio::test]
async fn a_face_that_is_rejected_is_repaired_and_everybody_is_told() {
    let farm = Farm::start().await;
    let strict = v1::Settings { gate: Some(1.0), retries: Some(1), ..v1::Settings::default() };
    let lab = farm.project_with("strict", strict).await;
    lab.cast().await;
    let job = lab.film("close.toml", &shot_file("Close", &[CLOSE_MARA])).await;
    let kinds: Vec<_> = job.tasks.iter().map(|task| (task.kind.as_str(), task.take)).collect();
    assert!(kinds.contains(&("generate", 1)) && kinds.contains(&("repair", 2)), "{kinds:?}");
    let (report, _) = lab.report(&job).await;
    let takes = &report["shots"][0]["takes"];
    assert_eq!(takes[1]["repair"]["of"], 1);
    let (face, was) = (&takes[1]["repair"]["faces"][0], &takes[0]["verdict"]["characters"][0]);
    assert_eq!((&face["character"], &face["p10_before"]), (&Value::from("MARA"), &was["p10"]));
    assert_ne!(takes[1]["video"], takes[0]["video"]);
    assert!(report["timings"]["repair"].as_f64().unwrap() > 0.0);
}
