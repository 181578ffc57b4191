//! What is known of a character's face: its references' embeddings, and how a new face compares with them.

use greenroom_domain::{Cosine, Digest, ReferenceQuality, Scoring};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

use crate::{Embedding, Patch, Usual};

/// A character's references under one embedder. Stored as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The character's name.
    pub character: String,
    /// Pack name and version, `puppet 1`.
    pub pack: String,
    /// The embedder file. Embeddings of another one cannot be compared with these.
    pub embedder: Digest,
    /// One or more.
    pub references: Vec<ProfileReference>,
    /// Direction of the weighted mean of the references.
    pub centroid: Embedding,
    /// By attribute what the references show alike; empty in profiles of packs that cannot tell, and of before it was kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usual: BTreeMap<String, Usual>,
}

/// One reference in a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileReference {
    /// Its face.
    pub embedding: Embedding,
    /// Head turn, −1 to 1.
    pub yaw: f32,
    /// How much it counts, above 0 to 1.
    pub weight: f32,
    /// The detector's score, 0 to 1. Profiles of before it was kept were of clear faces.
    #[serde(default = "clearest")]
    pub detection: f32,
    /// How it looks, to know copies of it; none in profiles of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
}

const fn clearest() -> f32 {
    1.0
}

/// From where a face is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// In profile, turned to the picture's left.
    Left,
    /// From the front, or half turned.
    Front,
    /// In profile, turned to the picture's right.
    Right,
}

impl Side {
    /// From a head turn, −1 to 1; one that is larger than `turned`, 0 to 1, is a profile.
    #[must_use]
    pub fn of(yaw: f32, turned: f32) -> Self {
        if yaw < -turned {
            Self::Left
        } else if yaw > turned {
            Self::Right
        } else {
            Self::Front
        }
    }
}

/// How a face is seen: what decides with which references it may be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// From where.
    pub side: Side,
    /// Whether the detector is sure of it.
    pub clear: bool,
}

impl View {
    /// By a pack's bounds.
    #[must_use]
    pub fn of(yaw: f32, detection: f32, scoring: &Scoring) -> Self {
        Self { side: Side::of(yaw, scoring.turned), clear: detection >= scoring.clear }
    }
}

/// Why references make no profile.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ProfileError {
    /// None was given.
    #[error("profile character: {0}: no reference was given")]
    Empty(String),
    /// They come from different embedders.
    #[error("profile character: {0}: the references' embeddings differ in length")]
    Mixed(String),
    /// They point in opposite directions, or their weights are zero.
    #[error("profile character: {0}: the references have no common direction")]
    NoCentroid(String),
}

/// Up to so many references are too few to speak of poses.
const FEW: usize = 3;
/// References that answer for the pose of a face, where there are more.
const NEAREST: usize = 2;

impl Profile {
    /// Builds a profile from each reference's embedding and quality, and fills in the agreement: the cosine of a reference to
    /// the centroid of the others (none for a single one). The qualities come back in the order given.
    ///
    /// # Errors
    /// If there is no reference, or they have no common direction.
    pub fn build(
        character: &str,
        pack: &str,
        embedder: Digest,
        faces: Vec<(Embedding, ReferenceQuality)>,
    ) -> Result<(Self, Vec<ReferenceQuality>), ProfileError> {
        let Some((first, _)) = faces.first() else { return Err(ProfileError::Empty(character.to_owned())) };
        let length = first.as_slice().len();
        if faces.iter().any(|(e, _)| e.as_slice().len() != length) {
            return Err(ProfileError::Mixed(character.to_owned()));
        }
        let (references, mut qualities): (Vec<_>, Vec<_>) = faces
            .into_iter()
            .map(|(embedding, q)| {
                (ProfileReference { embedding, yaw: q.yaw, weight: q.weight, detection: q.detection, patch: None }, q)
            })
            .unzip();
        let all: Vec<&ProfileReference> = references.iter().collect();
        let centroid = centroid(&all, None).ok_or_else(|| ProfileError::NoCentroid(character.to_owned()))?;
        for (i, quality) in qualities.iter_mut().enumerate() {
            let others = self::centroid(&all, Some(i));
            quality.agreement = others.map(|others| references[i].embedding.cosine(&others).0);
        }
        let (character, pack) = (character.to_owned(), pack.to_owned());
        Ok((Self { character, pack, embedder, references, centroid, usual: BTreeMap::new() }, qualities))
    }

    /// How alike a face is, −1 to 1, `yaw` being its head turn, −1 to 1. Every reference answers.
    ///
    /// With one to three references: the cosine to the centroid, which is what a pack's default curve is measured on. With
    /// more: half of it, and half the weighted mean of the cosines to the two references whose head turn is nearest; the
    /// centroid says who it is over all poses, those two how that looks from here. Never a maximum, so that more references
    /// do not make it easier for a stranger.
    #[must_use]
    pub fn cosine(&self, face: &Embedding, yaw: f32) -> Cosine {
        alike(&self.centroid, self.references.iter().collect(), face, yaw)
    }

    /// How alike a face is that is seen like this. A clear face from the front is compared as [`Self::cosine`] says; a
    /// profile by the same rule with the references of its side alone, a covered face with those of its side that are
    /// covered too. None where there is no such reference: a number would say nothing.
    #[must_use]
    pub fn compare(&self, face: &Embedding, yaw: f32, detection: f32, scoring: &Scoring) -> Option<Cosine> {
        let view = View::of(yaw, detection, scoring);
        if view == (View { side: Side::Front, clear: true }) {
            return Some(self.cosine(face, yaw));
        }
        let like = self.like(view, scoring);
        let middle = self::centroid(&like, None)?;
        Some(alike(&middle, like, face, yaw))
    }

    /// The same character without one of its references; none where nothing is left.
    #[must_use]
    pub fn without(&self, index: usize) -> Option<Self> {
        let all: Vec<&ProfileReference> = self.references.iter().collect();
        let centroid = centroid(&all, Some(index))?;
        let kept = self.references.iter().enumerate().filter(|(i, _)| *i != index);
        let references = kept.map(|(_, reference)| reference.clone()).collect();
        Some(Self { references, centroid, ..self.clone() })
    }

    /// The references with which a face that is seen like this may be compared: of the same side, and covered if it is.
    #[must_use]
    pub fn like(&self, view: View, scoring: &Scoring) -> Vec<&ProfileReference> {
        let of = |r: &&ProfileReference| View::of(r.yaw, r.detection, scoring);
        self.references.iter().filter(|r| of(r).side == view.side && (view.clear || !of(r).clear)).collect()
    }
}

/// The rule of [`Profile::cosine`] over these references, `centroid` being theirs.
fn alike(centroid: &Embedding, mut references: Vec<&ProfileReference>, face: &Embedding, yaw: f32) -> Cosine {
    let to_centroid = centroid.cosine(face);
    if references.len() <= FEW {
        return to_centroid;
    }
    references.sort_by(|a, b| (a.yaw - yaw).abs().total_cmp(&(b.yaw - yaw).abs()));
    references.truncate(NEAREST);
    let weights: f32 = references.iter().map(|r| r.weight).sum();
    let to_nearest: f32 = references.iter().map(|r| r.weight * r.embedding.cosine(face).0).sum();
    let mean = if weights > 0.0 { to_nearest / weights } else { to_centroid.0 };
    Cosine(((to_centroid.0 + mean) / 2.0).clamp(-1.0, 1.0))
}

/// Direction of the weighted mean, one reference left out if asked; none where nothing is left or it cancels out.
fn centroid(references: &[&ProfileReference], without: Option<usize>) -> Option<Embedding> {
    let mut sum = vec![0.0; references.first()?.embedding.as_slice().len()];
    for (_, reference) in references.iter().enumerate().filter(|(i, _)| Some(*i) != without) {
        for (total, value) in sum.iter_mut().zip(reference.embedding.as_slice()) {
            *total += reference.weight * value;
        }
    }
    // Weights and embeddings are of the order of one: a sum as short as this is rounding.
    let length = sum.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 1e-5 { Embedding::try_new(sum).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(yaw: f32, weight: f32) -> ReferenceQuality {
        ReferenceQuality { detection: 0.9, face_size: 100.0, yaw, sharpness: 200.0, weight, agreement: None }
    }

    fn at(degrees: f32) -> Embedding {
        Embedding::try_new(vec![degrees.to_radians().cos(), degrees.to_radians().sin()]).unwrap()
    }

    fn build(faces: &[(f32, f32, f32)]) -> (Profile, Vec<ReferenceQuality>) {
        let faces = faces.iter().map(|&(degrees, yaw, weight)| (at(degrees), quality(yaw, weight))).collect();
        Profile::build("MARA", "puppet 1", Digest::of(b"embedder"), faces).unwrap()
    }

    #[test]
    fn one_reference_is_compared_by_its_plain_cosine() {
        let (profile, qualities) = build(&[(0.0, 0.0, 0.4)]);
        assert!((profile.cosine(&at(60.0), 0.3).0 - 0.5).abs() < 1e-6);
        assert_eq!(qualities[0].agreement, None);
    }

    #[test]
    fn a_better_reference_pulls_the_centroid_nearer() {
        let (profile, _) = build(&[(0.0, 0.0, 0.9), (60.0, 0.0, 0.1)]);
        assert!(profile.centroid.cosine(&at(0.0)) > profile.centroid.cosine(&at(60.0)));
    }

    #[test]
    fn a_turned_face_is_compared_with_turned_references() {
        let (profile, _) = build(&[(0.0, 0.0, 0.5), (5.0, 0.05, 0.5), (60.0, 0.8, 0.5), (65.0, 0.9, 0.5)]);
        assert!(profile.cosine(&at(62.0), 0.85) > profile.cosine(&at(62.0), 0.0));
    }

    #[test]
    fn a_profile_is_compared_with_profiles_of_its_side_and_with_nothing_else() {
        let scoring = Scoring::default();
        let (mara, _) = build(&[(0.0, 0.0, 0.5), (5.0, 0.1, 0.5), (60.0, 0.9, 0.5)]);
        let compare = |degrees, yaw| mara.compare(&at(degrees), yaw, 0.9, &scoring);
        assert!((compare(60.0, 0.85).unwrap().0 - 1.0).abs() < 1e-6, "the one like reference alone answers");
        assert!(compare(0.0, 0.85).unwrap().0 < 0.51, "however like the front it is");
        assert_eq!(compare(60.0, -0.85), None, "nobody knows how she looks from the left");
        assert_eq!(compare(3.0, 0.2), Some(mara.cosine(&at(3.0), 0.2)), "from the front all answer");
    }

    #[test]
    fn a_covered_face_is_compared_with_covered_references_and_with_nothing_else() {
        let scoring = Scoring::default();
        let (mut mara, _) = build(&[(0.0, 0.0, 0.5), (40.0, 0.0, 0.5)]);
        assert_eq!(mara.compare(&at(0.0), 0.0, 0.6, &scoring), None);
        mara.references[1].detection = 0.55;
        assert!((mara.compare(&at(40.0), 0.0, 0.6, &scoring).unwrap().0 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_reference_of_somebody_else_does_not_agree_with_the_others() {
        let (_, qualities) = build(&[(0.0, 0.0, 0.5), (10.0, 0.0, 0.5), (100.0, 0.0, 0.5)]);
        let agreement: Vec<f32> = qualities.iter().filter_map(|q| q.agreement).collect();
        assert!(agreement[2] < 0.0 && agreement[0] > 0.5 && agreement[1] > 0.5, "{agreement:?}");
    }

    #[test]
    fn more_references_do_not_help_a_stranger() {
        let around = [(0.0, 0.0, 0.5), (20.0, 0.0, 0.5), (-20.0, 0.0, 0.5), (15.0, 0.0, 0.5), (-15.0, 0.0, 0.5)];
        for count in [1, 3, 5] {
            let (profile, _) = build(&around[..count]);
            let stranger = profile.cosine(&at(90.0), 0.0).0;
            assert!(stranger < 0.2, "{count} references: {stranger}");
        }
    }

    #[test]
    fn nothing_and_opposites_make_no_profile() {
        let make = |faces| Profile::build("MARA", "puppet 1", Digest::of(b"e"), faces).map(|_| ());
        assert_eq!(make(vec![]), Err(ProfileError::Empty("MARA".into())));
        let opposite = vec![(at(0.0), quality(0.0, 0.5)), (at(180.0), quality(0.0, 0.5))];
        assert_eq!(make(opposite), Err(ProfileError::NoCentroid("MARA".into())));
    }
}
