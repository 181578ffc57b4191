//! How long an event takes from the change that it tells of to each of 500 people who watch: `cargo xtask measure scale`.
//!
//! The watchers are streams of this process, 50 on each connection, so their own work is in the figure too.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, not a library"
)]

use greenroom_proto::v1::{self, event::Body, watch_job_response::Update};
use greenroom_tests::{Client, Farm, Options};
use std::{fs, time::Instant};
use tokio::sync::mpsc;

const WATCHERS: usize = 500;
/// Watchers that share a connection.
const TOGETHER: usize = 50;
/// Changes that are told of.
const ROUNDS: i32 = 20;

const TEMPLATE: &str = "specificationVersion: jobtemplate-2023-09\nname: Nothing\nsteps:\n  - name: Run\n    script:\n      \
                        actions:\n        onRun: { command: \"true\" }\n";

#[tokio::main]
async fn main() {
    let farm = Farm::start_with(Options { workers: 0, commands: Some(String::new()), ..Options::default() }).await;
    let lab = farm.project("lab").await;
    let template_digest = lab.client().upload(TEMPLATE.as_bytes()).await;
    let request = v1::PushTemplateRequest {
        parent: lab.name().to_owned(),
        file_name: "job.yaml".into(),
        template_digest,
        parameters_json: "{}".into(),
        template_folder: "/".into(),
        working_folder: "/".into(),
        ..v1::PushTemplateRequest::default()
    };
    let name = lab.client().jobs().push_template(request).await.unwrap().into_inner().job.unwrap().name;
    let token = fs::read_to_string(farm.state().join("admin.token")).unwrap();
    let (heard, mut hears) = mpsc::unbounded_channel();
    for _ in 0..WATCHERS / TOGETHER {
        let client = Client::connect(&farm.address(), token.trim()).await;
        for _ in 0..TOGETHER {
            let request = v1::WatchJobRequest { name: name.clone(), ..v1::WatchJobRequest::default() };
            let mut stream = client.jobs().watch_job(request).await.unwrap().into_inner();
            let heard = heard.clone();
            tokio::spawn(async move {
                while let Ok(Some(update)) = stream.message().await {
                    if let Some(Update::Event(v1::Event { body: Some(Body::Job(job)), .. })) = update.update {
                        let _ = heard.send((job.priority, Instant::now()));
                    }
                }
            });
        }
    }
    let mut times = vec![];
    // The first word of each tells how the job is already.
    for _ in 0..WATCHERS {
        hears.recv().await.unwrap();
    }
    for round in 0..ROUNDS {
        let priority = round % 10 + 1;
        let changed = Instant::now();
        let request = v1::AdjustJobRequest { name: name.clone(), priority: Some(priority), paused: None };
        lab.client().jobs().adjust_job(request).await.unwrap();
        let mut told = 0;
        while told < WATCHERS {
            let (of, at) = hears.recv().await.unwrap();
            if of == priority {
                times.push(at.duration_since(changed).as_secs_f64() * 1e3);
                told += 1;
            }
        }
    }
    times.sort_by(f64::total_cmp);
    print("fanout_p50_ms", times[times.len() / 2]);
    print("fanout_p99_ms", times[times.len() * 99 / 100]);
}

fn print(figure: &str, value: f64) {
    println!("{}", serde_json::json!({ "figure": figure, "value": value, "unit": "ms" }));
}
