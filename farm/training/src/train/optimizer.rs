//! AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with moments in single precision that can be stored.

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// What the optimiser remembers of some values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moments {
    /// Moving mean of the gradients.
    pub(super) first: Vec<f32>,
    /// Moving mean of their squares.
    pub(super) second: Vec<f32>,
}

impl Moments {
    pub(super) fn new(count: usize) -> Self {
        Self { first: vec![0.0; count], second: vec![0.0; count] }
    }

    /// Changes values by their gradients; `step` is 1 for the first.
    pub(super) fn update(&mut self, values: &mut [f32], gradients: &[f32], step: usize, rate: f64, decay: f64) {
        let power = step.min(i32::MAX as usize) as i32;
        let (first, second) = (1.0 - BETA1.powi(power), 1.0 - BETA2.powi(power));
        let (kept, length) = ((1.0 - rate * decay) as f32, (rate / first) as f32);
        let (root, epsilon) = (second.sqrt().recip() as f32, EPSILON as f32);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, &gradient), (m, v)) in values.iter_mut().zip(gradients).zip(moments) {
            *m = BETA1 as f32 * *m + (1.0 - BETA1) as f32 * gradient;
            *v = BETA2 as f32 * *v + (1.0 - BETA2) as f32 * gradient * gradient;
            *value = *value * kept - length * *m / (v.sqrt() * root + epsilon);
        }
    }
}

/// Decay of a moving average at a step, 1 for the first: it begins short, so that it is not of the first values for long.
pub(super) fn average_decay(decay: f64, step: usize) -> f32 {
    decay.min((1.0 + step as f64) / (10.0 + step as f64)) as f32
}

#[cfg(test)]
mod tests {
    use super::{Moments, average_decay};

    /// By torch.optim.AdamW, lr 0.1, weight decay 0.01, gradients (0.5, −2) twice.
    #[test]
    fn two_steps_are_those_of_torch() {
        let (mut moments, mut values) = (Moments::new(2), [1.0, -1.0]);
        for step in 1..=2 {
            moments.update(&mut values, &[0.5, -2.0], step, 0.1, 0.01);
        }
        for (found, expected) in values.iter().zip([0.798_101, -0.798_101]) {
            assert!((found - expected).abs() < 1e-6f32, "{found}");
        }
    }

    #[test]
    fn an_average_begins_short_and_grows_to_its_decay() {
        assert!(average_decay(0.99, 1) < 0.2);
        assert_eq!(average_decay(0.99, 100_000), 0.99);
    }
}
