//! From measured cosines to the curve that reads a cosine as IDR.

use greenroom_domain::Calibration;
use thiserror::Error;

/// Why no curve can be made.
#[derive(Debug, Error, PartialEq)]
pub enum CalibrationError {
    /// A rate of one in a thousand needs a thousand strangers.
    #[error("calibrate {name}: {found} impostor cosines, {FEWEST_IMPOSTORS} or more are needed")]
    FewImpostors {
        /// The curve's name.
        name: String,
        /// How many were given.
        found: usize,
    },
    /// Too few pairs of one person.
    #[error("calibrate {name}: {found} genuine cosines, {FEWEST_GENUINE} or more are needed")]
    FewGenuine {
        /// The curve's name.
        name: String,
        /// How many were given.
        found: usize,
    },
    /// The embedder does not tell the two apart.
    #[error("calibrate {name}: the anchors {anchors:?} do not rise: strangers are as alike as the person itself")]
    NotSeparable {
        /// The curve's name.
        name: String,
        /// Cosines of: impostor median, false accepts at 1 % and 0.1 %, genuine median, one.
        anchors: [f32; 5],
    },
}

/// For a false accept rate of 0.1 %.
const FEWEST_IMPOSTORS: usize = 1000;
/// For a median that one odd picture does not move.
const FEWEST_GENUINE: usize = 5;

/// Makes a curve from cosines between pictures of one person and between different people.
///
/// Anchors: the impostors' median reads 0, the cosine that 1 % of them reach 0.50, the one that 0.1 % reach 0.75, the genuine
/// median 0.85, and 1 reads 1. So a gate of 0.75 is what one stranger in a thousand passes, and 0.85 is as alike as two
/// real pictures of the person.
///
/// # Errors
/// If there are fewer than 1000 impostors or 5 genuine pairs, or the anchors do not rise.
pub fn calibrate(name: &str, genuine: &[f32], impostors: &[f32]) -> Result<Calibration, CalibrationError> {
    let name = name.to_owned();
    if impostors.len() < FEWEST_IMPOSTORS {
        return Err(CalibrationError::FewImpostors { name, found: impostors.len() });
    }
    if genuine.len() < FEWEST_GENUINE {
        return Err(CalibrationError::FewGenuine { name, found: genuine.len() });
    }
    let (genuine, impostors) = (falling(genuine), falling(impostors));
    let reached_by = |per_thousand: usize| impostors[(impostors.len() * per_thousand / 1000).max(1) - 1];
    let anchors = [reached_by(500), reached_by(10), reached_by(1), genuine[genuine.len() / 2], 1.0];
    if anchors.windows(2).all(|w| w[0] < w[1]) {
        let anchors = anchors.into_iter().zip([0.0, 0.5, 0.75, 0.85, 1.0]).collect();
        Ok(Calibration { name, anchors })
    } else {
        Err(CalibrationError::NotSeparable { name, anchors })
    }
}

fn falling(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_domain::Cosine;

    /// Impostors spread evenly from −0.5 to 0.5, genuine pairs around 0.8.
    fn cosines() -> (Vec<f32>, Vec<f32>) {
        let impostors = (0..10_000).map(|i| i as f32 / 10_000.0 - 0.5).collect();
        (vec![0.70, 0.75, 0.80, 0.85, 0.90], impostors)
    }

    #[test]
    fn the_gate_is_the_cosine_that_one_stranger_in_a_thousand_reaches() {
        let (genuine, impostors) = cosines();
        let curve = calibrate("t", &genuine, &impostors).unwrap();
        let pass = |idr: f32| impostors.iter().filter(|c| curve.idr(Cosine(**c)).0 >= idr).count();
        assert_eq!((pass(0.75), pass(0.5)), (10, 100));
        assert!((curve.idr(Cosine(0.80)).0 - 0.85).abs() < 1e-6);
    }

    #[test]
    fn a_rate_of_one_in_a_thousand_needs_a_thousand() {
        let (genuine, impostors) = cosines();
        let few = calibrate("t", &genuine, &impostors[..999]);
        assert_eq!(few, Err(CalibrationError::FewImpostors { name: "t".into(), found: 999 }));
        assert!(matches!(calibrate("t", &[], &impostors), Err(CalibrationError::FewGenuine { .. })));
    }

    #[test]
    fn an_embedder_that_tells_nobody_apart_gets_no_curve() {
        let (_, impostors) = cosines();
        assert!(matches!(calibrate("t", &impostors, &impostors), Err(CalibrationError::NotSeparable { .. })));
    }
}
