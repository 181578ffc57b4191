//! One run over a noise schedule: DDIM (Song et al. 2021, arXiv:2010.02502) without noise between steps, and Euler's method
//! on the same path (Karras et al. 2022, arXiv:2206.00364).
//!
//! Both go from one noise level to the next in a straight line between the predicted picture and the predicted noise; they
//! differ in the levels that they visit. Latents are of unit variance here. diffusers holds those of Euler √(σ² + 1) times
//! larger and divides before the UNet sees them, which loses digits at high noise.

use candle_core::Tensor;

use super::{Prediction, Scheduler, sigma};
use crate::Sampler;

/// The steps of a run.
pub(crate) struct Run {
    steps: Vec<Step>,
    first: f64,
    prediction: Prediction,
    clip: Option<f64>,
}

/// From the latent at `time` to the next.
struct Step {
    time: f32,
    now: Level,
    next: Level,
}

/// A latent is `picture` times the clean latent and `noise` times unit noise.
#[derive(Clone, Copy)]
struct Level {
    picture: f64,
    noise: f64,
}

impl Level {
    fn keeping(kept: f64) -> Self {
        Self { picture: kept.sqrt(), noise: (1.0 - kept).sqrt() }
    }

    fn of_sigma(sigma: f64) -> Self {
        let picture = (sigma * sigma + 1.0).sqrt().recip();
        Self { picture, noise: sigma * picture }
    }
}

impl Scheduler {
    pub(super) fn ddim(&self, count: usize) -> Run {
        let step = |time: f64| {
            // DDIM's spacings give whole training steps.
            let at = time as usize;
            let kept_next = at.checked_sub(self.kept.len() / count).map_or(self.kept_last, |t| self.kept[t]);
            Step { time: time as f32, now: Level::keeping(self.kept[at]), next: Level::keeping(kept_next) }
        };
        let steps = self.times(Sampler::Ddim, count).into_iter().map(step).collect();
        Run { steps, first: 1.0, prediction: self.prediction, clip: self.clip }
    }

    pub(super) fn euler(&self, count: usize) -> Run {
        let times = self.times(Sampler::Euler, count);
        let levels: Vec<Level> = times.iter().map(|&time| Level::of_sigma(self.sigma_at(time))).collect();
        // What is left at the end is not scaled back.
        let last = Level { picture: 1.0, noise: self.noise_last };
        let nexts = levels.iter().skip(1).copied().chain([last]);
        let first = match self.spacing(Sampler::Euler) {
            super::Spacing::Leading => 1.0,
            _ => levels.first().map_or(1.0, |level| level.noise),
        };
        let steps = times.iter().zip(&levels).zip(nexts);
        let steps = steps.map(|((&time, &now), next)| Step { time: time as f32, now, next }).collect();
        Run { steps, first, prediction: self.prediction, clip: None }
    }

    /// σ at a training step, or on the line between two.
    fn sigma_at(&self, time: f64) -> f64 {
        let below = (time.floor() as usize).min(self.kept.len() - 1);
        let above = (below + 1).min(self.kept.len() - 1);
        let (from, to) = (sigma(self.kept[below]), sigma(self.kept[above]));
        from + (to - from) * (time - below as f64)
    }
}

impl Run {
    /// The training steps that it visits, noisiest first.
    pub(crate) fn times(&self) -> Vec<f32> {
        self.steps.iter().map(|step| step.time).collect()
    }

    /// What unit noise is multiplied by to start from it alone.
    pub(crate) fn first(&self) -> f64 {
        self.first
    }

    /// A clean latent with the noise of a step.
    pub(crate) fn add_noise(&self, clean: &Tensor, noise: &Tensor, step: usize) -> candle_core::Result<Tensor> {
        let Level { picture, noise: share } = self.steps[step].now;
        (clean * picture)? + (noise * share)?
    }

    /// From the latent of a step and the UNet's prediction to the latent of the next.
    pub(crate) fn step(&self, step: usize, prediction: &Tensor, latent: &Tensor) -> candle_core::Result<Tensor> {
        let Step { now: Level { picture: a, noise: b }, next, .. } = self.steps[step];
        let (picture, noise) = match self.prediction {
            Prediction::Epsilon => (((latent - (prediction * b)?)? / a)?, prediction.clone()),
            Prediction::Sample => (prediction.clone(), ((latent - (prediction * a)?)? / b)?),
            Prediction::Velocity => (((latent * a)? - (prediction * b)?)?, ((prediction * a)? + (latent * b)?)?),
        };
        let picture = match self.clip {
            Some(range) => picture.clamp(-range, range)?,
            None => picture,
        };
        (picture * next.picture)? + (noise * next.noise)?
    }
}
