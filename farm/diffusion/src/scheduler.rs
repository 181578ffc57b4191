//! The noise schedule of a diffusers folder, and DDIM sampling over it (Song et al. 2021, arXiv:2010.02502), without noise
//! between steps. The schedules of PNDM, Euler and other samplers are read too and run with DDIM.
//! <https://huggingface.co/docs/diffusers/api/schedulers/ddim>

use candle_core::Tensor;
use std::path::Path;

use crate::LoadError;
use crate::config::Config;

/// A noise schedule and how to walk it.
pub(crate) struct Ddim {
    /// Share of the picture's variance that is left at each training step, falling.
    kept: Vec<f64>,
    /// The same after the last step.
    kept_last: f64,
    prediction: Prediction,
    spacing: Spacing,
    offset: usize,
    clip: Option<f64>,
}

/// What the UNet predicts.
#[derive(Clone, Copy)]
enum Prediction {
    Epsilon,
    Velocity,
    Sample,
}

/// Which training steps a short run visits.
#[derive(Clone, Copy)]
enum Spacing {
    Leading,
    Trailing,
    Linspace,
}

impl Ddim {
    /// Reads `scheduler_config.json`.
    pub(crate) fn open(file: &Path) -> Result<Self, LoadError> {
        Self::read(&Config::open(file)?)
    }

    fn read(config: &Config) -> Result<Self, LoadError> {
        for (field, only) in [("thresholding", false), ("rescale_betas_zero_snr", false)] {
            config.require(field, &only.into())?;
        }
        config.require("trained_betas", &serde_json::Value::Null)?;
        let steps = config.count_or("num_train_timesteps", 1000)?;
        let (first, last) = (config.number_or("beta_start", 1e-4)?, config.number_or("beta_end", 0.02)?);
        let line = |from: f64, to: f64, i: usize| from + (to - from) * i as f64 / (steps.max(2) - 1) as f64;
        let betas: Vec<f64> = match config.text_or("beta_schedule", "linear")? {
            "linear" => (0..steps).map(|i| line(first, last, i)).collect(),
            "scaled_linear" => (0..steps).map(|i| line(first.sqrt(), last.sqrt(), i).powi(2)).collect(),
            "squaredcos_cap_v2" => (0..steps).map(|i| cosine_beta(i, steps)).collect(),
            other => return Err(unknown(config, "beta_schedule", other, "linear, scaled_linear, squaredcos_cap_v2")),
        };
        if let Some(beta) = betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
            return Err(config.error("beta_end", format!("makes a beta of {beta}, expected 0 to 1")));
        }
        let kept: Vec<f64> = betas
            .iter()
            .scan(1.0, |left, beta| {
                *left *= 1.0 - f64::from(*beta as f32);
                Some(*left)
            })
            .collect();
        let prediction = match config.text_or("prediction_type", "epsilon")? {
            "epsilon" => Prediction::Epsilon,
            "v_prediction" => Prediction::Velocity,
            "sample" => Prediction::Sample,
            other => return Err(unknown(config, "prediction_type", other, "epsilon, v_prediction, sample")),
        };
        let spacing = match config.text_or("timestep_spacing", "leading")? {
            "leading" => Spacing::Leading,
            "trailing" => Spacing::Trailing,
            "linspace" => Spacing::Linspace,
            other => return Err(unknown(config, "timestep_spacing", other, "leading, trailing, linspace")),
        };
        // Only DDIM clips unless told not to; clipping is meant for pixels and spoils latents.
        let clips =
            config.flag_or("clip_sample", config.text_or("_class_name", "DDIMScheduler")? == "DDIMScheduler")?;
        let clip = if clips { Some(config.number_or("clip_sample_range", 1.0)?) } else { None };
        let kept_last = if config.flag_or("set_alpha_to_one", true)? { 1.0 } else { kept[0] };
        let offset = config.number_or("steps_offset", 0.0)?.clamp(0.0, steps as f64) as usize;
        Ok(Self { kept, kept_last, prediction, spacing, offset, clip })
    }

    /// The most steps that a run can have.
    pub(crate) fn longest_run(&self) -> usize {
        match self.spacing {
            Spacing::Leading => self.kept.len() - self.offset.min(self.kept.len() - 1),
            _ => self.kept.len(),
        }
    }

    /// The training steps that a run of `count` visits, noisiest first. `count` is from 1 to [`Self::longest_run`].
    pub(crate) fn times(&self, count: usize) -> Vec<usize> {
        let all = self.kept.len();
        let time = |i: usize| match self.spacing {
            Spacing::Leading => (count - 1 - i) * (all / count) + self.offset,
            Spacing::Trailing => {
                let from_start = all as f64 - i as f64 * (all as f64 / count as f64);
                from_start.round_ties_even() as usize - 1
            }
            Spacing::Linspace => {
                let stride = if count > 1 { (all - 1) as f64 / (count - 1) as f64 } else { 0.0 };
                ((count - 1 - i) as f64 * stride).round_ties_even() as usize
            }
        };
        (0..count).map(|i| time(i).min(all - 1)).collect()
    }

    /// A clean latent with the noise of a training step.
    pub(crate) fn add_noise(&self, clean: &Tensor, noise: &Tensor, time: usize) -> candle_core::Result<Tensor> {
        let kept = self.kept[time];
        (clean * kept.sqrt())? + (noise * (1.0 - kept).sqrt())?
    }

    /// One step of a run of `count`: from the latent at `time` and the UNet's prediction to the latent of the next step.
    pub(crate) fn step(
        &self,
        prediction: &Tensor,
        latent: &Tensor,
        time: usize,
        count: usize,
    ) -> candle_core::Result<Tensor> {
        let kept = self.kept[time];
        let kept_next = time.checked_sub(self.kept.len() / count).map_or(self.kept_last, |t| self.kept[t]);
        let (a, b) = (kept.sqrt(), (1.0 - kept).sqrt());
        let (picture, noise) = match self.prediction {
            Prediction::Epsilon => (((latent - (prediction * b)?)? / a)?, prediction.clone()),
            Prediction::Sample => (prediction.clone(), ((latent - (prediction * a)?)? / b)?),
            Prediction::Velocity => (((latent * a)? - (prediction * b)?)?, ((prediction * a)? + (latent * b)?)?),
        };
        let picture = match self.clip {
            Some(range) => picture.clamp(-range, range)?,
            None => picture,
        };
        (picture * kept_next.sqrt())? + (noise * (1.0 - kept_next).sqrt())?
    }
}

/// Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17.
fn cosine_beta(i: usize, steps: usize) -> f64 {
    let left = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    let (from, to) = (i as f64 / steps as f64, (i + 1) as f64 / steps as f64);
    (1.0 - left(to) / left(from)).min(0.999)
}

fn unknown(config: &Config, field: &str, found: &str, known: &str) -> LoadError {
    config.error(field, format!("is `{found}`; supported are {known}"))
}

#[cfg(test)]
mod tests {
    use super::Ddim;
    use crate::config::Config;
    use candle_core::{Device, Tensor};
    use serde_json::Value;
    use std::path::Path;

    fn floats(value: &Value) -> Vec<f32> {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn every_schedule_visits_the_steps_and_takes_the_step_of_diffusers() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/schedules.json");
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(cases.len(), 27);
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        for case in &cases {
            let ddim = Ddim::read(&Config::of(&case["config"])).unwrap();
            for (count, run) in case["runs"].as_object().unwrap() {
                let count: usize = count.parse().unwrap();
                let times: Vec<usize> = serde_json::from_value(run["times"].clone()).unwrap();
                assert_eq!(ddim.times(count), times, "{case}");
                let step = ddim.step(&tensor(&[0.7, -1.9]), &tensor(&[0.4, 1.1]), times[count / 2], count).unwrap();
                for (found, expected) in step.to_vec1::<f32>().unwrap().iter().zip(floats(&run["step"])) {
                    let allowed = 1e-5 * expected.abs().max(1.0);
                    assert!((found - expected).abs() <= allowed, "{count} {found} {expected} {}", case["config"]);
                }
            }
        }
    }

    #[test]
    fn only_ddims_own_configuration_clips_unless_told() {
        let clip = |class: &str| Ddim::read(&Config::of(&serde_json::json!({ "_class_name": class }))).unwrap().clip;
        assert_eq!(clip("DDIMScheduler"), Some(1.0));
        assert_eq!(clip("EulerDiscreteScheduler"), None);
    }
}
