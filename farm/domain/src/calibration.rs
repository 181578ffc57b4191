//! How raw cosines are read as IDR: curves, and the calibrations that give a character one of its own.

use serde::{Deserialize, Serialize};

use crate::{Cosine, Digest, Idr, Timestamp};

/// A monotone piecewise-linear map from raw cosine to IDR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Names this curve in verdicts, `puppet-1`.
    pub name: String,
    /// (cosine, IDR) anchors, both rising; clamped outside.
    pub anchors: Vec<(f32, f32)>,
}

/// A character's own curve and what it was made from. Stored as JSON; a change is a new one under the next number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CharacterCalibration {
    /// Whose.
    pub character: String,
    /// Pack name and version, `puppet 1`.
    pub pack: String,
    /// The embedder file: the curve reads cosines of no other.
    pub embedder: Digest,
    /// The profile that the cosines were taken with.
    pub profile: Digest,
    /// Five anchors: the impostors' median, 1 % and 0.1 % false accepts, the genuine median, and 1.
    pub curve: Calibration,
    /// Each reference against the others.
    pub genuine: Distribution,
    /// Strangers and the project's other characters against all references.
    pub impostors: Distribution,
    /// How many of the impostors are references of the project's other characters.
    pub others: u32,
    /// Why there is no curve of its own, and `curve` is the pack's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncalibrated: Option<String>,
}

/// How often cosines fall where: [`Distribution::BINS`] equal steps from −1 to 1, the last one with its upper end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Distribution(Vec<u32>);

/// One calibration of a character, as its ledger lists them. Numbers grow by one and nothing is ever taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRevision {
    /// 1, 2, 3 …
    pub number: u32,
    /// Of which revision of the character.
    pub revision: u32,
    /// Digest of the spec that made it: an equal spec makes no new one.
    pub spec: Digest,
    /// The [`CharacterCalibration`] (JSON).
    pub calibration: Digest,
    /// What it says in short.
    pub summary: CalibrationSummary,
    /// When it was made.
    pub created: Timestamp,
}

/// The numbers of a calibration that people ask for first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationSummary {
    /// Pack name and version, `puppet 1`.
    pub pack: String,
    /// The embedder file.
    pub embedder: Digest,
    /// (cosine, IDR) anchors, both rising.
    pub anchors: Vec<(f32, f32)>,
    /// References that were compared with the others.
    pub genuine: u32,
    /// Faces of other people that were compared with the references.
    pub impostors: u32,
    /// How many of them are references of the project's other characters.
    pub others: u32,
    /// Why the character has no curve of its own, and the anchors are the pack's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncalibrated: Option<String>,
}

/// A calibration as a plan and a spec name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationUsed {
    /// Its number among the character's.
    pub number: u32,
    /// The [`CharacterCalibration`] (JSON).
    pub calibration: Digest,
}

/// With fewer references a character has no curve of its own: a median of four is one picture's chance.
pub const FEWEST_REFERENCES: usize = 5;

impl Calibration {
    /// Reads a cosine as IDR.
    #[must_use]
    pub fn idr(&self, cosine: Cosine) -> Idr {
        let x = cosine.0;
        let after = self.anchors.partition_point(|&(c, _)| c <= x);
        Idr(match (after.checked_sub(1).map(|i| self.anchors[i]), self.anchors.get(after)) {
            (None, Some(&(_, first))) => first,
            (Some((_, last)), None) => last,
            (Some((c0, y0)), Some(&(c1, y1))) => y0 + (y1 - y0) * (x - c0) / (c1 - c0),
            (None, None) => 0.0,
        })
    }

    /// The lowest cosine that reads at least `idr`, to a millionth; above 1 where none does.
    #[must_use]
    pub fn lowest_cosine(&self, idr: f32) -> f32 {
        let (mut below, mut reads) = (-1.0, 1.000_001);
        if self.idr(Cosine(below)).0 >= idr {
            return below;
        }
        while reads - below > 1e-6 {
            let middle = f32::midpoint(below, reads);
            if self.idr(Cosine(middle)).0 >= idr { reads = middle } else { below = middle }
        }
        reads
    }
}

impl CharacterCalibration {
    /// What it says in short.
    #[must_use]
    pub fn summary(&self) -> CalibrationSummary {
        CalibrationSummary {
            pack: self.pack.clone(),
            embedder: self.embedder,
            anchors: self.curve.anchors.clone(),
            genuine: self.genuine.total(),
            impostors: self.impostors.total(),
            others: self.others,
            uncalibrated: self.uncalibrated.clone(),
        }
    }

    /// The name under which a verdict tells that it used this one: `MARA calibration 2 (puppet 4)`.
    #[must_use]
    pub fn title(&self, number: u32) -> String {
        format!("{} calibration {number} ({})", self.character, self.pack)
    }
}

impl Distribution {
    /// Steps of a fiftieth.
    pub const BINS: usize = 100;

    /// Counts cosines.
    #[must_use]
    pub fn of(cosines: &[f32]) -> Self {
        let mut counts = vec![0; Self::BINS];
        for cosine in cosines {
            let bin = ((cosine + 1.0) / 2.0 * Self::BINS as f32).max(0.0) as usize;
            counts[bin.min(Self::BINS - 1)] += 1;
        }
        Self(counts)
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// (middle of the step, share of all) of each step, from −1 to 1; shares of nothing are 0.
    pub fn shares(&self) -> impl Iterator<Item = (f32, f32)> {
        let total = self.total().max(1) as f32;
        let middle = |bin: usize| (bin as f32 + 0.5) / Self::BINS as f32 * 2.0 - 1.0;
        self.0.iter().enumerate().map(move |(bin, count)| (middle(bin), *count as f32 / total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Calibration {
        Calibration { name: "t".into(), anchors: vec![(0.0, 0.0), (0.4, 0.5), (0.6, 0.75), (0.9, 0.85)] }
    }

    #[test]
    fn a_cosine_between_anchors_is_read_along_the_line() {
        let at = |c| curve().idr(Cosine(c)).0;
        assert!((at(-0.3) - 0.0).abs() < 1e-6);
        assert!((at(0.5) - 0.625).abs() < 1e-6);
        assert!((at(0.6) - 0.75).abs() < 1e-6);
        assert!((at(1.0) - 0.85).abs() < 1e-6);
    }

    #[test]
    fn an_idr_is_found_back_as_the_lowest_cosine_that_reads_it() {
        assert!((curve().lowest_cosine(0.75) - 0.6).abs() < 1e-5);
        assert!((curve().lowest_cosine(0.0) + 1.0).abs() < 1e-6);
        assert!(curve().lowest_cosine(0.9) > 1.0, "nothing reads so much");
    }

    #[test]
    fn every_cosine_is_counted_once() {
        let counted = Distribution::of(&[-1.0, -0.5, 0.301, 0.319, 1.0]);
        let seen: Vec<_> = counted.shares().filter(|(_, share)| *share > 0.0).collect();
        assert_eq!((counted.total(), seen.len()), (5, 4));
        assert!((seen[2].0 - 0.31).abs() < 1e-5 && (seen[2].1 - 0.4).abs() < 1e-6, "{seen:?}");
    }
}
