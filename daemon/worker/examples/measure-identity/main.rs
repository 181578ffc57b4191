//! Finds and embeds the faces of a clip as `validate` does, and says how long it took and what was found; `cargo xtask measure
//! identity` runs this beside python insightface.
//!
//! An example of the worker, and so built from the very libraries and features that the worker ships with.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measurement prints and reads the clock"
)]

mod clip;
mod stages;

use clap::{Parser, Subcommand, ValueEnum};
use greenroom_domain::{DetectorInput, EmbedderInput};
use greenroom_identity::{Compute, FaceModels, FacePipeline, FoundFace, Precision, Wanted, init_runtime};
use greenroom_media::VideoReader;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

/// Why a measurement ended.
type Fault = Box<dyn std::error::Error>;

/// As insightface looks at a clip.
const WANTED: Wanted = Wanted { score: 0.5, embedded_from: 0.0 };
/// Side of the detector's input, pixels: what SCRFD was published with.
const DETECT_SIZE: u32 = 640;
/// Frames that are looked at before the clock starts.
const WARM: usize = 8;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Films the demo's cast, moving.
    Clip {
        /// The folder with a folder of pictures for each character.
        cast: PathBuf,
        /// The clip.
        out: PathBuf,
        /// How many frames.
        #[arg(long, default_value_t = 96)]
        frames: u64,
    },
    /// Looks at every frame of a clip and prints one JSON document.
    Look {
        clip: PathBuf,
        /// The folder with det_10g.onnx and w600k_r50.onnx.
        models: PathBuf,
        #[arg(long, env = "GREENROOM_ONNXRUNTIME", value_name = "FILE")]
        onnxruntime: PathBuf,
        #[arg(long, default_value_t = 2)]
        threads: usize,
        #[arg(long, value_enum, default_value = "exact")]
        precision: Exactness,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Exactness {
    Exact,
    Fast,
}

fn main() -> ExitCode {
    let done = match Args::parse().what {
        What::Clip { cast, out, frames } => clip::film(&cast, &out, frames),
        What::Look { clip, models, onnxruntime, threads, precision } => init_runtime(&onnxruntime)
            .map_err(Fault::from)
            .and_then(|()| look(&clip, &models, Compute { threads, precision: precision.into() }))
            .map(|told| println!("{told}")),
    };
    done.map_or_else(
        |fault| {
            eprintln!("measure identity: {fault}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn look(clip: &Path, models: &Path, compute: Compute) -> Result<Value, Fault> {
    let models = FaceModels {
        detector: models.join("det_10g.onnx"),
        detect_size: DETECT_SIZE,
        detector_input: DetectorInput::default(),
        embedder: models.join("w600k_r50.onnx"),
        embedder_input: EmbedderInput::default(),
        squares: None,
    };
    let mut pipeline = FacePipeline::open(models, compute)?;
    seen(&mut pipeline, clip, WARM)?;
    let (started, busy) = (Instant::now(), cpu_seconds()?);
    let found = seen(&mut pipeline, clip, usize::MAX)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - busy);
    let peak_rss_mib = peak_rss_mib()?;
    let frames: Vec<Vec<Value>> = found.iter().map(|faces| faces.iter().map(face).collect()).collect();
    let stages = stages::milliseconds(&mut pipeline, clip)?;
    Ok(json!({
        "seconds": seconds, "cpu_seconds": cpu, "peak_rss_mib": peak_rss_mib, "frames": frames, "stages": stages,
    }))
}

/// The faces of a clip's first frames.
fn seen(pipeline: &mut FacePipeline, clip: &Path, frames: usize) -> Result<Vec<Vec<FoundFace>>, Fault> {
    let (mut reader, mut left) = (VideoReader::open(clip)?, frames);
    let next = || -> Result<_, Fault> {
        left = left.saturating_sub(1);
        Ok(if left == 0 { None } else { reader.next_frame()?.map(|(_, picture)| picture) })
    };
    pipeline.look(WANTED, next)
}

fn face(found: &FoundFace) -> Value {
    let b = &found.face.bbox;
    let embedding = found.embedding.as_ref().map(|e| e.as_slice().to_vec());
    json!({ "box": [b.x0, b.y0, b.x1, b.y1], "score": found.face.score, "embedding": embedding })
}

/// What all threads of this process have computed. The kernel counts hundredths.
fn cpu_seconds() -> Result<f64, Fault> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

/// The most memory that this process ever held.
fn peak_rss_mib() -> Result<f64, Fault> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the kernel does not tell VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

impl From<Exactness> for Precision {
    fn from(of: Exactness) -> Self {
        match of {
            Exactness::Exact => Self::Exact,
            Exactness::Fast => Self::Fast,
        }
    }
}
