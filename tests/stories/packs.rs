//! Face models that somebody has become a pack, or one sentence why not.

use greenroom_domain::{ModelRole, Pack};
use greenroom_tests::{Farm, Options, Programs, greenroom};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../farm/identity/tests/golden/models").join(name)
}

/// A folder as InsightFace's archives unpack to, with models of few channels under the names that theirs have.
fn buffalo(dir: &TempDir) -> PathBuf {
    let folder = dir.path().join("buffalo_l");
    fs::create_dir(&folder).unwrap();
    for (name, of) in [
        ("det_10g.onnx", "shape-buffalo-detector.onnx"),
        ("w600k_r50.onnx", "shape-buffalo-embedder.onnx"),
        ("2d106det.onnx", "landmarks.onnx"),
        ("genderage.onnx", "genderage.onnx"),
    ] {
        fs::copy(golden(of), folder.join(name)).unwrap();
    }
    folder
}

async fn add(folder: &Path, into: &Path) -> Output {
    let arguments = ["pack", "add", folder.to_str().unwrap(), "--into", into.to_str().unwrap()];
    greenroom(arguments).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_folder_of_insightface_becomes_a_pack_that_a_farm_works_with() {
    let dir = TempDir::new().unwrap();
    let (folder, into) = (buffalo(&dir), dir.path().join("packs"));
    let added = add(&folder, &into).await;
    let said = text(&added.stderr);
    assert!(added.status.success(), "{said}");
    assert!(said.contains("warning: these weights are for non-commercial research only"), "{said}");
    assert!(said.contains("the IP-Adapter of puppet was trained with another embedder and is left out"), "{said}");
    let made = into.join("buffalo_l");
    let pack = Pack::parse(&fs::read_to_string(made.join("pack.toml")).unwrap(), "pack.toml").unwrap();
    let licence = |role| pack.files(role).next().unwrap().licence.clone();
    for role in [ModelRole::Detector, ModelRole::Embedder] {
        assert_eq!(licence(role).as_deref(), Some("InsightFace models: non-commercial research use only"));
    }
    let shown = greenroom(["pack", "show", made.to_str().unwrap()]).await;
    assert!(shown.status.success() && text(&shown.stdout).contains("identity/w600k_r50.onnx"), "{shown:?}");
    let listed = greenroom(["pack", "list", "--in", into.to_str().unwrap()]).await;
    assert!(text(&listed.stdout).contains("buffalo_l 1"), "{listed:?}");
    Farm::start_with(Options { pack: Some(made), ..Options::default() }).await;
}

#[tokio::test]
async fn a_folder_that_is_no_pair_of_face_models_is_refused_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let (folder, into) = (buffalo(&dir), dir.path().join("packs"));
    let refused = async || {
        let added = add(&folder, &into).await;
        assert_eq!(added.status.code(), Some(1), "{added:?}");
        assert!(!into.exists(), "something was written");
        text(&added.stderr).lines().next().unwrap().to_owned()
    };
    let (detector, embedder) = (folder.join("det_10g.onnx"), folder.join("w600k_r50.onnx"));
    fs::copy(golden("shape-antelope-detector.onnx"), folder.join("second.onnx")).unwrap();
    let said = refused().await;
    assert!(
        said.ends_with("it has more than one face detector with landmarks: det_10g.onnx and second.onnx"),
        "{said}"
    );
    fs::remove_file(folder.join("second.onnx")).unwrap();
    fs::copy(golden("shape-detector-6.onnx"), &detector).unwrap();
    let said = refused().await;
    assert!(said.contains("no face detector with landmarks") && said.contains("without landmarks"), "{said}");
    fs::copy(golden("mask.onnx"), &embedder).unwrap();
    fs::copy(golden("shape-buffalo-detector.onnx"), &detector).unwrap();
    let said = refused().await;
    assert!(
        said.contains("no face embedder") && said.contains("w600k_r50.onnx is a model that answers with 2"),
        "{said}"
    );
    let whole = fs::read(golden("shape-buffalo-embedder.onnx")).unwrap();
    fs::write(&embedder, &whole[..whole.len() / 2]).unwrap();
    let said = refused().await;
    assert!(said.starts_with(&format!("error: open model: {}: ", embedder.display())), "{said}");
}

#[tokio::test]
async fn a_worker_tells_what_models_are_for_and_one_that_is_missing() {
    let programs = Programs::find();
    let mut command = tokio::process::Command::new(programs.path("greenroom-worker"));
    command.arg("inspect").arg(golden("shape-embedder-128.onnx")).arg("nowhere.onnx").env_clear();
    let output = command.env("GREENROOM_ONNXRUNTIME", &programs.onnxruntime).output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["models"][0]["kind"], &answer["models"][0]["length"]), (&"embedder".into(), &128.into()));
    assert_eq!(answer["models"][1]["problem"]["subject"], "nowhere.onnx");
}
