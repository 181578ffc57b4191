use super::*;
use crate::{
    access::Access,
    packs,
    push::{self, NewCharacter},
    report,
    workers::Workers,
};
use greenroom_artifacts::ArtifactStore;
use greenroom_domain::{
    CharacterState, ClipOutput, Consent, ConsentDocument, Fate, Job, JobState, ReferenceQuality, Spec, TaskOutput,
    TaskState, Timestamp,
};
use greenroom_store_sqlite::SqliteStore;
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::sync::{Mutex, Notify, RwLock, broadcast, watch};
use tokio_util::sync::CancellationToken;

const LOOKS: &str = "a woman with blue hair and a scar that only her mother knows";
const PICTURE: &[u8] = b"\x89PNG the very face of Jane";
const EMBEDDING: &str = "[0.12345678,-0.87654321]";
const SHOT: &str = "[[shot]]\nplace = \"LAB\"\nframing = \"close\"\ncast = [\"MARA\"]\nseconds = 1.0\n";

/// A farm on a folder, as the daemon opens it; whatever an earlier one left undone is finished.
async fn farm(folder: &Path) -> Farm {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/packs/puppet");
    let (pack, pack_digest) = packs::open(&pack).unwrap();
    let farm = Farm {
        store: Arc::new(SqliteStore::open(folder.join("greenroom.db")).await.unwrap()),
        writing: Mutex::new(()),
        forgetting: RwLock::new(()),
        artifacts: ArtifactStore::local(folder.join("artifacts")).unwrap(),
        pack,
        pack_digest,
        access: Access::open(folder, Duration::from_secs(60)).unwrap(),
        workers: Workers::default(),
        work: Notify::new(),
        committed: watch::Sender::new(EventSeq(0)),
        progress: broadcast::Sender::new(1),
        stop: CancellationToken::new(),
    };
    farm.finish_forgetting().await.unwrap();
    farm
}

async fn lab(farm: &Farm) -> Project {
    let (id, settings, created) = (clock::new_project(), greenroom_domain::Settings::default(), clock::now());
    push::project(farm, Project { id, name: "lab".into(), settings, created }).await.unwrap()
}

async fn put(farm: &Farm, bytes: &[u8]) -> Digest {
    farm.artifacts.put_bytes(bytes.to_vec().into()).await.unwrap()
}

async fn consent(farm: &Farm, expires: Option<Timestamp>) -> Consent {
    let document = ConsentDocument { name: "jane.pdf".into(), digest: put(farm, b"%PDF signed by Jane").await };
    let (subject, licence) = ("Jane Doe".into(), "festival cut".into());
    Consent { subject, document: Some(document), reference: None, licence, expires }
}

async fn asked(farm: &Farm, name: &str, picture: &[u8], consent: Option<Consent>) -> NewCharacter {
    let references = vec![("jane-front.png".to_owned(), put(farm, picture).await)];
    let (name, description) = (name.to_owned(), format!("{LOOKS} ({name})"));
    NewCharacter { name, description, references, real_person: consent.is_some(), consent }
}

/// Makes a character and answers its profile task as a worker would.
async fn character(farm: &Farm, project: &Project, asked: NewCharacter) -> Character {
    let made = push::character(farm, project, asked).await.unwrap().value;
    let CharacterState::Profiling { task } = made.state else { panic!("{made:?}") };
    let profile = format!("{{\"character\":\"{}\",\"references\":[{{\"embedding\":{EMBEDDING}}}]}}", made.name);
    let thumbnail = put(farm, format!("PNG small face of {}", made.name).as_bytes()).await;
    let (detection, face_size, yaw, sharpness, weight) = (0.9, 60.0, 0.0, 9.0, 0.8);
    let quality = ReferenceQuality { detection, face_size, yaw, sharpness, weight, agreement: None };
    let profile = put(farm, profile.as_bytes()).await;
    finish(farm, task, TaskOutput::Profile { profile, thumbnail, qualities: vec![quality] }).await;
    farm.store.character(made.id).await.unwrap().unwrap()
}

async fn finish(farm: &Farm, task: greenroom_domain::TaskId, output: TaskOutput) {
    let leased = farm.lease(task, clock::new_worker()).await.unwrap();
    farm.finish(task, leased.epoch, output).await.unwrap();
}

async fn pushed(farm: &Farm, project: &Project) -> Result<Job, Problem> {
    let script = put(farm, SHOT.as_bytes()).await;
    let pushed = push::script(farm, project, "one.toml", script, &BTreeMap::new()).await;
    pushed.map(|pushed| pushed.value).map_err(|error| error.problem())
}

/// Films the one shot: every task is answered as a worker would, with bytes of its own.
async fn filmed(farm: &Farm, project: &Project) -> Job {
    let job = pushed(farm, project).await.unwrap();
    let is_ready = |t: &Task| matches!(t.state, TaskState::Ready { .. });
    while let Some(task) = farm.store.tasks(job.id).await.unwrap().into_iter().find(is_ready) {
        let bytes = async |what: &str| put(farm, format!("{what} of {}", task.id).as_bytes()).await;
        let output = match task.spec.as_ref().unwrap() {
            Spec::Generate(_) => {
                let (video, thumbnail) = (bytes("take").await, bytes("still").await);
                TaskOutput::Take { video, thumbnail, keyframes: 2, timings: BTreeMap::new() }
            }
            Spec::Validate(_) => {
                let models =
                    json!({"pack": "puppet 1", "detector": script(), "embedder": script(), "calibration": "default"});
                let anchor = json!({"attribute": "scar", "expected": LOOKS, "weight": 1.0, "remark": "missing"});
                let looks = json!({"styles": [{"character": "MARA", "score": 0.5, "anchors": [anchor]}]});
                let verdict = json!({
                    "decision": {"decision": "accept"}, "characters": [], "frames": [], "models": models, "looks": looks,
                });
                TaskOutput::Verdict { verdict: serde_json::from_value(verdict).unwrap(), timings: BTreeMap::new() }
            }
            Spec::Assemble(spec) => {
                let clip = ClipOutput { shot: spec.shots[0].shot, video: bytes("clip").await, draft: false };
                let (episode, contact_sheet) = (bytes("episode").await, bytes("sheet").await);
                let duration = greenroom_domain::Frames(24);
                TaskOutput::Episode { episode, clips: vec![clip], contact_sheet, duration, timings: BTreeMap::new() }
            }
            other => panic!("{other:?}"),
        };
        finish(farm, task.id, output).await;
    }
    farm.store.job(job.id).await.unwrap().unwrap()
}

fn script() -> Digest {
    Digest::of(SHOT.as_bytes())
}

/// The files below a folder that hold these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let look = |path: PathBuf| {
        if path.is_dir() {
            return holding(&path, bytes);
        }
        let found = std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes);
        if found { vec![path] } else { vec![] }
    };
    entries.flat_map(look).collect()
}

/// What must be nowhere: the picture, the embedding, how she looks, her name, her release and her file's name.
fn traces(folder: &Path) -> Vec<String> {
    let secrets: [&[u8]; 6] =
        [PICTURE, EMBEDDING.as_bytes(), LOOKS.as_bytes(), b"Jane Doe", b"%PDF signed", b"jane-front"];
    let shown = |secret: &&[u8]| !holding(folder, secret).is_empty();
    secrets.iter().filter(|s| shown(s)).map(|s| String::from_utf8_lossy(s).into_owned()).collect()
}

#[tokio::test]
async fn a_forgotten_person_is_in_no_file_and_the_footage_is_told() {
    let folder = TempDir::new().unwrap();
    let farm = farm(folder.path()).await;
    let lab = lab(&farm).await;
    let with = consent(&farm, None).await;
    character(&farm, &lab, asked(&farm, "Mara", b"an older picture", Some(with.clone())).await).await;
    let mara = character(&farm, &lab, asked(&farm, "Mara", PICTURE, Some(with)).await).await;
    assert_eq!(mara.revision, 2);
    let job = filmed(&farm, &lab).await;
    assert_eq!(job.state.name(), "done");
    assert_eq!(traces(folder.path()).len(), 6, "all of it was there");
    let receipt = farm.forget(&lab, "MARA").await.unwrap();
    assert_eq!(receipt.proof.findings, [] as [String; 0]);
    assert_eq!(traces(folder.path()), [] as [String; 0]);
    let of = |kind| receipt.stone.belongings.iter().filter(|b| b.kind == kind && b.fate == Fate::Removed).count();
    use greenroom_domain::ArtifactKind as K;
    let counts = [K::Reference, K::Consent, K::Profile, K::Thumbnail, K::Plan].map(of);
    assert_eq!(counts, [2, 1, 1, 1, 1]);
    let shown: Vec<_> = receipt.stone.footage.iter().map(|f| f.kind).collect();
    assert_eq!(shown, [K::Take, K::Thumbnail, K::Episode, K::ContactSheet, K::Clip]);
    for footage in &receipt.stone.footage {
        assert!(farm.artifacts.has(footage.digest).await.unwrap(), "footage is the production's");
    }
    farm.store.integrity_check().await.unwrap();
}

#[tokio::test]
async fn what_was_filmed_can_still_be_reported_and_says_who_is_gone() {
    let folder = TempDir::new().unwrap();
    let farm = farm(folder.path()).await;
    let lab = lab(&farm).await;
    let with = consent(&farm, None).await;
    character(&farm, &lab, asked(&farm, "MARA", PICTURE, Some(with)).await).await;
    let job = filmed(&farm, &lab).await;
    let before = report::build(&farm, &lab, &job).await.unwrap();
    assert!(before.json.contains("Jane Doe") && before.json.contains("festival cut"), "{}", before.json);
    farm.forget(&lab, "MARA").await.unwrap();
    let job = farm.store.job(job.id).await.unwrap().unwrap();
    let report = report::build(&farm, &lab, &job).await.unwrap();
    assert!(report.json.contains("\"forgotten\": \""), "{}", report.json);
    assert!(!report.json.contains("Jane") && !report.json.contains("blue hair"), "{}", report.json);
    assert!(report.html.contains("MARA has been forgotten"), "{}", report.html);
    assert_eq!(report.files, before.files);
    for job in farm.store.jobs(Some(lab.id), 9).await.unwrap().iter().filter(|j| j.title != "one") {
        assert_eq!(job.title, "a forgotten character");
        assert_eq!(farm.store.tasks(job.id).await.unwrap()[0].output(), Some(&TaskOutput::Forgotten));
    }
}

#[tokio::test]
async fn a_daemon_that_is_killed_between_ledger_and_bytes_finishes_at_its_next_start() {
    let folder = TempDir::new().unwrap();
    let first = farm(folder.path()).await;
    let lab = lab(&first).await;
    let mara = character(&first, &lab, asked(&first, "MARA", PICTURE, None).await).await;
    let person = Person::find(&first, mara.clone()).await.unwrap();
    let stone = first.let_go(&person, vec![]).await.unwrap();
    assert!(!holding(folder.path(), PICTURE).is_empty(), "the kill hits before the bytes go");
    drop(first);
    let second = farm(folder.path()).await;
    assert_eq!(holding(folder.path(), PICTURE), [] as [PathBuf; 0]);
    assert_eq!(traces(folder.path()), [] as [String; 0]);
    let receipt = second.forget(&lab, "MARA").await.unwrap();
    assert_eq!((receipt.stone.character, receipt.stone.at), (mara.id, stone.at), "asked again, it is proved anew");
    assert!(receipt.proof.findings.is_empty() && receipt.stone.finished.is_some());
}

#[tokio::test]
async fn a_picture_of_two_characters_stays_and_the_receipt_says_whose_it_is() {
    let folder = TempDir::new().unwrap();
    let farm = farm(folder.path()).await;
    let lab = lab(&farm).await;
    character(&farm, &lab, asked(&farm, "MARA", PICTURE, None).await).await;
    let twin = character(&farm, &lab, asked(&farm, "TWIN", PICTURE, None).await).await;
    let receipt = farm.forget(&lab, "MARA").await.unwrap();
    let kept: Vec<_> = receipt.stone.belongings.iter().filter(|b| matches!(b.fate, Fate::Kept { .. })).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].digest, Digest::of(PICTURE));
    assert_eq!(kept[0].fate, Fate::Kept { why: format!("it is of character {} too", twin.id) });
    assert_eq!(farm.store.character(twin.id).await.unwrap(), Some(twin));
    assert_eq!(receipt.proof.findings, [] as [String; 0]);
}

#[tokio::test]
async fn a_job_that_uses_the_character_is_stopped_and_the_next_push_is_refused() {
    let folder = TempDir::new().unwrap();
    let farm = farm(folder.path()).await;
    let lab = lab(&farm).await;
    character(&farm, &lab, asked(&farm, "MARA", PICTURE, None).await).await;
    let job = pushed(&farm, &lab).await.unwrap();
    let receipt = farm.forget(&lab, "MARA").await.unwrap();
    assert_eq!(receipt.stone.cancelled, [job.id]);
    let state = farm.store.job(job.id).await.unwrap().unwrap().state;
    assert!(matches!(state, JobState::Cancelled { .. }));
    assert_eq!(receipt.proof.findings, [] as [String; 0]);
    let refused = pushed(&farm, &lab).await.unwrap_err();
    let today = clock::day(receipt.stone.at);
    assert_eq!(refused.to_string(), format!("push script: MARA: it was forgotten on {today}"));
    assert_eq!(refused.kind, ProblemKind::Gone);
    let unknown = farm.forget(&lab, "NOVA").await.unwrap_err().problem();
    assert_eq!(unknown.to_string(), "forget character: NOVA: there is none of that name");
}

#[tokio::test]
async fn the_name_is_free_and_the_same_request_is_made_anew() {
    let folder = TempDir::new().unwrap();
    let farm = farm(folder.path()).await;
    let lab = lab(&farm).await;
    let first = character(&farm, &lab, asked(&farm, "MARA", PICTURE, None).await).await;
    let old = filmed(&farm, &lab).await;
    farm.forget(&lab, "MARA").await.unwrap();
    let second = character(&farm, &lab, asked(&farm, "MARA", PICTURE, None).await).await;
    assert_ne!(second.id, first.id);
    assert_eq!(second.revision, 1);
    assert_ne!(filmed(&farm, &lab).await.id, old.id, "nothing of the forgotten one is taken over");
    let again = farm.forget(&lab, "MARA").await.unwrap();
    assert_eq!(again.stone.character, second.id);
    assert_eq!(farm.store.forgotten(lab.id).await.unwrap().len(), 2);
    assert_eq!(traces(folder.path()), [] as [String; 0]);
    farm.store.integrity_check().await.unwrap();
}

#[tokio::test]
async fn a_real_person_needs_consent_and_is_not_cast_when_it_has_expired() {
    let folder = TempDir::new().unwrap();
    let farm = farm(folder.path()).await;
    let lab = lab(&farm).await;
    let unsigned = NewCharacter { real_person: true, ..asked(&farm, "MARA", PICTURE, None).await };
    let refused = push::character(&farm, &lab, unsigned.clone()).await.map(|_| ()).unwrap_err().problem();
    assert_eq!(refused.to_string(), "create character: MARA: it is a real person, and there is no consent");
    let soon = Timestamp::from_millis(clock::now().as_millis() + 600_000);
    let with = consent(&farm, Some(soon)).await;
    let mara = character(&farm, &lab, asked(&farm, "MARA", PICTURE, Some(with.clone())).await).await;
    let same = push::character(&farm, &lab, asked(&farm, "MARA", PICTURE, Some(with)).await).await.unwrap();
    assert!(!same.created, "an equal push is the same character");
    let dropped = push::character(&farm, &lab, NewCharacter { real_person: false, ..unsigned }).await;
    assert!(dropped.is_err(), "a revision does not lose its consent");
    pushed(&farm, &lab).await.unwrap();
    let ended = consent(&farm, Some(Timestamp::from_millis(86_400_000))).await;
    let expired = Character { revision: 2, consent: Some(ended), ..mara };
    farm.commit(Batch::new().insert_character(expired)).await.unwrap();
    let refused = pushed(&farm, &lab).await.unwrap_err();
    assert_eq!(refused.to_string(), "push script: MARA: the real person's consent held until 1970-01-01");
}
