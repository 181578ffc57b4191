//! LoRA → LoRA of another rank, naming or precision. What is not for the pack's models is refused here.

use greenroom_domain::{ConvertSpec, LoraNaming, LoraPrecision, TaskOutput};
use greenroom_training::lora::{File, Naming, Precision};

use super::{Bench, Progress, go_on};
use crate::{clock::Timings, fault::Fault};

pub(super) fn run(bench: &mut Bench, spec: &ConvertSpec, progress: &mut Progress<'_>) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let sites = bench.models.diffusion()?.sites();
    let path = bench.scratch.join(format!("{}.safetensors", spec.lora));
    bench.fetch(spec.lora, &path)?;
    let read = timings.of("read", || File::read(&path, &sites));
    // It lies in memory now.
    let _ = std::fs::remove_file(&path);
    let mut file = read?;
    let mut energy = 1.0;
    if let Some(rank) = spec.rank.map(|rank| rank as usize).filter(|rank| *rank < highest(&file).0) {
        go_on(progress(0.2, &format!("reducing {} layers to rank {rank}", file.adapter.modules.len())))?;
        let shrunk = timings.of("shrink", || file.shrink(rank))?;
        (file, energy) = (shrunk.file, shrunk.energy);
    }
    let (rank, alpha) = highest(&file);
    let naming = match spec.naming {
        LoraNaming::Kohya => Naming::Kohya,
        LoraNaming::Peft => Naming::Peft,
    };
    let precision = match spec.precision {
        LoraPrecision::F32 => Precision::F32,
        LoraPrecision::F16 => Precision::F16,
        LoraPrecision::Bf16 => Precision::Bf16,
    };
    go_on(progress(0.9, "writing"))?;
    let bytes = timings.of("write", || file.to_bytes(naming, precision, &sites))?;
    let lora = bench.keep_bytes(bytes)?;
    Ok(TaskOutput::Converted { lora, rank: rank as u32, alpha: alpha as f32, energy, timings: timings.seconds() })
}

/// Rank and alpha of the layer with the highest rank.
fn highest(file: &File) -> (usize, f64) {
    let layers = file.adapter.modules.values().map(|factors| (factors.rank(), factors.alpha));
    layers.max_by_key(|(rank, _)| *rank).unwrap_or_default()
}
