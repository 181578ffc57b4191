//! One run over a noise schedule: DDIM (Song et al. 2021, arXiv:2010.02502) without noise between steps, Euler's method on the
//! same path (Karras et al. 2022, arXiv:2206.00364), the same with fresh noise between steps, and DPM-Solver++ of second order
//! over two steps (Lu et al. 2022, arXiv:2211.01095).
//!
//! All go from one noise level to the next in a straight line between the predicted picture and the predicted noise; they
//! differ in the levels that they visit, in what noise they add, and in that the last bends the line by what was predicted
//! before. Latents are of unit variance here. diffusers holds those of Euler √(σ² + 1) times
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
    /// Fresh noise that is added.
    fresh: f64,
    /// How far the line is bent by the difference of this predicted picture and the one before.
    bend: f64,
}

/// What a run carries from one step to the next.
#[derive(Default)]
pub(crate) struct Walk {
    /// The last predicted picture, where it will be asked for.
    last: Option<Tensor>,
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

    /// λ, half the logarithm of the signal's power over the noise's.
    fn log_ratio(self) -> f64 {
        (self.picture / self.noise).ln()
    }
}

impl Scheduler {
    pub(super) fn ddim(&self, count: usize) -> Run {
        let step = |time: f64| {
            // DDIM's spacings give whole training steps.
            let at = time as usize;
            let kept_next = at.checked_sub(self.kept.len() / count).map_or(self.kept_last, |t| self.kept[t]);
            Step {
                time: time as f32,
                now: Level::keeping(self.kept[at]),
                next: Level::keeping(kept_next),
                fresh: 0.0,
                bend: 0.0,
            }
        };
        let steps = self.times(Sampler::Ddim, count).into_iter().map(step).collect();
        Run { steps, first: 1.0, prediction: self.prediction, clip: self.clip }
    }

    /// Euler's run; with fresh noise each step goes farther down and is lifted to the next level by that noise.
    pub(super) fn euler(&self, sampler: Sampler, count: usize) -> Run {
        let times = self.times(sampler, count);
        let levels: Vec<Level> = times.iter().map(|&time| Level::of_sigma(self.sigma_at(time))).collect();
        // What is left at the end is not scaled back.
        let ancestral = sampler == Sampler::EulerAncestral;
        let last = Level { picture: 1.0, noise: if ancestral { 0.0 } else { self.noise_last } };
        let nexts = levels.iter().skip(1).copied().chain([last]);
        let first = match self.spacing(sampler) {
            super::Spacing::Leading => 1.0,
            _ => levels.first().map_or(1.0, |level| level.noise),
        };
        let steps = times.iter().zip(&levels).zip(nexts);
        let step = |((&time, &now), next): ((&f64, &Level), Level)| {
            let (mut next, mut fresh) = (next, 0.0);
            if ancestral {
                let (from, to) = (now.noise / now.picture, next.noise / next.picture);
                let up = to * ((from * from - to * to) / (from * from)).max(0.0).sqrt();
                fresh = up * next.picture;
                next.noise = (to * to - up * up).max(0.0).sqrt() * next.picture;
            }
            Step { time: time as f32, now, next, fresh, bend: 0.0 }
        };
        Run { steps: steps.map(step).collect(), first, prediction: self.prediction, clip: None }
    }

    pub(super) fn dpm(&self, count: usize) -> Run {
        let times = self.times(Sampler::DpmPlusPlus2M, count);
        let levels: Vec<Level> = times.iter().map(|&time| Level::of_sigma(self.sigma_at(time))).collect();
        let nexts = levels.iter().skip(1).copied().chain([Level::of_sigma(self.noise_last)]);
        // Of the first step nothing went before; the last ones of a short run, or to no noise, are straight for steadiness.
        let straight_end = self.noise_last == 0.0 || count < 15;
        let steps = times.iter().zip(levels.iter().zip(nexts)).enumerate().map(|(i, (&time, (&now, next)))| {
            let step = Step { time: time as f32, now, next, fresh: 0.0, bend: 0.0 };
            if i == 0 || (i + 1 == count && straight_end) {
                return step;
            }
            let (before, width) = (now.log_ratio() - levels[i - 1].log_ratio(), next.log_ratio() - now.log_ratio());
            let bend = next.picture * (1.0 - (-width).exp()) * 0.5 * width / before;
            Step { bend, ..step }
        });
        Run { steps: steps.collect(), first: 1.0, prediction: self.prediction, clip: None }
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

    /// From the latent of a step and the UNet's prediction to the latent of the next. `fresh` draws unit noise for a step.
    pub(crate) fn step(
        &self,
        step: usize,
        prediction: &Tensor,
        latent: &Tensor,
        walk: &mut Walk,
        fresh: &dyn Fn(usize) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Tensor> {
        let Step { now: Level { picture: a, noise: b }, next, fresh: share, bend, .. } = self.steps[step];
        let (picture, noise) = match self.prediction {
            Prediction::Epsilon => (((latent - (prediction * b)?)? / a)?, prediction.clone()),
            Prediction::Sample => (prediction.clone(), ((latent - (prediction * a)?)? / b)?),
            Prediction::Velocity => (((latent * a)? - (prediction * b)?)?, ((prediction * a)? + (latent * b)?)?),
        };
        let picture = match self.clip {
            Some(range) => picture.clamp(-range, range)?,
            None => picture,
        };
        let mut out = ((&picture * next.picture)? + (noise * next.noise)?)?;
        if share > 0.0 {
            out = (out + (fresh(step)? * share)?)?;
        }
        if let (true, Some(last)) = (bend != 0.0, &walk.last) {
            out = (out + ((&picture - last)? * bend)?)?;
        }
        let asked_for = self.steps.get(step + 1).is_some_and(|next| next.bend != 0.0);
        walk.last = asked_for.then_some(picture);
        Ok(out)
    }
}
