//! One optimiser step: draw, predict, weigh, average, clip, update.

use candle_core::backprop::GradStore;
use candle_core::{D, Tensor};
use greenroom_diffusion::{GenerateError, IdentityTokens, Noisy, Part, Prediction, Texts};

use super::memory::{advice, is_full, relieved};
use super::optimizer::average_decay;
use super::order::of_class;
use super::{Draw, Relief, StepReport, TrainError, Trainer};
use crate::dataset::Example;

/// A row of a batch with its chance drawn.
pub(super) struct Row<'d> {
    pub(super) example: &'d Example,
    pub(super) time: usize,
    pub(super) noise: Vec<f32>,
    pub(super) caption: &'d str,
    /// Share of the loss of the whole step.
    pub(super) share: f64,
}

impl Trainer<'_> {
    /// Takes one step. Where it fails nothing is changed, and the step can be tried again.
    ///
    /// # Errors
    /// Where the loss is no number, where memory does not suffice, where another trainer is gone, and where computing failed.
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        let number = self.step + 1;
        let mut relief = self.relief;
        let done = relieved(&mut relief, is_full_memory, |relief| self.gradients(relief));
        self.relief = relief;
        let Some(done) = done else {
            let advice = advice(self.recipe.resolution, self.recipe.bucket_step);
            return Err(TrainError::Memory { step: number, advice });
        };
        self.apply(done?)
    }

    /// Takes the step that these gradients, and the loss behind them, make together with those of other trainers.
    pub(super) fn apply(&mut self, mut flat: Vec<f32>) -> Result<StepReport, TrainError> {
        let number = self.step + 1;
        self.reducer.average(&mut flat)?;
        let Some(loss) = flat.pop() else { return Err(TrainError::NoLayers) };
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { step: number, what: "loss" });
        }
        let length = flat.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>().sqrt();
        if !length.is_finite() {
            return Err(TrainError::NotFinite { step: number, what: "gradient" });
        }
        let clip = self.recipe.clip;
        if clip > 0.0 && length > clip {
            // torch adds the same to the length.
            let factor = (clip / (length + 1e-6)) as f32;
            flat.iter_mut().for_each(|g| *g *= factor);
        }
        let pace = self.recipe.pace(self.step);
        self.update(&flat, pace).map_err(|source| TrainError::Compute { step: number, source })?;
        self.step = number;
        self.losses.push(loss);
        Ok(StepReport {
            step: number,
            of: self.recipe.steps,
            loss,
            rate: self.recipe.unet_rate * pace,
            gradient: length as f32,
            epoch: (number * self.recipe.accumulate) / self.order.batches(),
            relief: self.relief,
        })
    }

    /// Gradients of this step's rows, all values one after another, and behind them the loss.
    pub(super) fn gradients(&mut self, relief: Relief) -> Result<Vec<f32>, TrainError> {
        self.model.recompute_blocks(relief.recompute);
        let batches: Vec<_> = (0..self.recipe.accumulate).map(|i| self.step * self.recipe.accumulate + i).collect();
        let count: usize = self.values.iter().map(|value| value.var.elem_count()).sum();
        let mut sum = vec![0.0; count + 1];
        for batch in batches {
            let (shape, places) = self.order.batch(batch);
            let dataset = self.dataset.clone();
            let first = self.reducer.member() * self.recipe.batch;
            let own = &places[first..first + self.recipe.batch];
            let examples: Vec<_> = own.iter().map(|&place| &dataset.character[&shape][place]).collect();
            let before = batch * places.len() + first;
            let share = 1.0 / (self.recipe.batch * self.recipe.accumulate) as f64;
            let mut rows = vec![self.rows(&examples, Draw::ROW, before, share)];
            if self.recipe.prior_weight > 0.0 {
                let mut draw = Draw::new(self.recipe.seed, Draw::CLASS, (1 << 55) | before as u64);
                let class = of_class(&dataset.class, shape, &mut draw, self.recipe.batch);
                rows.push(self.rows(&class, Draw::CLASS, before, share * self.recipe.prior_weight));
            }
            for rows in rows.iter().flat_map(|rows| rows.chunks(relief.rows)) {
                self.add_gradients(rows, &mut sum)?;
            }
        }
        Ok(sum)
    }

    /// Draws the chance of rows whose first has this number since the training began.
    fn rows<'d>(&self, examples: &[&'d Example], purpose: u64, first: usize, share: f64) -> Vec<Row<'d>> {
        let steps = self.model.variance_kept().len();
        let steps = ((steps as f64 * (1.0 - self.recipe.begin)) as usize).max(1);
        let row = |(i, example): (usize, &&'d Example)| {
            let mut draw = Draw::new(self.recipe.seed, purpose, (first + i) as u64);
            let (time, dropped) = (draw.below(steps), draw.chance(self.recipe.caption_dropout));
            let dims = example.latent.dims();
            let (channels, area) = (dims[1], dims[2] * dims[3]);
            let mut noise = draw.normal(channels * area);
            if self.recipe.noise_offset > 0.0 {
                let shifts = draw.normal(channels);
                for (plane, shift) in noise.chunks_exact_mut(area).zip(shifts) {
                    plane.iter_mut().for_each(|v| *v += self.recipe.noise_offset as f32 * shift);
                }
            }
            Row { example, time, noise, caption: if dropped { "" } else { &example.caption }, share }
        };
        examples.iter().enumerate().map(row).collect()
    }

    /// Adds the gradients and the loss of rows that go through the model at once.
    pub(super) fn add_gradients(&mut self, rows: &[Row<'_>], sum: &mut [f32]) -> Result<(), TrainError> {
        if rows.is_empty() {
            return Ok(());
        }
        let number = self.step + 1;
        let model = |source| TrainError::Model { step: number, source };
        let compute = |source| TrainError::Compute { step: number, source };
        let texts = self.texts(rows).map_err(model)?;
        let identities = self.identities(rows);
        let (noisy, target, weights) = self.noised(rows).map_err(compute)?;
        let times: Vec<f32> = rows.iter().map(|row| row.time as f32).collect();
        let sizes: Vec<[f32; 6]> = rows.iter().map(|row| row.example.sizes).collect();
        let batch = Noisy { latents: &noisy, times: &times, texts: &texts, sizes: &sizes, identities: &identities };
        let prediction = self.model.predict_batch(&batch).map_err(model)?;
        let loss = weighted_loss(&prediction, &target, &weights).map_err(compute)?;
        let value: f32 = loss.to_scalar().map_err(compute)?;
        if !value.is_finite() {
            return Err(TrainError::NotFinite { step: number, what: "loss" });
        }
        let gradients = self.model.gradients(&loss).map_err(model)?;
        self.collect(&gradients, sum).map_err(compute)?;
        if let Some(last) = sum.last_mut() {
            *last += value;
        }
        Ok(())
    }

    /// Noisy latents, what is to be predicted, and each row's weight.
    fn noised(&self, rows: &[Row<'_>]) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
        let device = self.model.device();
        let kept = self.model.variance_kept();
        let column = |of: &dyn Fn(f64) -> f64| {
            let values: Vec<f32> = rows.iter().map(|row| of(kept[row.time]) as f32).collect();
            Tensor::from_vec(values, (rows.len(), 1, 1, 1), device)
        };
        let latents: Vec<&Tensor> = rows.iter().map(|row| &row.example.latent).collect();
        let clean = Tensor::cat(&latents, 0)?;
        let noise: Vec<f32> = rows.iter().flat_map(|row| row.noise.iter().copied()).collect();
        let noise = Tensor::from_vec(noise, clean.shape(), device)?;
        let (picture, share) = (column(&f64::sqrt)?, column(&|kept| (1.0 - kept).sqrt())?);
        let noisy = (clean.broadcast_mul(&picture)? + noise.broadcast_mul(&share)?)?;
        let target = match self.model.prediction() {
            Prediction::Epsilon => noise,
            Prediction::Velocity => (noise.broadcast_mul(&picture)? - clean.broadcast_mul(&share)?)?,
            Prediction::Sample => clean,
        };
        let weight = |row: &Row<'_>| row.share * weight(kept[row.time], self.model.prediction(), self.recipe.min_snr);
        let weights: Vec<f32> = rows.iter().map(|row| weight(row) as f32).collect();
        Ok((noisy, target, Tensor::from_vec(weights, rows.len(), device)?))
    }

    /// What the rows are told. Where the encoders are not trained, each text is encoded once.
    fn texts(&mut self, rows: &[Row<'_>]) -> Result<Texts, GenerateError> {
        let captions: Vec<&str> = rows.iter().map(|row| row.caption).collect();
        if self.values.iter().any(|value| value.place.part != Part::Unet) {
            return self.model.encode_texts(&captions);
        }
        for caption in &captions {
            if !self.texts.contains_key(*caption) {
                let Texts { hidden, pooled } = self.model.encode_texts(&[caption])?;
                let texts = Texts { hidden: hidden.detach(), pooled: pooled.map(|pooled| pooled.detach()) };
                self.texts.insert((*caption).to_owned(), texts);
            }
        }
        let known: Vec<&Texts> = captions.iter().map(|caption| &self.texts[*caption]).collect();
        let failed = |source| GenerateError::Compute { stage: "encoding the prompt", source };
        let hidden = Tensor::cat(&known.iter().map(|texts| &texts.hidden).collect::<Vec<_>>(), 0).map_err(failed)?;
        let pooled: Option<Vec<&Tensor>> = known.iter().map(|texts| texts.pooled.as_ref()).collect();
        let pooled = pooled.map(|pooled| Tensor::cat(&pooled, 0)).transpose().map_err(failed)?;
        Ok(Texts { hidden, pooled })
    }

    /// Whom the rows show, where the recipe wants it and every row has somebody.
    fn identities(&self, rows: &[Row<'_>]) -> Vec<IdentityTokens> {
        let Some(scale) = self.recipe.identity_scale else { return Vec::new() };
        let identity = |row: &Row<'_>| {
            let embedding = row.example.identity.clone()?;
            Some(IdentityTokens { embedding, scale })
        };
        rows.iter().map(identity).collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    fn collect(&self, gradients: &GradStore, sum: &mut [f32]) -> candle_core::Result<()> {
        let mut rest = sum;
        for value in &self.values {
            let (own, others) = rest.split_at_mut(value.var.elem_count());
            if let Some(gradient) = gradients.get(value.var.as_tensor()) {
                let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
                own.iter_mut().zip(gradient).for_each(|(s, g)| *s += g);
            }
            rest = others;
        }
        Ok(())
    }

    fn update(&mut self, flat: &[f32], pace: f64) -> candle_core::Result<()> {
        let (number, recipe, mut rest) = (self.step + 1, &self.recipe, flat);
        for value in &mut self.values {
            let (gradient, others) = rest.split_at(value.var.elem_count());
            let rate = pace * if value.place.part == Part::Unet { recipe.unet_rate } else { recipe.text_rate };
            let mut now = value.var.flatten_all()?.to_vec1::<f32>()?;
            value.moments.update(&mut now, gradient, number, rate, recipe.weight_decay);
            if let Some(average) = &mut value.average {
                let decay = average_decay(recipe.average, number);
                average.iter_mut().zip(&now).for_each(|(a, v)| *a = decay * *a + (1.0 - decay) * v);
            }
            value.var.set(&Tensor::from_vec(now, value.var.shape(), value.var.device())?)?;
            rest = others;
        }
        Ok(())
    }
}

/// Σ over rows of weight × mean squared difference.
fn weighted_loss(prediction: &Tensor, target: &Tensor, weights: &Tensor) -> candle_core::Result<Tensor> {
    let each = (prediction - target)?.sqr()?.flatten_from(1)?.mean(D::Minus1)?;
    (each * weights)?.sum_all()
}

/// min(snr, γ) / snr for a prediction of noise, / (snr + 1) for velocity; a prediction of the picture weighs min(snr, γ).
fn weight(kept: f64, prediction: Prediction, gamma: Option<f64>) -> f64 {
    let Some(gamma) = gamma else { return 1.0 };
    let snr = kept / (1.0 - kept).max(1e-12);
    match prediction {
        Prediction::Epsilon if snr > 0.0 => snr.min(gamma) / snr,
        Prediction::Epsilon => 1.0,
        Prediction::Velocity => snr.min(gamma) / (snr + 1.0),
        Prediction::Sample => snr.min(gamma),
    }
}

fn is_full_memory(error: &TrainError) -> bool {
    match error {
        TrainError::Compute { source, .. }
        | TrainError::Model { source: GenerateError::Compute { source, .. }, .. } => is_full(source),
        _ => false,
    }
}
