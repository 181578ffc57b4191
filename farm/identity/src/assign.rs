//! One-to-one assignment with the greatest total gain.

use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};

/// Gains are compared in steps of a millionth: integers add up the same in every order.
const STEP: f32 = 1e-6;

/// For each row the column it gets, none where all that is left is forbidden. `gains[row][column]` is none for a forbidden
/// pair and 0 or more otherwise; rows have equal lengths. Equal totals: the assignment is still the same each time.
pub(crate) fn assign(gains: &[Vec<Option<f32>>]) -> Vec<Option<usize>> {
    let (rows, columns) = (gains.len(), gains.first().map_or(0, Vec::len));
    if rows == 0 || columns == 0 {
        return vec![None; rows];
    }
    // One more column a row stands for nobody, and gains nothing; an allowed pair gains at least one step.
    let weights = Matrix::from_fn(rows, columns + rows, |(row, column)| match gains[row].get(column) {
        Some(Some(gain)) => (gain / STEP) as i64 + 1,
        Some(None) => FORBIDDEN,
        None => 0,
    });
    let (_, chosen) = kuhn_munkres(&weights);
    chosen.into_iter().map(|column| Some(column).filter(|&c| c < columns)).collect()
}

/// Below any sum of gains, so that nobody is always better.
const FORBIDDEN: i64 = -1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_total_wins_over_the_best_single_pair() {
        let gains = [vec![Some(0.9), Some(0.8)], vec![Some(0.8), Some(0.1)]];
        assert_eq!(assign(&gains), [Some(1), Some(0)]);
    }

    #[test]
    fn nobody_is_assigned_twice_or_where_it_is_forbidden() {
        let gains = [vec![Some(0.9), None], vec![Some(0.8), None], vec![None, None]];
        assert_eq!(assign(&gains), [Some(0), None, None]);
        assert_eq!(assign(&[vec![], vec![]]), [None, None]);
        assert_eq!(assign(&[vec![None, Some(0.0)]]), [Some(1)]);
    }

    /// Every permutation of up to four rows and columns, tried one by one.
    fn exhaustive(gains: &[Vec<Option<f32>>], row: usize, used: u32) -> f32 {
        let Some(pairs) = gains.get(row) else { return 0.0 };
        let rest = exhaustive(gains, row + 1, used);
        pairs.iter().enumerate().fold(rest, |best, (column, gain)| match gain {
            Some(gain) if used & (1 << column) == 0 => {
                best.max(gain + exhaustive(gains, row + 1, used | (1 << column)))
            }
            _ => best,
        })
    }

    #[test]
    fn it_agrees_with_trying_everything() {
        let mut state = 7_u32;
        for case in 0..200 {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as f32 / 65_536.0
            };
            let (rows, columns) = (1 + case % 4, 1 + case / 4 % 4);
            let gains: Vec<Vec<_>> =
                (0..rows).map(|_| (0..columns).map(|_| Some(next()).filter(|g| *g > 0.3)).collect()).collect();
            let total: f32 = assign(&gains).iter().enumerate().filter_map(|(r, c)| gains[r][(*c)?]).sum();
            assert!((total - exhaustive(&gains, 0, 0)).abs() < 1e-4, "{gains:?}");
        }
    }
}
