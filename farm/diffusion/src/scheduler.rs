//! The noise schedule of a diffusers folder. [`Run`] walks it, by DDIM, Euler (with fresh noise or without) or DPM-Solver++; the
//! schedules of PNDM and other samplers are read too and run with DDIM.
//! <https://huggingface.co/docs/diffusers/api/schedulers/ddim>, <https://huggingface.co/docs/diffusers/api/schedulers/euler>

mod run;

use std::path::Path;

use crate::config::Config;
use crate::{LoadError, Sampler};

pub(crate) use run::{Run, Walk};

/// A noise schedule, and how the folder wants it walked.
pub(crate) struct Scheduler {
    /// Share of the picture's variance that is left at each training step, falling.
    kept: Vec<f64>,
    /// The same after the last step.
    kept_last: f64,
    prediction: Prediction,
    /// What the folder says; samplers differ in what is meant where it says nothing.
    spacing: Option<Spacing>,
    offset: usize,
    /// DDIM alone clips.
    clip: Option<f64>,
    /// Noise that Euler leaves after its last step, in units of the picture's deviation.
    noise_last: f64,
    /// The folder's own sampler.
    sampler: Sampler,
}

/// What a UNet predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// √ᾱ · noise − √(1 − ᾱ) · picture (Salimans and Ho 2022, arXiv:2202.00512).
    Velocity,
    /// The picture.
    Sample,
}

/// Which training steps a short run visits.
#[derive(Clone, Copy)]
enum Spacing {
    Leading,
    Trailing,
    Linspace,
}

impl Scheduler {
    /// Reads `scheduler_config.json`.
    pub(crate) fn open(file: &Path) -> Result<Self, LoadError> {
        Self::read(&Config::open(file)?)
    }

    fn read(config: &Config) -> Result<Self, LoadError> {
        for (field, only) in [("thresholding", false), ("rescale_betas_zero_snr", false)] {
            config.require(field, &only.into())?;
        }
        config.require("trained_betas", &serde_json::Value::Null)?;
        let class = config.text_or("_class_name", "DDIMScheduler")?;
        let plain = |(field, only): &(&str, &str)| {
            config.require(field, &serde_json::from_str(only).unwrap_or_default()).is_ok()
        };
        let sampler = match class {
            "EulerDiscreteScheduler" => Sampler::Euler,
            "EulerAncestralDiscreteScheduler" => Sampler::EulerAncestral,
            // Its other orders and noise levels are not built, and DDIM walks any schedule.
            "DPMSolverMultistepScheduler" if DPM_ONLY.iter().all(plain) => Sampler::DpmPlusPlus2M,
            _ => Sampler::Ddim,
        };
        if sampler == Sampler::Euler {
            for (field, only) in EULER_ONLY {
                config.require(field, &serde_json::from_str(only).unwrap_or_default())?;
            }
        }
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
        let spacing = match config.text_or("timestep_spacing", "")? {
            "" => None,
            "leading" => Some(Spacing::Leading),
            "trailing" => Some(Spacing::Trailing),
            "linspace" => Some(Spacing::Linspace),
            other => return Err(unknown(config, "timestep_spacing", other, "leading, trailing, linspace")),
        };
        // Only DDIM clips unless told not to; clipping is meant for pixels and spoils latents.
        let clips = config.flag_or("clip_sample", class == "DDIMScheduler")?;
        let clip = if clips { Some(config.number_or("clip_sample_range", 1.0)?) } else { None };
        let kept_last = if config.flag_or("set_alpha_to_one", true)? { 1.0 } else { kept[0] };
        let offset = config.number_or("steps_offset", 0.0)?.clamp(0.0, steps as f64) as usize;
        let noise_last = match config.text_or("final_sigmas_type", "zero")? {
            "zero" => 0.0,
            "sigma_min" => sigma(kept[0]),
            other => return Err(unknown(config, "final_sigmas_type", other, "zero, sigma_min")),
        };
        Ok(Self { kept, kept_last, prediction, spacing, offset, clip, noise_last, sampler })
    }

    /// Share of the picture's variance that is left at each training step, falling.
    pub(crate) fn kept(&self) -> &[f64] {
        &self.kept
    }

    /// What the UNet predicts.
    pub(crate) fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// The folder's own sampler.
    pub(crate) fn sampler(&self) -> Sampler {
        self.sampler
    }

    /// The most steps that a run can have.
    pub(crate) fn longest_run(&self, sampler: Sampler) -> usize {
        match self.spacing(sampler) {
            Spacing::Leading => self.kept.len() - self.offset.min(self.kept.len() - 1),
            _ => self.kept.len(),
        }
    }

    /// A run of `count` steps, from 1 to [`Self::longest_run`].
    pub(crate) fn run(&self, sampler: Sampler, count: usize) -> Run {
        match sampler {
            Sampler::Ddim => self.ddim(count),
            Sampler::Euler | Sampler::EulerAncestral => self.euler(sampler, count),
            Sampler::DpmPlusPlus2M => self.dpm(count),
        }
    }

    fn spacing(&self, sampler: Sampler) -> Spacing {
        let unsaid = match sampler {
            Sampler::Ddim => Spacing::Leading,
            Sampler::Euler | Sampler::EulerAncestral | Sampler::DpmPlusPlus2M => Spacing::Linspace,
        };
        self.spacing.unwrap_or(unsaid)
    }

    /// The training steps that a run visits, noisiest first; Euler goes between two where its spacing says so.
    fn times(&self, sampler: Sampler, count: usize) -> Vec<f64> {
        let all = self.kept.len();
        let euler = matches!(sampler, Sampler::Euler | Sampler::EulerAncestral);
        let time = |i: usize| match self.spacing(sampler) {
            // DPM-Solver++ parts the schedule as for one step more, and leaves the last out.
            Spacing::Leading if sampler == Sampler::DpmPlusPlus2M => {
                ((count - i) * (all / (count + 1)) + self.offset) as f64
            }
            Spacing::Linspace if sampler == Sampler::DpmPlusPlus2M => {
                ((count - i) as f64 * ((all - 1) as f64 / count as f64)).round_ties_even()
            }
            Spacing::Leading => ((count - 1 - i) * (all / count) + self.offset) as f64,
            Spacing::Trailing => {
                let from_start = all as f64 - i as f64 * (all as f64 / count as f64);
                from_start.round_ties_even() - 1.0
            }
            Spacing::Linspace => {
                let stride = if count > 1 { (all - 1) as f64 / (count - 1) as f64 } else { 0.0 };
                let time = (count - 1 - i) as f64 * stride;
                if euler { time } else { time.round_ties_even() }
            }
        };
        (0..count).map(|i| time(i).min((all - 1) as f64)).collect()
    }
}

/// Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17.
fn cosine_beta(i: usize, steps: usize) -> f64 {
    let left = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    let (from, to) = (i as f64 / steps as f64, (i + 1) as f64 / steps as f64);
    (1.0 - left(to) / left(from)).min(0.999)
}

/// Deviation of the noise beside a picture of deviation 1, where this share of the variance is the picture's.
fn sigma(kept: f64) -> f64 {
    ((1.0 - kept) / kept).sqrt()
}

/// Fields of Euler's configuration that choose other noise levels, and the one value (JSON) that is built.
const EULER_ONLY: &[(&str, &str)] = &[
    ("use_karras_sigmas", "false"),
    ("use_exponential_sigmas", "false"),
    ("use_beta_sigmas", "false"),
    ("interpolation_type", "\"linear\""),
    ("timestep_type", "\"discrete\""),
    ("sigma_min", "null"),
    ("sigma_max", "null"),
];

/// The same for DPM-Solver++: what is built of it.
const DPM_ONLY: &[(&str, &str)] = &[
    ("algorithm_type", "\"dpmsolver++\""),
    ("solver_type", "\"midpoint\""),
    ("solver_order", "2"),
    ("lower_order_final", "true"),
    ("euler_at_final", "false"),
    ("use_karras_sigmas", "false"),
    ("use_exponential_sigmas", "false"),
    ("use_beta_sigmas", "false"),
    ("use_lu_lambdas", "false"),
    ("use_flow_sigmas", "false"),
    ("variance_type", "null"),
];

fn unknown(config: &Config, field: &str, found: &str, known: &str) -> LoadError {
    config.error(field, format!("is `{found}`; supported are {known}"))
}

#[cfg(test)]
mod tests {
    use super::{Run, Scheduler, Walk};
    use crate::Sampler;
    use crate::config::Config;
    use candle_core::{Device, Tensor};
    use serde_json::{Value, json};
    use std::path::Path;

    fn read(config: &Value) -> Scheduler {
        Scheduler::read(&Config::of(config)).unwrap()
    }

    fn floats(value: &Value) -> Vec<f32> {
        serde_json::from_value(value.clone()).unwrap()
    }

    /// What a run makes of fixed numbers at its middle step.
    fn stepped(run: &Run, at: usize) -> Vec<f32> {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let no_noise = |_| panic!("no noise was asked for");
        let walk = &mut Walk::default();
        run.step(at, &tensor(&[0.7, -1.9]), &tensor(&[0.4, 1.1]), walk, &no_noise).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn whole_runs_with_fresh_noise_and_of_second_order_are_those_of_diffusers() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/samplers.json");
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(cases.len(), 36);
        for case in &cases {
            let scheduler = read(&case["config"]);
            let count = case["count"].as_u64().unwrap() as usize;
            let run = scheduler.run(scheduler.sampler(), count);
            for (found, expected) in run.times().iter().zip(floats(&case["times"])) {
                assert!((found - expected).abs() <= 1e-3, "{found} {expected} {}", case["config"]);
            }
            assert!((run.first() - case["first"].as_f64().unwrap()).abs() < 1e-5, "{}", case["config"]);
            let fresh = |i: usize| Tensor::new(floats(&case["noise"][i]), &Device::Cpu);
            let mut latent = Tensor::new(&[0.4f32, 1.1], &Device::Cpu).unwrap();
            let mut walk = Walk::default();
            for i in 0..count {
                let now: Vec<f32> = latent.to_vec1().unwrap();
                let guess = Tensor::new(&[0.7 * now[0] - 0.3, 0.2 - 0.5 * now[1]], &Device::Cpu).unwrap();
                latent = run.step(i, &guess, &latent, &mut walk, &fresh).unwrap();
                for (found, expected) in latent.to_vec1::<f32>().unwrap().iter().zip(floats(&case["latents"][i])) {
                    let allowed = 3e-4 * expected.abs().max(1.0);
                    assert!(
                        (found - expected).abs() <= allowed,
                        "{i} of {count}: {found} {expected} {}",
                        case["config"]
                    );
                }
            }
        }
    }

    #[test]
    fn every_schedule_visits_the_steps_and_takes_the_step_of_diffusers() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/schedules.json");
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(cases.len(), 54);
        for case in &cases {
            let scheduler = read(&case["config"]);
            for (count, golden) in case["runs"].as_object().unwrap() {
                let count: usize = count.parse().unwrap();
                let run = scheduler.run(scheduler.sampler(), count);
                for (found, expected) in run.times().iter().zip(floats(&golden["times"])) {
                    assert!((found - expected).abs() <= 1e-4, "{found} {expected} {case}");
                }
                assert!((run.first() - golden["first"].as_f64().unwrap()).abs() < 1e-6, "{case}");
                for (found, expected) in stepped(&run, count / 2).iter().zip(floats(&golden["step"])) {
                    let allowed = 1e-5 * expected.abs().max(1.0);
                    assert!((found - expected).abs() <= allowed, "{count} {found} {expected} {}", case["config"]);
                }
            }
        }
    }

    #[test]
    fn only_ddims_own_configuration_clips_unless_told() {
        let clip = |class: &str| read(&json!({ "_class_name": class })).clip;
        assert_eq!(clip("DDIMScheduler"), Some(1.0));
        assert_eq!(clip("PNDMScheduler"), None);
    }

    #[test]
    fn the_folder_chooses_the_sampler_and_a_request_may_choose_the_other() {
        let euler = read(&json!({ "_class_name": "EulerDiscreteScheduler" }));
        assert_eq!(euler.sampler(), Sampler::Euler);
        assert_eq!(read(&json!({ "_class_name": "PNDMScheduler" })).sampler(), Sampler::Ddim);
        // Without a word in the folder Euler spreads its steps over the whole schedule, DDIM keeps off its end.
        assert_eq!(euler.run(Sampler::Euler, 3).times(), [999.0, 499.5, 0.0]);
        assert_eq!(euler.run(Sampler::Ddim, 3).times(), [666.0, 333.0, 0.0]);
    }

    #[test]
    fn noise_levels_that_are_not_built_are_refused() {
        let config = json!({ "_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true });
        let error = Scheduler::read(&Config::of(&config)).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "config.json: field `use_karras_sigmas` is true; only false is supported");
    }
}
