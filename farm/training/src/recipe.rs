//! How a LoRA is trained, as data.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Everything that decides a training beside the pictures and the base model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Pictures of the character that it needs at least.
    pub references: usize,
    /// Length of what lies between the two factors of a layer.
    pub rank: usize,
    /// Divided by the rank it is the scale of what a layer adds.
    pub alpha: f64,
    /// Optimiser steps.
    pub steps: usize,
    /// Side of a square training picture, pixels; other shapes have no more pixels.
    pub resolution: u32,
    /// Sides of training pictures are multiples of this, pixels.
    pub bucket_step: u32,
    /// Pictures that are predicted at once.
    pub batch: usize,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// Learning rate of the UNet's layers.
    pub unet_rate: f64,
    /// Learning rate of the text encoders' layers; 0 leaves them alone.
    pub text_rate: f64,
    /// How the rates go on.
    pub schedule: Schedule,
    /// Steps over which the rates rise from nothing.
    pub warm_up: usize,
    /// Share of each value that a step takes away, in units of the rate.
    pub weight_decay: f64,
    /// Longest gradient over all layers; longer ones are shortened to it. 0 is no limit.
    pub clip: f64,
    /// γ of min-SNR weighting (Hang et al. 2023, arXiv:2303.09556); none weighs all times alike.
    pub min_snr: Option<f64>,
    /// Deviation of a further draw of noise that a whole channel shares.
    pub noise_offset: f64,
    /// Share of rows that are told nothing.
    pub caption_dropout: f64,
    /// Weight of pictures of the class beside those of the character, where there are any.
    pub prior_weight: f64,
    /// Decay of the moving average of all values, at the end; 0 keeps none.
    pub average: f64,
    /// Whether convolutions are trained too.
    pub convolutions: bool,
    /// Whether blocks are computed again on the way back, for less memory.
    pub recompute: bool,
    /// Share of a sampler's steps that are done before the LoRA acts, 0 to below 1: it is trained for the noise that is left then.
    pub begin: f64,
    /// At which scale the IP-Adapter is shown the character's face beside it; none trains without.
    pub identity_scale: Option<f32>,
    /// All noise, times, drops and orders derive from it.
    pub seed: u64,
}

/// How a learning rate goes on after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// As it is.
    Constant,
    /// Along half a cosine to nothing at the last step.
    Cosine,
}

/// How much is spent on a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Five references and a few hundred steps.
    Low,
    /// Ten references.
    Standard,
    /// Twenty references.
    High,
}

/// The sizes that recipes are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Small models such as the bundled one.
    Small,
    /// Stable Diffusion 1 and 2.
    Sd,
    /// Stable Diffusion XL.
    Xl,
}

/// Why a recipe cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recipe's `{field}` is {found}, expected {expected}")]
pub struct RecipeError {
    /// Which field.
    pub field: &'static str,
    /// Its value.
    pub found: String,
    /// What it may be.
    pub expected: &'static str,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            references: 10,
            rank: 16,
            alpha: 8.0,
            steps: 1500,
            resolution: 512,
            bucket_step: 64,
            batch: 1,
            accumulate: 1,
            unet_rate: 1e-4,
            text_rate: 5e-5,
            schedule: Schedule::Constant,
            warm_up: 50,
            weight_decay: 0.01,
            clip: 1.0,
            min_snr: Some(5.0),
            noise_offset: 0.0,
            caption_dropout: 0.05,
            prior_weight: 1.0,
            average: 0.99,
            convolutions: false,
            recompute: false,
            begin: 0.0,
            identity_scale: None,
            seed: 0,
        }
    }
}

impl Recipe {
    /// The recipe of a tier for models of a size.
    #[must_use]
    pub fn of(tier: Tier, family: Family) -> Self {
        let (references, rank, share) = match tier {
            Tier::Low => (5, 8, 0.5),
            Tier::Standard => (10, 16, 1.0),
            Tier::High => (20, 32, 1.5),
        };
        let base = match family {
            Family::Small => Self {
                steps: 300,
                resolution: 128,
                bucket_step: 16,
                batch: 4,
                unet_rate: 1e-3,
                text_rate: 0.0,
                warm_up: 20,
                // Few steps: a longer average would be of what was not learned yet.
                average: 0.95,
                ..Self::default()
            },
            Family::Sd => Self { steps: 1200, ..Self::default() },
            Family::Xl => Self {
                steps: 1200,
                resolution: 1024,
                text_rate: 1e-5,
                noise_offset: 0.0357,
                recompute: true,
                ..Self::default()
            },
        };
        let steps = (base.steps as f64 * share) as usize;
        Self { references, rank, alpha: rank as f64 / 2.0, steps, ..base }
    }

    /// SHA-256 of it as JSON, hex: equal for equal recipes.
    #[must_use]
    pub fn digest(&self) -> String {
        // A struct of numbers and plain enums always becomes JSON.
        hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// Learning rates' factor at a step, from 0.
    #[must_use]
    pub fn pace(&self, step: usize) -> f64 {
        let warm = if step < self.warm_up { (step + 1) as f64 / self.warm_up as f64 } else { 1.0 };
        match self.schedule {
            Schedule::Constant => warm,
            Schedule::Cosine => {
                let after = step.saturating_sub(self.warm_up) as f64;
                let done = (after / self.steps.saturating_sub(self.warm_up).max(1) as f64).min(1.0);
                warm * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }

    /// Refuses values that no training can follow.
    ///
    /// # Errors
    /// The first such field.
    pub fn check(&self) -> Result<(), RecipeError> {
        let wrong =
            |field, found: &dyn ToString, expected| Err(RecipeError { field, found: found.to_string(), expected });
        let counts = [
            ("rank", self.rank, 1..=1024),
            ("steps", self.steps, 1..=1_000_000),
            ("batch", self.batch, 1..=1024),
            ("accumulate", self.accumulate, 1..=1024),
            ("resolution", self.resolution as usize, 8..=2048),
            ("bucket_step", self.bucket_step as usize, 8..=2048),
        ];
        for (field, found, allowed) in counts {
            if !allowed.contains(&found) {
                return wrong(field, &found, "a whole number of at least 1 (8 for sizes) and no more than is sensible");
            }
        }
        let shares = [("caption_dropout", self.caption_dropout), ("average", self.average), ("begin", self.begin)];
        for (field, found) in shares {
            if !(0.0..1.0).contains(&found) {
                return wrong(field, &found, "0 to below 1");
            }
        }
        let sizes = [
            ("alpha", self.alpha),
            ("unet_rate", self.unet_rate),
            ("text_rate", self.text_rate),
            ("weight_decay", self.weight_decay),
            ("clip", self.clip),
            ("min_snr", self.min_snr.unwrap_or(0.0)),
            ("noise_offset", self.noise_offset),
            ("prior_weight", self.prior_weight),
        ];
        for (field, found) in sizes {
            if !(found.is_finite() && found >= 0.0) {
                return wrong(field, &found, "a number that is not negative");
            }
        }
        if !self.resolution.is_multiple_of(self.bucket_step) {
            return wrong("resolution", &self.resolution, "a multiple of bucket_step");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, Recipe, Schedule, Tier};

    #[test]
    fn a_higher_tier_wants_more_references_and_spends_more() {
        for family in [Family::Small, Family::Sd, Family::Xl] {
            let tiers = [Tier::Low, Tier::Standard, Tier::High].map(|tier| Recipe::of(tier, family));
            assert_eq!(tiers.clone().map(|r| r.references), [5, 10, 20]);
            assert!(tiers.windows(2).all(|w| w[0].rank < w[1].rank && w[0].steps < w[1].steps));
            tiers.iter().for_each(|recipe| recipe.check().unwrap());
        }
    }

    #[test]
    fn the_rate_rises_over_the_warm_up_and_falls_along_a_cosine() {
        let recipe = Recipe { warm_up: 4, steps: 104, schedule: Schedule::Cosine, ..Recipe::default() };
        assert_eq!([0, 1, 3, 4].map(|step| recipe.pace(step)), [0.25, 0.5, 1.0, 1.0]);
        assert!((recipe.pace(54) - 0.5).abs() < 1e-12);
        assert!(recipe.pace(104) < 1e-12);
    }

    #[test]
    fn a_recipe_that_cannot_be_followed_is_refused_by_its_field() {
        let error = Recipe { rank: 0, ..Recipe::default() }.check().unwrap_err();
        assert_eq!(error.field, "rank");
        let error = Recipe { unet_rate: f64::NAN, ..Recipe::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "the recipe's `unet_rate` is NaN, expected a number that is not negative");
    }
}
