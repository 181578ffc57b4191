//! Trains a LoRA on a few pictures: `train MODEL PICTURES.json OUT STEPS`. PICTURES.json is a list of `{"file", "caption", "face":
//! [x0, y0, x1, y1]}` and, last, the prompts to sample: `{"prompt"}`. OUT gets the file, and each sample before and after.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example prints and reads the clock")]

use greenroom_diffusion::{Device, Request, StableDiffusion};
use greenroom_training::dataset::{Dataset, Face, Kind, Origin, Picture};
use greenroom_training::lora::{About, File, Naming, Precision};
use greenroom_training::recipe::{Family, Recipe, Tier};
use greenroom_training::train::Trainer;
use serde::Deserialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Fault = Box<dyn std::error::Error>;

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Picture { file: PathBuf, caption: String, face: [f32; 4] },
    Prompt { prompt: String },
}

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, pictures, out, steps] = &arguments[..] else {
        return Err("train MODEL PICTURES.json OUT STEPS".into());
    };
    let given: Vec<Given> = serde_json::from_slice(&std::fs::read(pictures)?)?;
    let out = Path::new(out);
    let mut model = StableDiffusion::open(Path::new(folder), None, &Device::Cpu)?;
    let recipe = Recipe { steps: steps.parse()?, ..Recipe::of(Tier::Low, Family::Small) };
    let dataset = Dataset::build(&model, &recipe, read(&given)?, &mut |_| None)?;
    let prompts: Vec<Request> = given.iter().filter_map(request).collect();
    for (i, request) in prompts.iter().enumerate() {
        let made = model.generate(request, &mut |_| ControlFlow::Continue(()))?;
        made.picture.save(out.join(format!("{i}-before.png")))?;
    }
    let (sites, prediction, counts) = (model.sites(), model.prediction(), dataset.counts());
    println!("{} pictures, {} left out, in {} buckets", counts.0, dataset.left_out.len(), dataset.character.len());
    let digest = dataset.digest.clone();
    let mut trainer = Trainer::new(&mut model, recipe.clone(), dataset)?;
    let begun = Instant::now();
    while !trainer.is_done() {
        let report = trainer.step()?;
        if report.step.is_multiple_of(10) {
            let last = &trainer.losses()[report.step - 10..];
            let (mean, rate) = (last.iter().sum::<f32>() / 10.0, report.step as f64 / begun.elapsed().as_secs_f64());
            println!("step {}: loss {mean:.4}, gradient {:.3}, {rate:.2} it/s", report.step, report.gradient);
        }
        if report.step.is_multiple_of(100) {
            trainer.checkpoint(&out.join("training.safetensors"))?;
        }
    }
    for (i, request) in prompts.iter().enumerate() {
        trainer.sample(request)?.picture.save(out.join(format!("{i}-after.png")))?;
    }
    let adapter = trainer.adapter()?;
    let about = About {
        title: "example".into(),
        dataset: Some(digest),
        steps: trainer.steps_done(),
        pictures: counts,
        ..About::default()
    };
    let header = about.header(&recipe, &adapter, &sites, prediction);
    let file = File { adapter, header };
    file.write(&out.join("lora.safetensors"), Naming::Kohya, Precision::F16, &sites)?;
    let shrunk = file.shrink(4)?;
    println!("at rank 4 {:.4} of its energy is left", shrunk.energy);
    Ok(())
}

fn read(given: &[Given]) -> Result<Vec<Picture>, Fault> {
    let picture = |given: &Given| match given {
        Given::Prompt { .. } => Ok(None),
        Given::Picture { file, caption, face: [x0, y0, x1, y1] } => Ok(Some(Picture {
            image: image::open(file)?.to_rgb8(),
            caption: caption.clone(),
            origin: Origin::Real,
            kind: Kind::Character,
            face: Some(Face { x0: *x0, y0: *y0, x1: *x1, y1: *y1 }),
            identity: None,
            views: vec![],
        })),
    };
    given.iter().filter_map(|given| picture(given).transpose()).collect()
}

fn request(given: &Given) -> Option<Request> {
    match given {
        Given::Prompt { prompt } => Some(Request { guidance: 2.5, ..Request::new(prompt, 11, (128, 128), 16) }),
        Given::Picture { .. } => None,
    }
}
