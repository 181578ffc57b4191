use super::*;

fn site(folder: &Path) -> Arc<Site> {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/packs/puppet");
    Arc::new(Site::open(folder, &pack).unwrap())
}

/// Memory where there is some: a seed's ledger flushes every commit.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// What these seeds broke.
fn broken(seeds: std::ops::Range<u64>) -> Vec<String> {
    let folder = folder();
    let site = site(folder.path());
    let played = seeds.map(|seed| play(&site, seed, None));
    let told = |played: Played| played.broken.into_iter().map(move |what| format!("seed {}: {what}", played.seed));
    played.flat_map(told).collect()
}

#[test]
fn fifty_seeds_lose_nothing_and_publish_nothing_twice() {
    assert_eq!(broken(0..50), Vec::<String>::new());
}

#[test]
fn fifty_others_lose_nothing_and_publish_nothing_twice() {
    assert_eq!(broken(50..100), Vec::<String>::new());
}

#[test]
fn a_seed_goes_the_same_way_again_to_the_byte() {
    let folder = folder();
    let site = site(folder.path());
    // The first has its ledger in SQLite.
    for seed in 0..6 {
        let (first, second) = (play(&site, seed, None), play(&site, seed, None));
        assert!(first.log.len() > 1_000, "{}", first.log);
        assert_eq!(first.log, second.log, "seed {seed}");
    }
}

/// Seeds that are played with a rule broken on purpose: what the audit says of it, if it notices.
fn noticed(breach: Breach, what: &str) -> bool {
    let folder = folder();
    let site = site(folder.path());
    (0..60).any(|seed| play(&site, seed, Some(breach)).broken.iter().any(|broken| broken.contains(what)))
}

#[test]
fn an_output_that_an_old_lease_made_is_noticed() {
    assert!(noticed(Breach::OldEpochs, "did not make"));
}

#[test]
fn a_job_that_was_acknowledged_and_is_not_there_is_noticed() {
    assert!(noticed(Breach::LostJobs, "was acknowledged and is lost"));
}

#[test]
fn a_task_that_is_published_twice_is_noticed() {
    assert!(noticed(Breach::ToldTwice, "was published more than once"));
}

#[test]
fn a_book_that_counts_otherwise_than_the_ledger_is_noticed() {
    assert!(noticed(Breach::LostWrites, "the book counts"));
}
