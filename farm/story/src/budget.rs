//! Keeps a script to a number of shots that can be made and watched.

use crate::scenes::{Beat, RawScene};
use crate::shots::{self, Draft};

/// Shots that a page may have, on average …
const A_PAGE: f64 = 6.0;
/// … and that every script may have.
const AT_LEAST: usize = 12;
/// Two things of one person go together before two people do, seconds.
const SAME_PERSON: f64 = 2.0;

/// What it costs to let an action happen outside the picture, seconds.
const HIDDEN: f64 = 4.0;

const LINES_A_PAGE: f64 = 55.0;
const ACTION_LINE: usize = 60;
const SPEECH_LINE: usize = 35;

/// Joins neighbouring shots, the shortest first, until a script has few enough of them or no pair fits into one shot. The
/// camera stays with whoever says more. Openings and shots that the writer gave a camera word stay as they are.
pub(crate) fn keep(scenes: &[RawScene], drafts: &mut [Vec<Draft>]) {
    let most = ((pages(scenes) * A_PAGE).ceil() as usize).max(AT_LEAST);
    let mut count: usize = drafts.iter().map(Vec::len).sum();
    let mut pairs: Vec<Vec<f64>> = drafts.iter().map(|d| d.windows(2).map(|w| cost(&w[0], &w[1])).collect()).collect();
    // Every scene's cheapest pair, so that a long script does not look at all its pairs for each join.
    let mut best: Vec<f64> = pairs.iter().map(|p| lowest(p)).collect();
    while count > most {
        let Some((scene, _)) = best.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).filter(|(_, c)| c.is_finite())
        else {
            return;
        };
        let Some(at) = pairs[scene].iter().position(|&c| c <= best[scene]) else { return };
        let second = drafts[scene].remove(at + 1);
        shots::share(&mut drafts[scene][at], second);
        pairs[scene] = drafts[scene].windows(2).map(|w| cost(&w[0], &w[1])).collect();
        best[scene] = lowest(&pairs[scene]);
        count -= 1;
    }
}

fn lowest(costs: &[f64]) -> f64 {
    costs.iter().copied().fold(f64::INFINITY, f64::min)
}

/// How bad it is to join two shots; infinite where it must not be.
fn cost(a: &Draft, b: &Draft) -> f64 {
    let seconds = shots::playing(a, Some(b));
    let fixed = a.opening || b.opening || !a.direction.is_none() || !b.direction.is_none();
    if fixed || seconds > shots::LONGEST {
        return f64::INFINITY;
    }
    if a.who == b.who {
        return seconds - SAME_PERSON;
    }
    // A line can be heard from outside the picture, an action is not seen there.
    let left_out = if shots::stays(a, b) { b } else { a };
    if left_out.action.is_empty() || left_out.who.is_none() { seconds } else { seconds + HIDDEN }
}

/// Printed length by the usual columns.
fn pages(scenes: &[RawScene]) -> f64 {
    let wrapped = |text: &str, width: usize| text.chars().count().div_ceil(width);
    let beat = |beat: &Beat| match beat {
        Beat::Action { text, .. } => wrapped(text, ACTION_LINE) + 1,
        Beat::Speech { lines, .. } => 2 + lines.iter().map(|l| wrapped(&l.text, SPEECH_LINE)).sum::<usize>(),
    };
    let lines: usize = scenes.iter().map(|s| 3 + s.beats.iter().map(beat).sum::<usize>()).sum();
    lines as f64 / LINES_A_PAGE
}
