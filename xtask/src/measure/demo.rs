//! The demo from a cold start, as `make demo` runs it once everything is built.
//!
//! Stages are sums over tasks, as the report has them: `demo.generate` is the time that workers held generation tasks,
//! `demo.generate/denoise` and the like are parts of it.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

use super::process::{Memory, children, memory, now, pause};
use super::{Figure, farm};

const SCRIPT: &str = "tests/fixtures/hidden-lab/hidden-lab.fountain";
const CAST: &str = "tests/fixtures/hidden-lab/cast";
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn figures(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let out = tempfile::TempDir::with_prefix("greenroom-measure-")?;
    let mut command = farm::on_its_own(&farm::program(root, "greenroom")?);
    command.args(["--config", "/dev/null", "run"]).arg(root.join(SCRIPT)).arg("--cast").arg(root.join(CAST));
    command.arg("--out").arg(out.path()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let started = now();
    let mut run = command.spawn().context("start greenroom")?;
    let peaks = peaks(&mut run)?;
    let wall = started.elapsed();
    let status = run.wait()?;
    ensure!(status.success() || status.code() == Some(farm::DRAFTS), "greenroom ended with {status}");
    let text = fs::read_to_string(out.path().join("report.json")).context("read report.json")?;
    let report: Report = serde_json::from_str(&text).context("parse report.json")?;
    let mut figures = vec![Figure::seconds("demo.wall", wall)];
    figures.extend(report.figures());
    figures.extend(peaks.into_iter().map(|(program, bytes)| Figure::mebibytes(format!("{program}.peak_rss"), bytes)));
    Ok(figures)
}

/// The peak memory of the farm's programs, bytes: the kernel's own high-water mark as it last stood before each ended.
fn peaks(run: &mut Child) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut peaks = BTreeMap::new();
    while run.try_wait()?.is_none() {
        let daemons = children(run.id());
        let workers = daemons.iter().flat_map(|(pid, _)| children(*pid)).collect::<Vec<_>>();
        for (pid, name) in daemons.into_iter().chain(workers) {
            // It may end between two looks.
            if let Ok(bytes) = memory(pid, Memory::Peak) {
                let peak = peaks.entry(name).or_insert(0);
                *peak = bytes.max(*peak);
            }
        }
        pause(LOOK_EVERY);
    }
    Ok(peaks)
}

/// What is read of `report.json`.
#[derive(Deserialize)]
struct Report {
    shots: Vec<Shot>,
    timings: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Shot {
    accepted: bool,
    takes: Vec<Value>,
}

impl Report {
    fn figures(&self) -> Vec<Figure> {
        let stages = self.timings.iter().map(|(stage, seconds)| Figure::new(format!("demo.{stage}"), *seconds, "s"));
        let accepted = self.shots.iter().filter(|shot| shot.accepted).count();
        let takes = self.shots.iter().map(|shot| shot.takes.len()).sum();
        let counts = [("demo.shots", self.shots.len()), ("demo.shots.accepted", accepted), ("demo.takes", takes)];
        #[expect(clippy::cast_precision_loss, reason = "a script has few shots")]
        let counts = counts.map(|(figure, count)| Figure::new(figure, count as f64, "1"));
        stages.chain(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_gives_its_stages_and_counts() {
        let text = r#"{"version": 1, "timings": {"generate": 90.5, "generate/denoise": 60.0},
            "shots": [{"accepted": true, "takes": [{}]}, {"accepted": false, "takes": [{}, {}, {}, {}]}]}"#;
        let figures = serde_json::from_str::<Report>(text).unwrap().figures();
        let lines = figures.iter().map(|figure| format!("{} {}", figure.figure, figure.value)).collect::<Vec<_>>();
        let expected =
            ["demo.generate 90.5", "demo.generate/denoise 60", "demo.shots 2", "demo.shots.accepted 1", "demo.takes 5"];
        assert_eq!(lines, expected);
    }
}
