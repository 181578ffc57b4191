//! LoRAs: steps beside python diffusers and peft, and what three characters gain that nothing was trained or tuned on.
//!
//! The gain is that of `greenroom run --learn` on the film of the three faces, as `make demo LORA=1` runs it once everything is
//! built: its proofs, and the film that it delivers.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use super::process::now;
use super::{Figure, diffusion, farm};

const SCRIPT: &str = "tests/fixtures/three-faces/three-faces.fountain";
const CAST: &str = "tests/fixtures/three-faces/cast";
/// What a delivered shot's 10th percentile is to reach.
const P10: f64 = 0.75;

/// What the figures are to reach.
const GOALS: &[(&str, &str)] = &[
    ("idr_gain_over_text", ">= 0.15"),
    ("idr_gain_over_ip_adapter", "> 0"),
    ("delivered_p10_share", ">= 0.9"),
    ("lora_loop", "<= 1800"),
];

/// On what.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    #[command(flatten)]
    speed: diffusion::Options,
    /// Only one part.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// Where the films, the proofs and the adapters stay, to be looked at.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// One part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Steps beside peft's.
    Speed,
    /// What the characters gain.
    Gain,
}

/// Each figure goes to `say` as soon as it is known.
pub(super) fn figures(root: &Path, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    if options.only != Some(Part::Gain) {
        diffusion::figures(root, diffusion::What::Lora, &options.speed, say)?;
    }
    if options.only != Some(Part::Speed) {
        let kept = TempDir::with_prefix("greenroom-measure-")?;
        let out = options.keep.as_deref().unwrap_or(kept.path());
        for figure in gain(root, out)? {
            say(&figure.with_goal(GOALS));
        }
    }
    Ok(())
}

fn gain(root: &Path, out: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut command = farm::on_its_own(&farm::program(root, "greenroom")?);
    command.args(["--config", "/dev/null", "--json", "run", "--learn"]).arg(root.join(SCRIPT));
    command.arg("--cast").arg(root.join(CAST)).arg("--out").arg(out);
    let started = now();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start greenroom")?;
    let wall = started.elapsed();
    let status = output.status;
    ensure!(status.success() || status.code() == Some(farm::DRAFTS), "greenroom ended with {status}");
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().context("greenroom said nothing")?;
    let told: Told = serde_json::from_str(last).or_else(|_| serde_json::from_str(&text)).context("parse its answer")?;
    let film = if told.learnt.is_some() { out.join("learnt") } else { out.to_owned() };
    let report = std::fs::read_to_string(film.join("report.json")).context("read report.json")?;
    let report: Report = serde_json::from_str(&report).context("parse report.json")?;
    let mut figures = told.figures()?;
    figures.push(Figure::new("delivered_p10_share", report.delivered(), "1"));
    figures.push(Figure::seconds("lora_loop", wall));
    Ok(figures)
}

/// What is read of the command's answer.
#[derive(Deserialize)]
struct Told {
    loras: Vec<Learnt>,
    #[serde(default)]
    learnt: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Learnt {
    character: String,
    lora: Lora,
}

#[derive(Deserialize)]
struct Lora {
    active: bool,
    proof: Proof,
}

#[derive(Deserialize)]
struct Proof {
    before: f64,
    after: f64,
    text_alone: f64,
    pictures: f64,
    accepted_before: f64,
    accepted_after: f64,
}

impl Told {
    fn figures(&self) -> anyhow::Result<Vec<Figure>> {
        ensure!(!self.loras.is_empty(), "nobody was learnt");
        let mut figures = Vec::new();
        for Learnt { character, lora: Lora { active, proof } } in &self.loras {
            let name = character.to_lowercase();
            figures.push(Figure::new(format!("{name}_gain_over_text"), proof.after - proof.text_alone, "1"));
            figures.push(Figure::new(format!("{name}_gain_over_ip_adapter"), proof.after - proof.before, "1"));
            figures.push(Figure::new(format!("{name}_deployed"), f64::from(u8::from(*active)), "1"));
        }
        let mean = |of: &dyn Fn(&Proof) -> f64| {
            self.loras.iter().map(|learnt| of(&learnt.lora.proof)).sum::<f64>() / self.loras.len() as f64
        };
        let means: [(&str, f64); 4] = [
            ("idr_gain_over_text", mean(&|proof| proof.after - proof.text_alone)),
            ("idr_gain_over_ip_adapter", mean(&|proof| proof.after - proof.before)),
            ("accepted_share_before", mean(&|proof| proof.accepted_before / proof.pictures)),
            ("accepted_share_after", mean(&|proof| proof.accepted_after / proof.pictures)),
        ];
        figures.extend(means.map(|(name, value)| Figure::new(name, value, "1")));
        Ok(figures)
    }
}

/// What is read of `report.json`.
#[derive(Deserialize)]
struct Report {
    shots: Vec<Shot>,
}

#[derive(Deserialize)]
struct Shot {
    expected: Vec<String>,
    chosen_take: Option<u32>,
    takes: Vec<Take>,
}

#[derive(Deserialize)]
struct Take {
    take: u32,
    verdict: Verdict,
}

#[derive(Deserialize)]
struct Verdict {
    characters: Vec<Score>,
}

#[derive(Deserialize)]
struct Score {
    character: String,
    p10: Option<f64>,
}

impl Report {
    /// Share of the shots with somebody in whose chosen take everybody reaches [`P10`].
    fn delivered(&self) -> f64 {
        let shots: Vec<&Shot> = self.shots.iter().filter(|shot| !shot.expected.is_empty()).collect();
        let good = |shot: &&&Shot| {
            let chosen = shot.takes.iter().find(|take| Some(take.take) == shot.chosen_take);
            let score = |who: &String| chosen?.verdict.characters.iter().find(|c| c.character == *who)?.p10;
            shot.expected.iter().all(|who| score(who).is_some_and(|p10| p10 >= P10))
        };
        shots.iter().filter(good).count() as f64 / shots.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_means_over_characters() {
        let lora = |before: f64, after: f64| {
            let proof = serde_json::json!({"before": before, "after": after, "text_alone": 0.3, "pictures": 32,
                "accepted_before": 8, "accepted_after": 16, "copies": 0});
            serde_json::json!({"character": "JUNO", "lora": {"active": after > before, "proof": proof}})
        };
        let told = serde_json::json!({"shots": 6, "loras": [lora(0.5, 0.6), lora(0.4, 0.4)]});
        let told: Told = serde_json::from_value(told).unwrap();
        let figures = told.figures().unwrap();
        let of = |name: &str| figures.iter().find(|f| f.figure == name).unwrap().value;
        assert!((of("idr_gain_over_text") - 0.2).abs() < 1e-9 && (of("idr_gain_over_ip_adapter") - 0.05).abs() < 1e-9);
        assert!((of("accepted_share_after") - 0.5).abs() < 1e-9);
        assert!(Told { loras: vec![], learnt: None }.figures().is_err());
    }

    #[test]
    fn a_shot_is_delivered_well_if_everybody_in_it_is() {
        let shot = |expected: &[&str], p10: f64| {
            let score = serde_json::json!({"character": "JUNO", "p10": p10});
            let takes = serde_json::json!([{"take": 2, "verdict": {"characters": [score]}}]);
            serde_json::json!({"expected": expected, "chosen_take": 2, "takes": takes})
        };
        let shots = serde_json::json!({"shots": [
            shot(&["JUNO"], 0.8), shot(&["JUNO"], 0.7), shot(&["JUNO", "OTIS"], 0.8), shot(&[], 0.0), shot(&["JUNO"], 0.75),
        ]});
        let report: Report = serde_json::from_value(shots).unwrap();
        assert!((report.delivered() - 0.5).abs() < 1e-9);
    }
}
