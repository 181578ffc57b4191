//! What is done where memory does not suffice: blocks computed again first, then fewer rows at once, then a sentence.

use candle_core::Error;
use serde::{Deserialize, Serialize};

/// How a batch is taken through the model. It changes time and memory, and the results only by rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relief {
    /// Rows that go through the model at once.
    pub rows: usize,
    /// Whether blocks are computed again on the way back.
    pub recompute: bool,
}

impl Relief {
    /// The next thing to try, if there is one.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        if !self.recompute {
            return Some(Self { recompute: true, ..self });
        }
        (self.rows > 1).then(|| Self { rows: self.rows.div_ceil(2), ..self })
    }
}

/// Tries with less and less until it fits. `None` where nothing is left to try.
pub(super) fn relieved<T, E>(
    relief: &mut Relief,
    is_memory: impl Fn(&E) -> bool,
    mut attempt: impl FnMut(Relief) -> Result<T, E>,
) -> Option<Result<T, E>> {
    loop {
        match attempt(*relief) {
            Err(error) if is_memory(&error) => *relief = relief.next()?,
            done => return Some(done),
        }
    }
}

/// Whether a device says that its memory is full.
pub(super) fn is_full(error: &Error) -> bool {
    // Neither candle nor the driver's binding has a variant for it.
    let text = format!("{error:?}").to_lowercase();
    ["out of memory", "out_of_memory", "outofmemory", "cannot allocate", "alloc failed"]
        .iter()
        .any(|s| text.contains(s))
}

/// What would fit: memory goes with the number of pixels, so a step down in resolution is what is left.
pub(super) fn advice(resolution: u32, step: u32) -> String {
    let smaller = (u64::from(resolution) * 7 / 10) as u32 / step * step;
    if smaller < step {
        return "this model needs a device with more memory".into();
    }
    format!("a resolution of {smaller} instead of {resolution} halves the need; else take a device with more memory")
}

#[cfg(test)]
mod tests {
    use super::{Relief, advice, is_full, relieved};
    use candle_core::Error;

    #[test]
    fn blocks_are_computed_again_first_and_then_batches_halved() {
        let mut tried = Vec::new();
        let mut relief = Relief { rows: 4, recompute: false };
        let full = || Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into());
        let fits = relieved(&mut relief, is_full, |relief| {
            tried.push((relief.rows, relief.recompute));
            if relief.rows > 2 { Err(full()) } else { Ok(relief.rows) }
        });
        assert_eq!(fits.unwrap().unwrap(), 2);
        assert_eq!(tried, [(4, false), (4, true), (2, true)]);
        let nothing_fits = relieved(&mut relief, is_full, |_| Err::<(), _>(full()));
        assert!(nothing_fits.is_none());
        assert_eq!(relief, Relief { rows: 1, recompute: true });
    }

    #[test]
    fn another_error_is_no_reason_to_try_again() {
        let mut relief = Relief { rows: 4, recompute: false };
        let mut tries = 0;
        let wrong = relieved(&mut relief, is_full, |_| {
            tries += 1;
            Err::<(), _>(Error::Msg("shape mismatch".into()))
        });
        assert!(wrong.unwrap().is_err() && tries == 1 && !relief.recompute);
    }

    #[test]
    fn the_advice_names_a_resolution_in_whole_steps() {
        assert!(advice(1024, 64).starts_with("a resolution of 704 instead of 1024"));
        assert!(advice(64, 64).contains("more memory"));
    }
}
