//! A character is learnt from its references, proved, put in force, taken back, and forgotten.

use greenroom_proto::v1;
use greenroom_tests::{CLOSE_MARA, Farm, Options, PackCopy, Project, cast_folder, greenroom, shot_file, until};
use serde_json::Value;
use std::{fs, path::Path};

/// The pack, with so little training and so few sampler steps that a story does not wait for them.
fn quick_pack() -> PackCopy {
    let pack = PackCopy::new();
    let text = fs::read_to_string(pack.path().join("pack.toml")).unwrap();
    let quick = text.replace("steps = 150\n", "steps = 3\n").replace("\nsteps = 16\n", "\nsteps = 2\n");
    assert_eq!(text.len() - quick.len(), 5, "the pack's recipe is not written as expected");
    pack.replace("pack.toml", quick.as_bytes());
    pack
}

/// A farm whose project trains by itself with more pictures than this.
async fn farm(lora_images: u32) -> (Farm, Project, PackCopy) {
    let pack = quick_pack();
    let farm = Farm::start_with(Options { pack: Some(pack.path().to_owned()), ..Options::default() }).await;
    let settings = v1::Settings { lora_images: Some(lora_images), ..v1::Settings::default() };
    let lab = farm.project_with("lab", settings).await;
    (farm, lab, pack)
}

/// MARA from so many of her pictures.
async fn mara(farm: &Farm, pictures: usize) {
    let files: Vec<_> =
        (1..=pictures).map(|n| cast_folder().join(format!("mara/{n}.png")).display().to_string()).collect();
    let files = files.iter().map(String::as_str);
    let create: Vec<_> = ["character", "create", "lab", "MARA"].into_iter().chain(files).collect();
    let made = farm.said(&create).await;
    assert!(made.contains("profile ready"), "{made}");
}

async fn versions(farm: &Farm) -> Vec<Value> {
    serde_json::from_str(&farm.said(&["lora", "list", "lab", "MARA", "--json"]).await).unwrap()
}

/// The take of a shot filmed with what is in force now, and whether it had not been asked for before.
async fn take(lab: &Project) -> (String, bool) {
    let pushed = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await;
    let job = lab.ended(&pushed.job.name).await;
    let (report, _) = lab.report(&job).await;
    (report["shots"][0]["takes"][0]["video"].as_str().unwrap().to_owned(), pushed.created)
}

#[tokio::test]
async fn a_lora_is_trained_proved_deployed_and_rolled_back() {
    let (farm, lab, _pack) = farm(0).await;
    mara(&farm, 3).await;
    let refused = farm.said(&["lora", "train", "lab", "MARA"]).await;
    assert!(refused.contains("train LoRA: MARA: it has 3 references, tier low needs 5"), "{refused}");
    mara(&farm, 5).await;
    let bare = take(&lab).await.0;
    let asked = farm.said(&["lora", "train", "lab", "MARA", "--text-alone", "--json"]).await;
    let asked: Value = serde_json::from_str(&asked).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("samples");
    let watch = ["watch", asked["job"]["name"].as_str().unwrap(), "--samples", samples.to_str().unwrap()];
    let told = farm.said(&watch).await;
    assert!(told.contains("MARA LoRA: done"), "{told}");
    assert!(fs::read(samples.join("sample-1.jpg")).unwrap().starts_with(b"\xff\xd8"), "drawn before the first step");
    let again = farm.said(&["lora", "train", "lab", "mara", "--text-alone"]).await;
    assert!(again.contains("done (asked before)"), "{again}");
    let listed = farm.said(&["lora", "list", "lab", "MARA"]).await;
    assert!(listed.contains("by caption alone"), "{listed}");
    let [version] = &versions(&farm).await[..] else { panic!("one version") };
    assert_eq!(
        (&version["active"], &version["proof"]["pictures"]),
        (&false.into(), &32.into()),
        "three steps teach nothing"
    );
    assert!(version["reasons"][0].as_str().unwrap().contains("mean IDR changes by"), "{version}");
    let job = version["job"].as_str().unwrap();
    let saved = farm.said(&["pull", job, "--out", folder.path().to_str().unwrap()]).await;
    assert!(["lora.safetensors", "proof.png", "samples.png"].iter().all(|file| saved.contains(file)), "{saved}");
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("MARA LoRA 1") && page.contains("Mean IDR by caption alone"));
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["dataset"]["pictures"].as_array().unwrap().len(), 4, "one of five is held out: {report}");
    let deployed = farm.said(&["lora", "deploy", "lab", "MARA", "1"]).await;
    assert!(deployed.contains("  1  in force"), "{deployed}");
    let (with, new) = take(&lab).await;
    assert!(new && with != bare, "another plan, another picture");
    let back = farm.said(&["lora", "rollback", "lab", "MARA"]).await;
    assert!(back.contains("taken out of force by hand"), "{back}");
    assert_eq!(take(&lab).await, (bare, false));
}

#[tokio::test]
async fn a_lora_is_made_smaller_written_for_peft_and_taken_back_from_a_file() {
    let (farm, _lab, _pack) = farm(0).await;
    mara(&farm, 5).await;
    farm.said(&["lora", "train", "lab", "MARA", "--watch"]).await;
    let refused = farm.said(&["lora", "shrink", "lab", "MARA", "1", "--rank", "8"]).await;
    assert!(refused.contains("version 1 has rank 8, 8 is not lower"), "{refused}");
    let told = farm.said(&["lora", "shrink", "lab", "MARA", "1", "--rank", "2", "--watch"]).await;
    assert!(told.contains("made smaller from version 1: mean IDR changes by") && told.contains("version 1 at rank 2"));
    let folder = tempfile::tempdir().unwrap();
    let [whole, small] = ["whole", "small"].map(|name| folder.path().join(name).with_extension("safetensors"));
    farm.said(&["lora", "save", "lab", "MARA", "1", whole.to_str().unwrap()]).await;
    let peft = ["lora", "save", "lab", "MARA", "2", small.to_str().unwrap(), "--naming", "peft", "--precision", "f16"];
    let said = farm.said(&peft).await;
    assert!(said.contains("saved"), "{said}");
    let bytes = fs::read(&small).unwrap();
    assert!(bytes.len() * 4 < fs::read(&whole).unwrap().len(), "a quarter of the rank in half the precision");
    assert!(String::from_utf8_lossy(&bytes).contains("lora_A.weight"), "peft's names");
    let told = farm.said(&["lora", "add", "lab", "MARA", small.to_str().unwrap(), "--watch"]).await;
    assert!(told.contains("MARA LoRA from small.safetensors: done") && told.contains("rank 2, from small"), "{told}");
    assert_eq!(versions(&farm).await.len(), 3);
    fs::write(&small, b"no adapter").unwrap();
    let refused = farm.said(&["lora", "add", "lab", "MARA", small.to_str().unwrap(), "--watch"]).await;
    assert!(refused.contains("failed") && refused.contains("safetensors"), "{refused}");
}

#[tokio::test]
async fn a_run_that_learns_films_trains_proves_and_says_what_it_brings() {
    let (pack, folder) = (quick_pack(), tempfile::tempdir().unwrap());
    let [script, cast, out] = ["one.toml", "cast", "out"].map(|name| folder.path().join(name).display().to_string());
    fs::write(&script, shot_file("One", &[CLOSE_MARA])).unwrap();
    fs::create_dir_all(Path::new(&cast).join("mara")).unwrap();
    for n in 1..=5 {
        let picture = format!("mara/{n}.png");
        fs::copy(cast_folder().join(&picture), Path::new(&cast).join(&picture)).unwrap();
    }
    let models = pack.path().display().to_string();
    let run = ["run", &script, "--cast", &cast, "--out", &out, "--pack", &models, "--learn", "--json"];
    let output = greenroom(run.into_iter().chain(["--set", "size=384x224", "--set", "retries=0"])).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [mara] = &told["loras"].as_array().unwrap()[..] else { panic!("{told}") };
    assert_eq!((&mara["character"], &mara["lora"]["number"]), (&"MARA".into(), &1.into()));
    assert!(mara["lora"]["proof"]["text_alone"].is_number(), "{told}");
    assert_eq!(mara["lora"]["active"], told["learnt"].is_object(), "it is filmed again with what is in force: {told}");
    for file in ["episode.mp4", "report.html", "loras/mara/report.html", "loras/mara/lora.safetensors"] {
        assert!(Path::new(&out).join(file).is_file(), "{file}");
    }
}

#[tokio::test]
async fn a_film_with_enough_pictures_trains_by_itself_and_all_of_it_can_be_forgotten() {
    let (farm, lab, _pack) = farm(3).await;
    mara(&farm, 5).await;
    take(&lab).await;
    until("a LoRA is there", async || versions(&farm).await.pop()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mara.safetensors");
    let saved = farm.said(&["lora", "save", "lab", "MARA", "1", file.to_str().unwrap()]).await;
    assert!(saved.contains("saved"), "{saved}");
    let adapter = fs::read(&file).unwrap();
    let weights = &adapter[adapter.len() / 2..][..4096];
    assert!(farm.holds(weights));
    let told = farm.said(&["character", "forget", "lab", "MARA", "--yes"]).await;
    assert!(told.contains("verified: nothing of it is left"), "{told}");
    assert!(!farm.holds(weights));
}
