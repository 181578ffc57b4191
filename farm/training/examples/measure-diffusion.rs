//! One UNet's predictions or LoRA steps, timed; `cargo xtask measure diffusion` and `measure lora` run it beside python.
//!
//! `measure-diffusion unet|lora FOLDER INPUTS REPEATS`: FOLDER is a model in diffusers' layout, INPUTS a safetensors file with
//! `latents`, `times`, `text`, of XL `pooled` and `sizes`, and what the peer computed of them (`unet`). Prints one JSON document.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints and reads the clock")]

use candle_core::{Device, Tensor};
use greenroom_diffusion::{Noisy, StableDiffusion, Texts};
use greenroom_training::dataset::{Dataset, Example, Origin};
use greenroom_training::recipe::Recipe;
use greenroom_training::train::Trainer;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

type Fault = Box<dyn std::error::Error>;

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, folder, inputs, repeats] = &arguments[..] else {
        return Err("measure-diffusion unet|lora FOLDER INPUTS REPEATS".into());
    };
    let mut model = StableDiffusion::open(Path::new(folder), None, &Device::Cpu)?;
    let inputs = candle_core::safetensors::load(inputs, &Device::Cpu)?;
    let repeats: usize = repeats.parse()?;
    let (spent, difference) = match what.as_str() {
        "unet" => unet(&model, &inputs, repeats)?,
        "lora" => (lora(&mut model, &inputs, repeats)?, 0.0),
        other => return Err(format!("`{other}` is neither unet nor lora").into()),
    };
    let told = serde_json::json!({
        "per_second": repeats as f64 / spent.seconds,
        "cpu_seconds": spent.cpu / repeats as f64,
        "peak_rss_mib": peak_rss_mib()?,
        "max_abs_diff": difference,
    });
    println!("{told}");
    Ok(())
}

/// Predictions, and how far the first is from the peer's.
fn unet(model: &StableDiffusion, inputs: &HashMap<String, Tensor>, repeats: usize) -> Result<(Spent, f32), Fault> {
    let texts = Texts { hidden: inputs["text"].clone(), pooled: inputs.get("pooled").cloned() };
    let times: Vec<f32> = inputs["times"].to_vec1()?;
    let sizes = sizes(inputs)?;
    let batch = Noisy { latents: &inputs["latents"], times: &times, texts: &texts, sizes: &sizes, identities: &[] };
    let difference = (model.predict_batch(&batch)? - &inputs["unet"])?.abs()?.max_all()?.to_scalar()?;
    let spent = Spent::on(repeats, || model.predict_batch(&batch).map(drop).map_err(Fault::from))?;
    Ok((spent, difference))
}

/// Steps with what the peer trains: rank 16 on every projection, each caption encoded once.
fn lora(model: &mut StableDiffusion, inputs: &HashMap<String, Tensor>, repeats: usize) -> Result<Spent, Fault> {
    let latents = &inputs["latents"];
    let (rows, _, height, width) = latents.dims4()?;
    let sizes = sizes(inputs)?;
    let example = |i: usize| {
        Ok::<_, Fault>(Example {
            latent: latents.narrow(0, i, 1)?.contiguous()?,
            caption: "a person".into(),
            origin: Origin::Real,
            digest: i.to_string(),
            sizes: sizes.get(i).copied().unwrap_or_default(),
            identity: None,
        })
    };
    let examples = (0..rows).map(example).collect::<Result<_, _>>()?;
    let dataset = Dataset { character: BTreeMap::from([((height, width), examples)]), ..Dataset::default() };
    let recipe = Recipe { batch: rows, text_rate: 0.0, caption_dropout: 0.0, average: 0.0, ..Recipe::default() };
    let mut trainer = Trainer::new(model, recipe, dataset)?;
    trainer.step()?;
    Spent::on(repeats, || trainer.step().map(|_| ()).map_err(Fault::from))
}

/// Time by the clock, and of all processors together, which tells the same where others use the machine meanwhile.
struct Spent {
    seconds: f64,
    cpu: f64,
}

impl Spent {
    fn on(repeats: usize, mut run: impl FnMut() -> Result<(), Fault>) -> Result<Self, Fault> {
        let (begun, busy) = (Instant::now(), cpu_seconds()?);
        (0..repeats).try_for_each(|_| run())?;
        Ok(Self { seconds: begun.elapsed().as_secs_f64(), cpu: cpu_seconds()? - busy })
    }
}

fn cpu_seconds() -> Result<f64, Fault> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // utime and stime, in hundredths of a second on every Linux.
    let ticks = |i: usize| fields.get(i).and_then(|v| v.parse::<f64>().ok()).ok_or("the system tells no CPU time");
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

fn sizes(inputs: &HashMap<String, Tensor>) -> Result<Vec<[f32; 6]>, Fault> {
    let Some(sizes) = inputs.get("sizes") else { return Ok(Vec::new()) };
    Ok(sizes.to_vec2::<f32>()?.into_iter().map(|row| row.try_into().unwrap_or_default()).collect())
}

fn peak_rss_mib() -> Result<f64, Fault> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the system tells no peak memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
