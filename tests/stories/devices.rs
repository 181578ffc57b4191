//! What a machine has, what is wrong with it, and what a worker dies of.

use greenroom_proto::v1::job::State;
use greenroom_tests::{CLOSE_MARA, Farm, MemoryLimit, Options, shot_file, until};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/devices.example.toml");

async fn told(farm: &Farm, arguments: &[&str]) -> Value {
    let said = farm.said(&[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
}

/// What the farm knows of a device, once it is as it should be.
async fn device(farm: &Farm, name: &str, ready: impl Fn(&Value) -> bool) -> Value {
    until("the device is told of", async || {
        let devices = told(farm, &["devices"]).await;
        devices.as_array()?.iter().find(|device| device["device"] == name && ready(device)).cloned()
    })
    .await
}

fn environment(pid: u32, name: &str) -> Option<String> {
    let all = fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
    all.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

#[tokio::test]
async fn every_card_and_slice_of_a_machine_gets_a_worker_that_sees_it_alone() {
    let simulated = Some((Path::new(EXAMPLE).to_owned(), 3));
    let farm = Farm::start_with(Options { simulated, ..Options::default() }).await;
    let sees: BTreeSet<_> =
        farm.worker_pids().iter().filter_map(|&pid| environment(pid, "CUDA_VISIBLE_DEVICES")).collect();
    assert_eq!(sees.len(), 4, "{sees:?}");
    assert!(sees.contains(""), "the processor's worker sees no card");
    let card = device(&farm, "cuda:0", |card| card["others_mib"] == 4096).await;
    assert_eq!((&card["memory_mib"], &card["free_mib"]), (&143_771.into(), &(143_771 - 4096).into()), "{card}");
    assert!(card["uuid"].as_str().is_some_and(|uuid| sees.contains(uuid)), "{card}");
    assert_eq!(
        (&card["temperature_c"], &card["ecc_errors"], &card["others"][0]),
        (&41.into(), &0.into(), &4711.into())
    );
    let slice = device(&farm, "cuda:1:1", |_| true).await;
    assert_eq!(
        (&slice["kind"], &slice["profile"], &slice["memory_mib"]),
        (&"mig".into(), &"3g.71gb".into(), &71_000.into())
    );
}

#[tokio::test]
async fn a_card_with_memory_errors_is_given_nothing_and_why_tells_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let card = |errors: u64| {
        let card = "name = \"cuda:0\"\nid = \"GPU-1\"\nkind = \"gpu\"\nmodel = \"NVIDIA H200\"\nmemory_mib = 143771\n";
        fs::write(file.path(), format!("[[devices]]\n{card}ecc_errors = {errors}\n")).unwrap();
    };
    card(2);
    let simulated = Some((file.path().to_owned(), 1));
    let farm = Farm::start_with(Options { simulated, ..Options::default() }).await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let policy = tempfile::NamedTempFile::new().unwrap();
    fs::write(&policy, "[needs.generate]\nvram_mib = 20000\n").unwrap();
    farm.said(&["policy", "set", policy.path().to_str().unwrap()]).await;
    device(&farm, "cuda:0", |card| card["unfit"] == "2 memory errors were not corrected").await;
    let job = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await.job.name;
    let why = told(&farm, &["why", &job]).await;
    let why = why.as_array().unwrap().iter().find(|why| why["kind"] == "generate").unwrap();
    assert_eq!(why["code"], "device-unfit", "{why}");
    assert!(why["sentence"].as_str().unwrap().contains("cuda:0: 2 memory errors were not corrected"), "{why}");
    card(0);
    let job = lab.ended(&job).await;
    assert!(matches!(job.state(), State::Done | State::Draft), "it takes work again: {job:?}");
}

#[tokio::test]
async fn a_worker_that_runs_out_of_memory_is_told_from_one_that_crashed() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    let Some(_limit) = MemoryLimit::on(farm.worker_pids()[0], 24) else {
        println!(
            "not tried: this machine lets nobody make a memory cgroup; greenroomd's own tests tell the files of one"
        );
        return;
    };
    lab.cast().await;
    let job = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await.job.name;
    let job = lab.ended(&job).await;
    assert!(matches!(job.state(), State::Done | State::Draft), "{job:?}");
    let log = farm.log();
    assert!(log.contains("worker.exit") && log.contains("out of memory (the kernel killed it)"), "{log}");
    assert!(log.contains("its worker ran out of memory"), "{log}");
    farm.kill_worker();
    until("the kill is noticed", async || farm.log().contains("signal 9 (SIGKILL)").then_some(())).await;
}
