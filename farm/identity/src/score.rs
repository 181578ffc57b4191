//! One character over a whole take: what was seen of it, and the numbers that follow.

use greenroom_domain::{CharacterScore, Cosine, Fps, Frames, Idr};

/// A frame in which a character was seen, or somebody in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) frame: u64,
    pub(crate) cosine: Cosine,
    pub(crate) idr: Idr,
    /// Index in the cast of the member whose face this is: the character's own, another's, or nobody's (a stranger).
    pub(crate) whose: Option<usize>,
}

/// Everything seen of one character.
#[derive(Debug, Default)]
pub(crate) struct History(Vec<Sighting>);

impl History {
    pub(crate) fn add(&mut self, sighting: Sighting) {
        self.0.push(sighting);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Share of `frames` with a sighting.
    pub(crate) fn coverage(&self, frames: usize) -> f32 {
        share(self.0.len(), frames)
    }

    /// Share of `frames` in which the face was the character's own.
    pub(crate) fn own_coverage(&self, member: usize, frames: usize) -> f32 {
        share(self.0.iter().filter(|s| s.whose == Some(member)).count(), frames)
    }

    /// The member that was most often in this one's place, and in which share of the sightings; ties go to the first in the cast.
    pub(crate) fn impostor(&self, member: usize) -> Option<(usize, f32)> {
        let others = self.0.iter().filter_map(|s| s.whose).filter(|&whose| whose != member);
        let mut counts = std::collections::BTreeMap::new();
        for other in others {
            *counts.entry(other).or_insert(0_usize) += 1;
        }
        let most = counts.into_iter().max_by_key(|&(who, count)| (count, std::cmp::Reverse(who)));
        most.map(|(who, count)| (who, share(count, self.0.len())))
    }

    /// 10th percentile of IDR by nearest rank: the ⌈n/10⌉-th lowest, so for ten sightings or fewer the lowest.
    pub(crate) fn p10(&self) -> Option<Idr> {
        let mut idrs: Vec<Idr> = self.0.iter().map(|s| s.idr).collect();
        idrs.sort_by(|a, b| a.0.total_cmp(&b.0));
        idrs.get(idrs.len().div_ceil(10).max(1) - 1).copied()
    }

    pub(crate) fn worst(&self) -> Option<&Sighting> {
        self.0.iter().min_by(|a, b| a.idr.0.total_cmp(&b.idr.0))
    }

    /// How IDR changes, per second, by least squares; none where all was seen at one time.
    fn slope(&self, fps: Fps) -> Option<f32> {
        let points: Vec<_> = self.0.iter().map(|s| (fps.seconds(Frames(s.frame)), f64::from(s.idr.0))).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let (up, over) = points.iter().fold((0.0, 0.0), |s, p| (s.0 + (p.0 - x) * (p.1 - y), s.1 + (p.0 - x).powi(2)));
        (over > 1e-12).then(|| (up / over) as f32)
    }

    pub(crate) fn score(&self, character: &str, expected: bool, frames: usize, fps: Fps) -> CharacterScore {
        let mean = |value: fn(&Sighting) -> f32| {
            let sum: f64 = self.0.iter().map(|s| f64::from(value(s))).sum();
            (!self.0.is_empty()).then(|| (sum / self.0.len() as f64) as f32)
        };
        CharacterScore {
            character: character.to_owned(),
            expected,
            coverage: self.coverage(frames),
            mean: mean(|s| s.idr.0).map(Idr),
            p10: self.p10(),
            min: self.worst().map(|s| s.idr),
            slope: self.slope(fps),
            cosine: mean(|s| s.cosine.0).map(Cosine),
            worst_frame: self.worst().map(|s| s.frame),
            calibrated: false,
            calibration: None,
        }
    }
}

fn share(part: usize, whole: usize) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(idrs: impl IntoIterator<Item = f32>) -> History {
        let sighting = |(i, idr)| Sighting { frame: i as u64, cosine: Cosine(0.0), idr: Idr(idr), whose: None };
        History(idrs.into_iter().enumerate().map(sighting).collect())
    }

    #[test]
    fn p10_is_the_nearest_rank() {
        assert_eq!(history([]).p10(), None);
        assert_eq!(history([0.4]).p10(), Some(Idr(0.4)));
        assert_eq!(history((0..10).map(|i| i as f32)).p10(), Some(Idr(0.0)));
        assert_eq!(history((0..11).map(|i| i as f32)).p10(), Some(Idr(1.0)));
        assert_eq!(history((0..30).rev().map(|i| i as f32)).p10(), Some(Idr(2.0)));
    }

    #[test]
    fn a_face_that_drifts_by_a_tenth_a_second_has_that_slope() {
        let drifting = history((0..96).map(|i| 0.9 - 0.1 * i as f32 / 24.0));
        assert!((drifting.slope(Fps::FILM).unwrap() + 0.1).abs() < 1e-4);
        assert_eq!(history([0.4]).slope(Fps::FILM), None);
        assert_eq!(history([]).slope(Fps::FILM), None);
    }
}
