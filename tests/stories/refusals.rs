//! What cannot be used is refused once, by a sentence with a remedy, and the farm goes on.

use greenroom_domain::Problem;
use greenroom_proto::v1::{self, character::State as CharacterState, job::State};
use greenroom_tests::{
    CLOSE_MARA, Client, Farm, Options, PackCopy, Project, cast_folder, golden, greenroom, noise, png, reference,
    shot_file, side_by_side,
};
use std::fs;

fn told(problem: &Problem) -> String {
    format!("{problem} / {}", problem.remedy)
}

/// The problem that a job failed with, and that none of its tasks is left open.
fn failure(job: &v1::Job) -> String {
    assert_eq!(job.state(), State::Failed, "{job:?}");
    assert!(job.tasks.iter().all(|task| ["done", "failed", "cancelled"].contains(&task.state.as_str())), "{job:?}");
    assert_eq!(job.tasks.iter().filter(|task| task.state == "failed").count(), 1, "{job:?}");
    let problem = job.problem.as_ref().unwrap();
    format!("{}: {}: {} / {}", problem.step, problem.subject, problem.cause, problem.remedy)
}

/// Why references were refused.
async fn refused(lab: &Project, file: &str, bytes: Vec<u8>) -> String {
    let character = lab.profile("MARA", &[(file, bytes)]).await;
    assert_eq!(character.state(), CharacterState::Refused, "{character:?}");
    let problem = character.problem.unwrap();
    format!("{}: {}: {} / {}", problem.step, problem.subject, problem.cause, problem.remedy)
}

#[tokio::test]
async fn a_script_that_cannot_be_filmed_is_refused_at_the_push() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let said = async |bytes: &[u8]| told(&lab.try_push("lab.fountain", bytes).await.unwrap_err());
    assert_eq!(
        said(b"").await,
        "read script: lab.fountain: the file is empty / write at least one scene: a heading such as INT. LAB - NIGHT, and \
         action"
    );
    assert_eq!(
        said(b"PK\x03\x04\x00 docx").await,
        "read script: lab.fountain: the file is binary, not text / give a Fountain screenplay: plain text, usually \
         NAME.fountain"
    );
    assert_eq!(
        said(b"INT. LAB - NIGHT\n\nORSON\nNobody knows me.\n").await,
        "break down script: lab.fountain: nobody of the cast is in it: the script has ORSON, the cast has MARA, TOBIN / \
         name the cast folders as the script names its characters, for example cast/MARA for MARA"
    );
    assert!(lab.scripts().await.is_empty());
    assert!(lab.push("lab.fountain", b"INT. LAB - NIGHT\n\nMARA\nSomebody knows me.\n").await.created);
}

#[tokio::test]
async fn a_picture_that_is_no_portrait_is_refused_by_its_name() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    const USUAL: &str = "give a PNG, JPEG or WebP picture of ordinary size";
    let torn = reference("mara", "1.png")[..10_000].to_vec();
    assert_eq!(refused(&lab, "torn.png", torn).await, format!("read picture: torn.png: the file is cut off / {USUAL}"));
    let text = refused(&lab, "text.png", b"not a picture".to_vec()).await;
    assert_eq!(text, format!("read picture: text.png: not a PNG, JPEG or WebP picture / {USUAL}"));
    let wide = refused(&lab, "wide.png", png(&noise(20_000, 100))).await;
    let limit = "20000×100 pixels are too many (at most 16384 on a side and 64 million in all)";
    assert_eq!(wide, format!("read picture: wide.png: {limit} / {USUAL}"));
    assert_eq!(
        refused(&lab, "nobody.png", png(&noise(384, 384))).await,
        "profile character MARA: nobody.png: no face was found / give a picture that shows the face clearly, from the front"
    );
    let two = side_by_side(&reference("mara", "1.png"), &reference("tobin", "1.png"));
    assert_eq!(
        refused(&lab, "two.png", png(&two)).await,
        "profile character MARA: two.png: 2 faces were found / give a picture that shows this character alone"
    );
    lab.cast_as("MARA", "mara").await;
}

#[tokio::test]
async fn a_pack_with_a_missing_file_starts_no_farm() {
    let pack = PackCopy::new();
    fs::remove_file(pack.path().join("detector.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [script, out] = ["one.toml", "out"].map(|name| folder.path().join(name));
    fs::write(&script, shot_file("One", &[CLOSE_MARA])).unwrap();
    let paths = [cast_folder(), out, pack.path().to_owned()].map(|path| path.display().to_string());
    let [cast, out, models] = paths.each_ref();
    let arguments = ["run", script.to_str().unwrap(), "--cast", cast, "--out", out, "--pack", models];
    let output = greenroom(arguments).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let cause = format!("open pack: {models}/detector.onnx: No such file or directory (os error 2)");
    assert!(said.contains(&cause), "{said}");
    assert!(said.ends_with("try: restore the pack from its release, or point --pack at a complete one\n"), "{said}");
}

async fn farm_with(pack: &PackCopy) -> Farm {
    Farm::start_with(Options { pack: Some(pack.path().to_owned()), ..Options::default() }).await
}

#[tokio::test]
async fn a_file_that_is_not_the_packs_own_fails_the_job_and_nothing_else() {
    let pack = PackCopy::new();
    let file = "unet/diffusion_pytorch_model.fp16.safetensors";
    let mut bytes = fs::read(pack.path().join(file)).unwrap();
    let was = greenroom_domain::Digest::of(&bytes);
    *bytes.last_mut().unwrap() ^= 1;
    pack.replace(file, &bytes);
    let farm = farm_with(&pack).await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let workers = farm.worker_pids();
    let job = lab.film("one.toml", &shot_file("One", &[CLOSE_MARA])).await;
    let cause = format!("its SHA-256 is {}, pack.toml says {was}", greenroom_domain::Digest::of(&bytes));
    let subject = pack.path().join(file).display().to_string();
    assert_eq!(failure(&job), format!("open pack: {subject}: {cause} / restore the pack from its release"));
    lab.cast_as("MARA", "tobin").await;
    assert_eq!(farm.worker_pids(), workers);
}

#[tokio::test]
async fn truncated_weights_fail_the_job_and_nothing_else() {
    let pack = PackCopy::new();
    let file = "vae/diffusion_pytorch_model.fp16.safetensors";
    let bytes = fs::read(pack.path().join(file)).unwrap();
    pack.replace_openly(file, &bytes[..bytes.len() / 2]);
    let farm = farm_with(&pack).await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let workers = farm.worker_pids();
    let said = failure(&lab.film("one.toml", &shot_file("One", &[CLOSE_MARA])).await);
    let path = pack.path().join(file).display().to_string();
    assert!(said.starts_with(&format!("load models: diffusion: {path}: not a whole safetensors file: ")), "{said}");
    assert!(said.ends_with(" / restore the pack from its release"), "{said}");
    lab.cast_as("MARA", "tobin").await;
    assert_eq!(farm.worker_pids(), workers);
}

#[tokio::test]
async fn a_model_of_other_shapes_refuses_the_references_and_names_itself() {
    for (file, odd, cause) in [
        ("detector.onnx", "detector-5-outputs.onnx", "expected 6 or 9 outputs for strides 8, 16, 32"),
        ("embedder.onnx", "embedder-grey.onnx", "expected one float input of shape (N, 3, H, W), found "),
    ] {
        let pack = PackCopy::new();
        pack.replace_openly(file, &golden(odd));
        let farm = farm_with(&pack).await;
        let lab = farm.project("lab").await;
        let workers = farm.worker_pids();
        let said = refused(&lab, "1.png", reference("mara", "1.png")).await;
        let path = pack.path().join(file).display().to_string();
        assert!(said.starts_with(&format!("open model: {path}: {cause}")), "{said}");
        assert!(said.ends_with(" / name a model of the right kind for this role in pack.toml"), "{said}");
        farm.idle().await;
        assert_eq!(farm.worker_pids(), workers);
    }
}

#[tokio::test]
async fn a_wrong_token_opens_nothing() {
    let farm = Farm::start().await;
    let intruder = Client::connect(&farm.address(), &"0".repeat(64)).await;
    assert_eq!(
        told(&intruder.version().await.unwrap_err()),
        "call daemon: token: the token is not the daemon's / pass --token-file with a token of this farm, or the admin.token of \
         the daemon's state folder"
    );
    let worker = fs::read_to_string(farm.state().join("worker.token")).unwrap();
    let worker = Client::connect(&farm.address(), &worker).await;
    assert!(worker.version().await.is_err(), "the workers' token is for workers");
    assert_eq!(farm.client().version().await.unwrap(), env!("CARGO_PKG_VERSION"));
}
