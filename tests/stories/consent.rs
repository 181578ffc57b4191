//! A real person brings consent, and can be forgotten for good.

use greenroom_tests::{Farm, cast_folder, reference};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

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
    let refused = farm.said(&create).await;
    assert!(refused.contains("create character: MARA: it is a real person, and there is no consent"), "{refused}");
    let consent = ["--subject", "Jane Doe", "--consent", release.to_str().unwrap(), "--licence", "this film"];
    let made = farm.said(&[&create[..], &consent].concat()).await;
    assert!(made.contains("profile ready, real person"), "{made}");
    assert!(made.contains("  consent      Jane Doe, by jane.pdf, until withdrawn\n  licence      this film"), "{made}");
    let secrets = [&b"Jane Doe"[..], b"%PDF signed", &reference("mara", "1.png")[..4096]];
    assert!(secrets.iter().all(|secret| farm.holds(secret)));
    let unasked = farm.said(&["character", "forget", "lab", "MARA"]).await;
    assert!(unasked.contains("nobody can be asked here whether it is meant\n  try: add --yes"), "{unasked}");
    let told = farm.said(&["character", "forget", "lab", "mara", "--yes", "--receipt", receipt_file]).await;
    assert!(
        told.contains("MARA: forgotten (1 revision)") && told.contains("verified: nothing of it is left"),
        "{told}"
    );
    assert!(secrets.iter().all(|secret| !farm.holds(secret)));
    let proof: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
    assert_eq!(proof["verification"]["clean"], true);
    let kinds: Vec<_> = proof["removed"].as_array().unwrap().iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert!(["consent", "profile", "reference", "thumbnail"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    farm.kill_daemon();
    farm.restart().await;
    let gone = farm.said(&["character", "show", "lab", "MARA", "--json"]).await;
    let gone: Value = serde_json::from_str(&gone).unwrap();
    assert_eq!(gone["error"]["kind"], "gone");
}
