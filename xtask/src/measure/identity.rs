//! Faces of a clip found and embedded by ours and by python insightface, in one run: the same ONNX files, the same frames, the
//! same cores, and what both found compared.
//!
//! The models have buffalo_l's shapes and random weights (`identity/models.py`), so their boxes are nonsense, and the same
//! nonsense on both sides. The clip is a take of the demo's cast: lossless, so that both decode the same pixels. Ours is the worker's
//! example `measure-identity`, which runs what `validate` runs; the peer is `identity/peer.py`, in the fastest of its ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use super::{Figure, farm};

const PEER: &str = "insightface 2.1, onnxruntime 1.31.1";
/// Boxes of the two sides that share so much of their union are one face.
const SAME_IOU: f64 = 0.5;

/// On what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Frames of the clip.
    #[arg(long, default_value_t = 96, value_name = "N")]
    frames: u32,
    /// Cores that both may use; all if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// What a side says.
#[derive(Debug, Deserialize)]
struct Told {
    seconds: f64,
    cpu_seconds: f64,
    peak_rss_mib: f64,
    frames: Vec<Vec<Face>>,
    #[serde(default)]
    stages: std::collections::BTreeMap<String, f64>,
    #[serde(default)]
    way: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Face {
    #[serde(rename = "box")]
    bbox: [f64; 4],
    embedding: Vec<f64>,
}

/// Our ways: name, folder of the library in the cache, precision. The first is what the goals are for.
const WAYS: &[(&str, &str, &str)] = &[
    ("", "onnxruntime-openvino", "fast"),
    ("exact_", "onnxruntime-openvino", "exact"),
    ("plain_", "onnxruntime", "exact"),
];

pub(super) fn figures(root: &Path, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    set_up(root)?;
    let cache = super::cache()?;
    let threads = options.threads.map_or_else(std::thread::available_parallelism, |n| n.try_into().map_err(invalid))?;
    let threads = threads.to_string();
    let models = models(root, &cache)?;
    let ours = built(root)?;
    let folder = TempDir::with_prefix("greenroom-measure-")?;
    let clip = folder.path().join("clip.mkv");
    let cast = root.join("tests/fixtures/hidden-lab/cast");
    let mut film = Command::new(&ours);
    said(film.arg("clip").arg(cast).arg(&clip).args(["--frames", &options.frames.to_string()]))?;
    let mut python = Command::new(cache.join("measure-venv/bin/python"));
    python.arg(root.join("xtask/src/measure/identity/peer.py")).arg(&clip).arg(&models).arg(&threads);
    let peer = told(python.env("OMP_NUM_THREADS", &threads))?;
    tell(&peer.way);
    for (name, library, precision) in WAYS {
        let mut look = Command::new(&ours);
        look.arg("look").arg(&clip).arg(&models).args(["--threads", &threads, "--precision", precision]);
        look.arg("--onnxruntime").arg(cache.join(library).join("libonnxruntime.so"));
        let own = told(&mut look)?;
        compared(name, &own, &peer)?.iter().for_each(&mut *say);
    }
    Ok(())
}

fn invalid(_: std::num::TryFromIntError) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, "--threads must be at least 1")
}

#[expect(clippy::print_stderr, reason = "a chore says what it found out")]
fn tell(way: &str) {
    eprintln!("the peer's fastest way: {way}");
}

/// Speed, memory and agreement of one of our ways.
fn compared(name: &str, own: &Told, peer: &Told) -> anyhow::Result<Vec<Figure>> {
    ensure!(
        own.frames.len() == peer.frames.len(),
        "{} frames were looked at, {} by the peer",
        own.frames.len(),
        peer.frames.len()
    );
    let rate = |told: &Told| count(told.frames.len()) / told.seconds;
    let beside = |figure: Figure, value| figure.beside(PEER, value);
    let aim = |figure: Figure, goal: &str| Figure { goal: name.is_empty().then(|| goal.to_owned()), ..figure };
    let agreement = Agreement::of(&own.frames, &peer.frames);
    ensure!(agreement.faces > 0, "both sides found no face: nothing can be compared");
    let new = |figure: &str, value, unit| Figure::new(format!("{name}{figure}"), value, unit);
    let frames = count(own.frames.len());
    let mut figures = vec![
        beside(new("frames_per_second", rate(own), "1/s"), rate(peer)),
        aim(new("frames_per_second_ratio", rate(own) / rate(peer), "1"), ">= 2"),
        // Tells the same where others use the machine meanwhile.
        beside(new("cpu_per_frame", own.cpu_seconds * 1e3 / frames, "ms"), peer.cpu_seconds * 1e3 / frames),
        beside(new("peak_rss_mib", own.peak_rss_mib, "MiB"), peer.peak_rss_mib),
        aim(new("embedding_cosine_min", agreement.cosine_min, "1"), ">= 0.9999"),
        aim(new("box_error_px_max", agreement.box_error_max, "px"), "<= 1"),
        new("faces_compared", count(agreement.faces), "1"),
        aim(new("faces_of_one_side", count(agreement.alone), "1"), "== 0"),
    ];
    figures.extend(own.stages.iter().map(|(stage, value)| new(stage, *value, "ms")));
    Ok(figures)
}

/// How much two sides found alike.
#[derive(Debug)]
struct Agreement {
    faces: usize,
    alone: usize,
    cosine_min: f64,
    box_error_max: f64,
}

impl Agreement {
    fn of(own: &[Vec<Face>], peer: &[Vec<Face>]) -> Self {
        let mut of = Self { faces: 0, alone: 0, cosine_min: 1.0, box_error_max: 0.0 };
        for (own, peer) in own.iter().zip(peer) {
            let mut left: Vec<&Face> = peer.iter().collect();
            for face in own {
                let best = (0..left.len()).max_by(|a, b| iou(face, left[*a]).total_cmp(&iou(face, left[*b])));
                match best.filter(|&at| iou(face, left[at]) >= SAME_IOU) {
                    Some(at) => of.add(face, left.swap_remove(at)),
                    None => of.alone += 1,
                }
            }
            of.alone += left.len();
        }
        of
    }

    fn add(&mut self, own: &Face, peer: &Face) {
        let off = own.bbox.iter().zip(peer.bbox).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (a, b) = (&own.embedding, &peer.embedding);
        let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        self.faces += 1;
        self.box_error_max = self.box_error_max.max(off);
        self.cosine_min = self.cosine_min.min(cosine);
    }
}

fn iou(a: &Face, b: &Face) -> f64 {
    let area = |b: [f64; 4]| (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0);
    let (a, b) = (a.bbox, b.bbox);
    let both = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    both / (area(a) + area(b) - both).max(f64::MIN_POSITIVE)
}

#[expect(clippy::cast_precision_loss, reason = "counts of faces and frames are far below 2^53")]
const fn count(of: usize) -> f64 {
    of as f64
}

fn set_up(root: &Path) -> anyhow::Result<()> {
    let status = Command::new(root.join("packaging/setup/setup.sh")).arg("measure").stdin(Stdio::null()).status()?;
    ensure!(status.success(), "packaging/setup/setup.sh measure ended with {status}");
    Ok(())
}

/// The models, made once for each wording of the script that makes them.
fn models(root: &Path, cache: &Path) -> anyhow::Result<PathBuf> {
    let script = root.join("xtask/src/measure/identity/models.py");
    let text = fs::read(&script).with_context(|| format!("read {}", script.display()))?;
    let folder = cache.join("measure-models");
    let made_by = folder.join("models.py");
    if fs::read(&made_by).ok().as_ref() != Some(&text) {
        said(Command::new(cache.join("measure-venv/bin/python")).arg(&script).arg(&folder))?;
        fs::write(made_by, text)?;
    }
    Ok(folder)
}

/// Builds the measuring program, with the libraries and features of what ships.
fn built(root: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["build", "--release", "--locked", "--example", "measure-identity"]);
    command.args(["--package", "greenroom", "--package", "greenroomd", "--package", "greenroom-worker"]);
    let status = command.stdin(Stdio::null()).status().context("start cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    farm::program(root, "examples/measure-identity")
}

fn told(command: &mut Command) -> anyhow::Result<Told> {
    let text = said(command)?;
    // insightface says on standard output what it loads.
    let document = text.lines().last().context("nothing was said")?;
    serde_json::from_str(document).with_context(|| format!("{command:?} said what is no report"))
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f64, embedding: [f64; 2]) -> Face {
        Face { bbox: [x, 0.0, x + 10.0, 10.0], embedding: embedding.to_vec() }
    }

    #[test]
    fn faces_are_compared_with_their_own_and_what_one_side_alone_found_is_counted() {
        let own = vec![vec![face(50.0, [0.0, 1.0]), face(0.5, [1.0, 0.0])]];
        let peer = vec![vec![face(0.0, [3.0, 4.0]), face(50.0, [0.0, 2.0]), face(90.0, [1.0, 1.0])]];
        let found = Agreement::of(&own, &peer);
        assert_eq!((found.faces, found.alone), (2, 1));
        assert!((found.box_error_max - 0.5).abs() < 1e-9 && (found.cosine_min - 0.6).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn only_the_way_that_goals_are_for_has_goals_and_finding_nothing_is_no_agreement() {
        let told = |frames| Told {
            seconds: 2.0,
            cpu_seconds: 3.0,
            peak_rss_mib: 1.0,
            frames,
            stages: Default::default(),
            way: String::new(),
        };
        let some = told(vec![vec![face(0.0, [1.0, 0.0])]; 4]);
        let goals = |name| compared(name, &some, &some).unwrap().iter().filter(|f| f.goal.is_some()).count();
        assert_eq!((goals(""), goals("plain_")), (4, 0));
        let none = told(vec![Vec::new(); 4]);
        assert!(compared("", &none, &none).unwrap_err().to_string().contains("no face"));
    }
}
