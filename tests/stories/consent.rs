//! A real person brings consent, and can be forgotten for good.

use greenroom_tests::{Farm, cast_folder, greenroom, reference};
use serde_json::Value;
use std::{fs, path::Path, process::Output};
use tempfile::TempDir;

async fn ask(farm: &Farm, arguments: &[&str]) -> Output {
    let (address, token) = (farm.address(), farm.state().join("admin.token"));
    let token = token.to_str().unwrap();
    greenroom(arguments.iter().copied().chain(["--address", &address, "--token-file", token])).await
}

async fn said(farm: &Farm, arguments: &[&str]) -> String {
    let output = ask(farm, arguments).await;
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// Whether any file below a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, bytes);
        }
        fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn a_real_person_is_made_with_consent_and_forgotten_with_proof() {
    let mut farm = Farm::start().await;
    farm.project("lab").await;
    let folder = TempDir::new().unwrap();
    let [release, receipt] = ["jane.pdf", "receipt.json"].map(|name| folder.path().join(name));
    let receipt_file = receipt.to_str().unwrap();
    fs::write(&release, "%PDF signed by Jane").unwrap();
    let picture = cast_folder().join("mara/1.png");
    let create = ["character", "create", "lab", "MARA", picture.to_str().unwrap(), "--real-person"];
    let refused = said(&farm, &create).await;
    assert!(refused.contains("create character: MARA: it is a real person, and there is no consent"), "{refused}");
    let consent = ["--subject", "Jane Doe", "--consent", release.to_str().unwrap(), "--licence", "this film"];
    let made = said(&farm, &[&create[..], &consent].concat()).await;
    assert!(made.contains("profile ready, real person"), "{made}");
    assert!(made.contains("  consent      Jane Doe, by jane.pdf, until withdrawn\n  licence      this film"), "{made}");
    let secrets = [&b"Jane Doe"[..], b"%PDF signed", &reference("mara", "1.png")[..4096]];
    assert!(secrets.iter().all(|secret| holds(farm.state(), secret)));
    let unasked = said(&farm, &["character", "forget", "lab", "MARA"]).await;
    assert!(unasked.contains("nobody can be asked here whether it is meant\n  try: add --yes"), "{unasked}");
    let told = said(&farm, &["character", "forget", "lab", "mara", "--yes", "--receipt", receipt_file]).await;
    assert!(
        told.contains("MARA: forgotten (1 revision)") && told.contains("verified: nothing of it is left"),
        "{told}"
    );
    assert!(secrets.iter().all(|secret| !holds(farm.state(), secret)));
    let proof: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
    assert_eq!(proof["verification"]["clean"], true);
    let kinds: Vec<_> = proof["removed"].as_array().unwrap().iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert!(["consent", "profile", "reference", "thumbnail"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    farm.kill_daemon();
    farm.restart().await;
    let gone = said(&farm, &["character", "show", "lab", "MARA", "--json"]).await;
    let gone: Value = serde_json::from_str(&gone).unwrap();
    assert_eq!(gone["error"]["kind"], "gone");
}
