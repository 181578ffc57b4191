//! Artifacts in a bucket instead of a folder.

use futures::TryStreamExt as _;
use greenroom_artifacts::{ArtifactError, ArtifactStore, Place};
use greenroom_domain::Digest;
use greenroom_tests::{BUCKET, Bucket, CLOSE_MARA, Farm, Options, shot_file};
use std::time::SystemTime;

fn place(prefix: &str) -> Place {
    Place::Bucket { bucket: BUCKET.into(), prefix: prefix.into() }
}

async fn listed(store: &ArtifactStore) -> Vec<(Digest, u64)> {
    store.list().try_collect().await.unwrap()
}

#[tokio::test]
async fn what_is_put_into_a_bucket_comes_back_whole_and_goes_when_it_is_removed() {
    let bucket = Bucket::start().await;
    let store = place("farm/one").open(bucket.right_settings()).unwrap();
    // More than two parts of a multipart upload.
    let long: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for bytes in [b"abc".to_vec(), long] {
        let digest = store.put_bytes(bytes.clone().into()).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(store.get_bytes(digest, 1 << 30).await.unwrap(), bytes);
        assert_eq!(listed(&store).await, [(digest, bytes.len() as u64)], "and nothing of the upload is left beside it");
        assert!(store.remove(digest).await.unwrap() && !store.has(digest).await.unwrap());
    }
    assert_eq!(store.sweep_temporary(SystemTime::UNIX_EPOCH).await.unwrap(), 0);
}

#[tokio::test]
async fn prefixes_of_one_bucket_are_farms_of_their_own() {
    let bucket = Bucket::start().await;
    let [one, two] = ["one", "two"].map(|prefix| place(prefix).open(bucket.right_settings()).unwrap());
    let digest = one.put_bytes(b"abc".to_vec().into()).await.unwrap();
    assert!(one.has(digest).await.unwrap() && !two.has(digest).await.unwrap());
    let hex = digest.to_string();
    let file = bucket.folder().join(BUCKET).join("one").join(&hex[..2]).join(&hex[2..4]).join(&hex);
    assert_eq!(std::fs::read(&file).unwrap(), b"abc", "the key ends as Git LFS wants it");
    std::fs::write(&file, b"abd").unwrap();
    let damaged = one.get_bytes(digest, 10).await;
    assert!(matches!(damaged, Err(ArtifactError::Corrupt { .. })), "{damaged:?}");
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_told_without_it() {
    let bucket = Bucket::start().await;
    let store = place("").open(bucket.settings("not the studio's")).unwrap();
    let problem = store.put_bytes(b"abc".to_vec().into()).await.unwrap_err().problem();
    let told = format!("{problem} {}", problem.remedy);
    assert!(told.contains("SignatureDoesNotMatch") && told.contains("that the bucket is there and its keys are right"));
    assert!(!told.contains("not the studio's"), "{told}");
}

#[tokio::test]
async fn a_farm_films_into_a_bucket() {
    let bucket = Bucket::start().await;
    let artifacts = format!("s3://{BUCKET}/pilot");
    let options = Options { artifacts: Some(artifacts), environment: bucket.right_settings(), ..Options::default() };
    let farm = Farm::start_with(options).await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let job = lab.film("one.toml", &shot_file("One", &[CLOSE_MARA])).await;
    let (report, _) = lab.report(&job).await;
    let take: Digest = report["shots"][0]["takes"][0]["video"].as_str().unwrap().parse().unwrap();
    let store = place("pilot").open(bucket.right_settings()).unwrap();
    assert!(store.has(take).await.unwrap());
    assert!(!farm.state().join("artifacts").exists(), "nothing lies on this machine");
}
