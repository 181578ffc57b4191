//! Where a face is in every frame of a take, steady enough to cut along.

use greenroom_domain::{Box2, FaceAt};
use std::ops::Range;

/// A face found in a frame is the one that is looked for if it shares at least this of both boxes together.
const SAME: f32 = 0.3;
/// So many frames in a row without the face are the detector's mistake; longer, and the face is away.
const BLINK: usize = 6;
/// A box is the mean of so many on either side: what a detector is unsure of from frame to frame is gone then, and a steady
/// movement stays.
const STEADY: usize = 6;
/// Over so many frames a repair comes and goes where the face does.
const FADE: u64 = 6;

/// A face over the frames of a take.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    boxes: Vec<Option<Box2>>,
}

/// Where somebody is in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// The face that is made anew.
    pub(super) face: Box2,
    /// That of whoever stays.
    pub(super) beside: Option<Box2>,
}

/// Frames in a row that show the face.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// Numbers of the frames.
    pub(super) frames: Range<u64>,
    /// One for each.
    boxes: Vec<Box2>,
    /// For each the face of whoever stays, where it was found.
    beside: Vec<Option<Box2>>,
    /// Whether frames without the face lie before and after.
    borders: (bool, bool),
}

impl Track {
    /// Adds the next frame with the faces that were found in it; `seen` is where the verdict saw the one that is looked for.
    pub(super) fn add(&mut self, found: &[Box2], seen: &[FaceAt]) {
        let frame = self.boxes.len() as u64;
        let after = seen.partition_point(|face| face.frame < frame);
        let known = seen.get(after).filter(|face| face.frame == frame).map(|face| face.bbox);
        let there = match (after.checked_sub(1).map(|before| seen[before]), seen.get(after)) {
            (Some(before), Some(after)) => {
                let t = (frame - before.frame) as f32 / (after.frame - before.frame) as f32;
                Some(between(&before.bbox, &after.bbox, t))
            }
            (before, after) => before.or(after.copied()).map(|face| face.bbox),
        };
        let nearest = found
            .iter()
            .filter_map(|face| there.map(|there| (*face, overlap(face, &there))))
            .filter(|(_, overlap)| *overlap >= SAME)
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        self.boxes.push(known.or(nearest.map(|(face, _)| face)));
    }

    /// The runs of frames with the face, each box made steady, and who was beside it.
    pub(super) fn runs(mut self, mut beside: Self) -> Vec<Run> {
        self.fill();
        beside.fill();
        let mut runs: Vec<Run> = Vec::new();
        let last = self.boxes.len().saturating_sub(1) as u64;
        for (frame, found) in (0..).zip(&self.boxes) {
            let Some(found) = found else { continue };
            let stays = beside.boxes.get(frame as usize).copied().flatten();
            match runs.last_mut().filter(|run| run.frames.end == frame) {
                Some(run) => {
                    run.frames.end += 1;
                    run.boxes.push(*found);
                    run.beside.push(stays);
                }
                None => {
                    let frames = frame..frame + 1;
                    runs.push(Run { frames, boxes: vec![*found], beside: vec![stays], borders: (frame > 0, false) });
                }
            }
        }
        for run in &mut runs {
            run.borders.1 = run.frames.end <= last;
            run.boxes = steady(&run.boxes);
        }
        runs
    }

    /// Goes straight over short gaps.
    fn fill(&mut self) {
        let mut last: Option<(usize, Box2)> = None;
        for at in 0..self.boxes.len() {
            let Some(next) = self.boxes[at] else { continue };
            if let Some((from, before)) = last.filter(|(from, _)| at - from <= BLINK) {
                for (step, gap) in self.boxes[from..at].iter_mut().enumerate().skip(1) {
                    *gap = Some(between(&before, &next, step as f32 / (at - from) as f32));
                }
            }
            last = Some((at, next));
        }
    }
}

impl Run {
    /// Where it is in one of its frames.
    pub(super) fn at(&self, frame: u64) -> Place {
        let number = (frame - self.frames.start) as usize;
        Place { face: self.boxes[number], beside: self.beside[number] }
    }

    /// How much a repair counts in one of its frames, 0 to 1.
    pub(super) fn share(&self, frame: u64) -> f32 {
        let ramp = |border: bool, steps: u64| {
            if border { ((steps + 1) as f32 / (FADE + 1) as f32).min(1.0) } else { 1.0 }
        };
        let (from_start, to_end) = (frame - self.frames.start, self.frames.end - 1 - frame);
        ramp(self.borders.0, from_start).min(ramp(self.borders.1, to_end))
    }

    /// The frames to make anew: its first and last, and the take's keyframes between them.
    pub(super) fn keyframes(&self, of_take: &[u64]) -> Vec<u64> {
        let (first, last) = (self.frames.start, self.frames.end - 1);
        let between = of_take.iter().copied().filter(|at| (first + 1..last).contains(at));
        let mut at: Vec<u64> = std::iter::once(first).chain(between).collect();
        if last > first {
            at.push(last);
        }
        at
    }
}

/// Each box as the mean of its neighbours, as many on one side as on the other.
fn steady(boxes: &[Box2]) -> Vec<Box2> {
    let mean = |at: usize| {
        let reach = STEADY.min(at).min(boxes.len() - 1 - at);
        let near = &boxes[at - reach..=at + reach];
        let of = |edge: fn(&Box2) -> f32| near.iter().map(edge).sum::<f32>() / near.len() as f32;
        Box2 { x0: of(|b| b.x0), y0: of(|b| b.y0), x1: of(|b| b.x1), y1: of(|b| b.y1) }
    };
    (0..boxes.len()).map(mean).collect()
}

fn between(a: &Box2, b: &Box2, t: f32) -> Box2 {
    let mix = |a: f32, b: f32| a + (b - a) * t;
    Box2 { x0: mix(a.x0, b.x0), y0: mix(a.y0, b.y0), x1: mix(a.x1, b.x1), y1: mix(a.y1, b.y1) }
}

/// Shared part of two boxes, of both together.
fn overlap(a: &Box2, b: &Box2) -> f32 {
    let shared = shared(a, b);
    shared / (area(a) + area(b) - shared).max(f32::MIN_POSITIVE)
}

/// Which share of one box lies in the other.
pub(super) fn share_inside(a: &Box2, b: &Box2) -> f32 {
    shared(a, b) / area(a).max(f32::MIN_POSITIVE)
}

fn shared(a: &Box2, b: &Box2) -> f32 {
    area(&Box2 { x0: a.x0.max(b.x0), y0: a.y0.max(b.y0), x1: a.x1.min(b.x1), y1: a.y1.min(b.y1) })
}

fn area(b: &Box2) -> f32 {
    (b.x1 - b.x0).max(0.0) * (b.y1 - b.y0).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f32) -> Box2 {
        Box2 { x0: x, y0: 50.0, x1: x + 80.0, y1: 130.0 }
    }

    /// A face that moves two pixels a frame, found with an error, beside somebody else.
    fn track(frames: u64, missing: impl Fn(u64) -> bool) -> Vec<Run> {
        let seen = [0, frames - 1].map(|frame| FaceAt { frame, bbox: square(100.0 + 2.0 * frame as f32) });
        let mut track = Track::default();
        for frame in 0..frames {
            let error = if frame % 2 == 0 { 2.0 } else { -2.0 };
            let own = square(100.0 + 2.0 * frame as f32 + error);
            let found = (!missing(frame)).then_some(own).into_iter();
            let found: Vec<_> = [square(400.0)].into_iter().chain(found).collect();
            track.add(&found, if missing(0) { &seen[1..] } else { &seen });
        }
        track.runs(Track::default())
    }

    #[test]
    fn a_moving_face_is_followed_steadily_over_blinks() {
        let runs = track(40, |frame| (10..13).contains(&frame));
        let [run] = runs.as_slice() else { panic!("{runs:?}") };
        assert_eq!((run.frames.clone(), run.borders), (0..40, (false, false)));
        let off = |frame: u64| (run.at(frame).face.x0 - (100.0 + 2.0 * frame as f32)).abs();
        assert!((6..34).all(|frame| off(frame) < 1.0), "{:?}", (0..40).map(off).collect::<Vec<_>>());
        assert!((0..40).all(|frame| run.share(frame) == 1.0));
        assert_eq!(run.keyframes(&[0, 12, 24, 36, 39]), [0, 12, 24, 36, 39]);
    }

    #[test]
    fn where_the_face_is_away_nothing_is_repaired_and_the_repair_comes_softly() {
        let runs = track(40, |frame| frame < 20);
        let [run] = runs.as_slice() else { panic!("{runs:?}") };
        assert_eq!((run.frames.clone(), run.borders), (20..40, (true, false)));
        let shares: Vec<_> = (20..40).map(|frame| run.share(frame)).collect();
        assert!(shares[0] < 0.2 && shares.is_sorted() && shares[6..].iter().all(|&share| share == 1.0), "{shares:?}");
        assert_eq!(run.keyframes(&[0, 12, 24, 36, 39]), [20, 24, 36, 39]);
    }
}
