//! Equality with diffusers and peft, on golden files that `tests/golden/make.py` made with them, and with finite differences.

use candle_core::{Device, Tensor};
use greenroom_diffusion::StableDiffusion;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::step::Row;
use super::{Relief, Trainer};
use crate::dataset::{Dataset, Example, Origin};
use crate::lora::File;
use crate::recipe::Recipe;

/// The greatest difference of a loss or gradient that counts as equal, of the largest in its tensor or of 1.
const TOLERANCE: f32 = 1e-4;

struct Golden {
    name: &'static str,
    folder: PathBuf,
    expected: HashMap<String, Tensor>,
}

impl Golden {
    fn all() -> [Self; 3] {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../diffusion/tests/golden");
        [("tiny", tiny.join("tiny")), ("puppet", golden("puppet")), ("tiny_xl", tiny.join("tiny_xl"))].map(
            |(name, folder)| {
                let expected = candle_core::safetensors::load(golden(&format!("{name}.safetensors")), &Device::Cpu);
                Self { name, folder, expected: expected.unwrap() }
            },
        )
    }

    fn model(&self) -> StableDiffusion {
        StableDiffusion::open(&self.folder, None, &Device::Cpu).unwrap()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.expected[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            rank: 3,
            alpha: 2.0,
            batch: 2,
            unet_rate: 1e-2,
            text_rate: 1e-2,
            warm_up: 0,
            weight_decay: 1e-2,
            average: 0.0,
            convolutions: self.name == "tiny",
            resolution: 64,
            bucket_step: 8,
            ..Recipe::default()
        }
    }

    /// The golden file's two pictures, the second of which is told nothing.
    fn dataset(&self) -> Dataset {
        let latents = &self.expected["latents"];
        let sizes = self.floats("sizes");
        let example = |i: usize| Example {
            latent: latents.narrow(0, i, 1).unwrap(),
            caption: ["a man and hair", ""][i].into(),
            origin: Origin::Real,
            digest: i.to_string(),
            sizes: sizes[6 * i..6 * i + 6].try_into().unwrap(),
            identity: None,
        };
        let character = BTreeMap::from([((6, 4), vec![example(0), example(1)])]);
        Dataset { character, ..Dataset::default() }
    }

    fn trainer<'m>(&self, model: &'m mut StableDiffusion) -> Trainer<'m> {
        let stored = File::read(&golden(&format!("{}.lora.safetensors", self.name)), &model.sites()).unwrap();
        let trainer = Trainer::new(model, self.recipe(), self.dataset()).unwrap();
        for value in &trainer.values {
            let factors = &stored.adapter.modules[&value.place];
            let tensor = if value.name.ends_with("down") { &factors.down } else { &factors.up };
            value.var.set(tensor).unwrap();
        }
        trainer
    }

    /// The gradients of the golden file's batch with the loss behind them.
    fn gradients(&self, trainer: &mut Trainer<'_>, rows_at_once: usize) -> Vec<f32> {
        let dataset = trainer.dataset.clone();
        let (times, noise) = (self.floats("times"), self.floats("noise"));
        let each = noise.len() / 2;
        let rows: Vec<Row<'_>> = dataset.character[&(6, 4)]
            .iter()
            .enumerate()
            .map(|(i, example)| Row {
                example,
                time: times[i] as usize,
                noise: noise[i * each..(i + 1) * each].to_vec(),
                caption: &example.caption,
                share: 0.5,
            })
            .collect();
        let count: usize = trainer.values.iter().map(|value| value.var.elem_count()).sum();
        let mut sum = vec![0.0; count + 1];
        rows.chunks(rows_at_once).for_each(|rows| trainer.add_gradients(rows, &mut sum).unwrap());
        sum
    }
}

#[test]
fn loss_and_every_gradient_of_a_step_are_those_of_diffusers_and_peft() {
    for golden in Golden::all() {
        let mut model = golden.model();
        let mut trainer = golden.trainer(&mut model);
        for relief in [Relief { rows: 2, recompute: false }, Relief { rows: 1, recompute: true }] {
            trainer.model.recompute_blocks(relief.recompute);
            let found = golden.gradients(&mut trainer, relief.rows);
            let loss = found.last().copied().unwrap();
            assert!((loss - golden.floats("loss")[0]).abs() <= TOLERANCE, "{}: {loss}", golden.name);
            let (mut rest, mut worst) = (&found[..], 0.0f32);
            for value in &trainer.values {
                let (own, others) = rest.split_at(value.var.elem_count());
                let factor = if value.name.ends_with("down") { "lora_A" } else { "lora_B" };
                let expected = golden.floats(&format!("grad.{}.{factor}.weight", value.place));
                let size = expected.iter().fold(1.0f32, |a, b| a.max(b.abs()));
                let difference = own.iter().zip(&expected).fold(0.0f32, |a, (x, y)| a.max((x - y).abs()));
                assert!(difference <= TOLERANCE * size, "{}: {} differs by {difference}", golden.name, value.name);
                assert!(own.iter().all(|g| g.is_finite()) && own.iter().any(|g| *g != 0.0), "{} has none", value.name);
                worst = worst.max(difference / size);
                rest = others;
            }
            println!("{}: {} tensors, gradients differ by {worst:e}", golden.name, trainer.values.len());
        }
    }
}

#[test]
fn the_losses_of_six_steps_are_those_of_torch() {
    for golden in Golden::all() {
        let mut model = golden.model();
        let mut trainer = golden.trainer(&mut model);
        for (step, expected) in golden.floats("losses").into_iter().enumerate() {
            let gradients = golden.gradients(&mut trainer, 2);
            let report = trainer.apply(gradients).unwrap();
            let difference = (report.loss - expected).abs();
            assert!(difference <= 1e-3, "{}: step {step} has loss {}, not {expected}", golden.name, report.loss);
        }
    }
}

/// The step along each tensor's own gradient must change the loss by that gradient's length, both ways.
#[test]
fn every_tensors_gradient_is_that_of_finite_differences() {
    for golden in Golden::all() {
        let mut model = golden.model();
        let mut trainer = golden.trainer(&mut model);
        let gradients = golden.gradients(&mut trainer, 2);
        let mut first = 0;
        for at in 0..trainer.values.len() {
            let count = trainer.values[at].var.elem_count();
            let gradient = &gradients[first..first + count];
            first += count;
            let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
            if at % 29 != 3 {
                continue; // Two runs of the model for each: one in 29 is enough to wait for.
            }
            let start: Vec<f32> = trainer.values[at].var.flatten_all().unwrap().to_vec1().unwrap();
            let mut slope = |far: f32| {
                let mut loss = |sign: f32| {
                    let moved =
                        start.iter().zip(gradient).map(|(v, g)| v + sign * far * g / length).collect::<Vec<_>>();
                    let var = &trainer.values[at].var;
                    var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
                    golden.gradients(&mut trainer, 2).last().copied().unwrap()
                };
                (loss(1.0) - loss(-1.0)) / (2.0 * far)
            };
            // As far as the loss moves well above its rounding; what is not straight there cancels (Richardson).
            let far = (4e-3 / length).min(0.08);
            let slope = (4.0 * slope(far / 2.0) - slope(far)) / 3.0;
            let var = &trainer.values[at].var;
            var.set(&Tensor::from_vec(start, var.shape(), &Device::Cpu).unwrap()).unwrap();
            let name = &trainer.values[at].name;
            let allowed = 1e-2 * length + 1e-6 / far;
            assert!((slope - length).abs() <= allowed, "{}: {name}: {slope}, gradient {length}", golden.name);
        }
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}
