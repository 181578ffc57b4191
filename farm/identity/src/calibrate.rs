//! From a character's references and everybody else's faces to the curve that reads its cosines as IDR. Pure.
//!
//! # The rule
//!
//! Every cosine is taken as a frame's is ([`Profile::compare`]). *Impostors* are the pack's strangers and the references of the
//! project's other characters, against all references of this one. *Genuine* are its references, each against the others.
//!
//! | anchor | IDR |
//! |---|---|
//! | the impostors' median | 0 |
//! | what 1 % of them exceed | 0.50 |
//! | what 0.1 % exceed | 0.75 |
//! | the genuine median | 0.85 |
//! | 1 | 1 |
//!
//! So the gate's 0.75 is what one stranger in a thousand passes in one frame, and 0.85 is as alike as two real pictures of the
//! character. The false accept rates come from a fitted tail. The median of five to ten references is one picture's chance, so
//! it is drawn towards the pack's default as far as that weighs (shrinkage: Efron and Morris 1975,
//! doi:10.1080/01621459.1975.10479864); it sets where faces are called excellent, and never who passes.
//! References that are less alike than strangers leave the gate where it is: the genuine anchor is lifted just above it.

use greenroom_domain::{Calibration, CharacterCalibration, Digest, Distribution, FEWEST_REFERENCES, Scoring};
use thiserror::Error;

use crate::{Embedding, Impostors, Profile, tail::exceeded_by};

/// Everything that a calibration depends on.
#[derive(Clone, Debug)]
pub struct CalibrateInput<'a> {
    /// Whose curve it is.
    pub profile: &'a Profile,
    /// The artifact that holds the profile.
    pub digest: Digest,
    /// Everybody else of the project. Those of another embedder say nothing and are left out.
    pub others: &'a [Profile],
    /// The pack's strangers.
    pub strangers: &'a Impostors,
    /// The pack's curve.
    pub fallback: &'a Calibration,
    /// How faces are compared.
    pub scoring: &'a Scoring,
}

/// Why no curve can be made.
#[derive(Debug, Error, PartialEq)]
#[error("calibrate character: {character}: {fault}")]
pub struct CalibrationError {
    /// The character's name.
    pub character: String,
    /// What is wrong.
    pub fault: CalibrationFault,
}

/// What stands in the way of a curve.
#[derive(Debug, Error, PartialEq)]
pub enum CalibrationFault {
    /// Too few pictures of one person.
    #[error("{0} references, five are needed")]
    FewReferences(usize),
    /// The profile and the strangers cannot be compared.
    #[error("its profile was made with the embedder {profile}, the pack's is {pack}; create the character again")]
    Embedder {
        /// The profile's embedder.
        profile: Digest,
        /// The strangers' embedder.
        pack: Digest,
    },
    /// The references show the character as few strangers are seen.
    #[error("only {0} strangers are seen as its references show it; add references from the front")]
    FewImpostors(usize),
    /// The embedder does not tell the character from others.
    #[error("one stranger in a thousand is as alike as the character itself (cosine {0:.3}); give clearer references")]
    NotSeparable(f32),
}

/// With fewer strangers there is no tail to fit.
const FEWEST_IMPOSTORS: usize = 500;
/// The default's genuine median counts as much as so many references.
const PRIOR: f32 = 5.0;
/// The least distance from the gate's cosine to the genuine anchor, and from there to 1.
const APART: f32 = 0.01;

/// Makes a character's curve by the rule of [this module](self).
///
/// # Errors
/// If the character has fewer than five references, its profile is of another embedder than the strangers, hardly any of
/// them can be compared with it, or they are as alike as the character itself.
pub fn calibrate(input: &CalibrateInput<'_>) -> Result<CharacterCalibration, CalibrationError> {
    let (profile, character) = (input.profile, input.profile.character.clone());
    let refuse = |fault| Err(CalibrationError { character: character.clone(), fault });
    if profile.references.len() < FEWEST_REFERENCES {
        return refuse(CalibrationFault::FewReferences(profile.references.len()));
    }
    if profile.embedder != input.strangers.embedder {
        return refuse(CalibrationFault::Embedder { profile: profile.embedder, pack: input.strangers.embedder });
    }
    let compare = |face: &Embedding, yaw, detection| Some(profile.compare(face, yaw, detection, input.scoring)?.0);
    let strangers = input.strangers.faces.iter().filter_map(|f| compare(&f.embedding, f.yaw, f.detection));
    let mut impostors: Vec<f32> = strangers.collect();
    if impostors.len() < FEWEST_IMPOSTORS {
        return refuse(CalibrationFault::FewImpostors(impostors.len()));
    }
    let fixed = impostors.len();
    let others = input.others.iter().filter(|other| other.embedder == profile.embedder);
    let references = others.flat_map(|other| &other.references);
    impostors.extend(references.filter_map(|r| compare(&r.embedding, r.yaw, r.detection)));
    let genuine = genuine(profile, input.scoring);
    let anchors = match anchors(&genuine, &impostors, input.fallback) {
        Ok(anchors) => anchors,
        Err(reached) => return refuse(CalibrationFault::NotSeparable(reached)),
    };
    let name = format!("{character} ({})", profile.pack);
    Ok(CharacterCalibration {
        character,
        pack: profile.pack.clone(),
        embedder: profile.embedder,
        profile: input.digest,
        curve: Calibration { name, anchors },
        genuine: Distribution::of(&genuine),
        others: (impostors.len() - fixed) as u32,
        impostors: Distribution::of(&impostors),
        uncalibrated: None,
    })
}

/// What stands for a curve where none can be made: the pack's, and why.
#[must_use]
pub fn uncalibrated(input: &CalibrateInput<'_>, why: &CalibrationError) -> CharacterCalibration {
    CharacterCalibration {
        character: input.profile.character.clone(),
        pack: input.profile.pack.clone(),
        embedder: input.profile.embedder,
        profile: input.digest,
        curve: input.fallback.clone(),
        genuine: Distribution::of(&[]),
        others: 0,
        impostors: Distribution::of(&[]),
        uncalibrated: Some(why.fault.to_string()),
    }
}

/// Each reference against the others, where one of them shows the character alike.
fn genuine(profile: &Profile, scoring: &Scoring) -> Vec<f32> {
    let left_out = profile.references.iter().enumerate();
    left_out
        .filter_map(|(i, r)| Some(profile.without(i)?.compare(&r.embedding, r.yaw, r.detection, scoring)?.0))
        .collect()
}

/// The five anchors; the cosine that one stranger in a thousand reaches, where that leaves no room for the character.
fn anchors(genuine: &[f32], impostors: &[f32], fallback: &Calibration) -> Result<Vec<(f32, f32)>, f32> {
    let (hundredth, thousandth) = (exceeded_by(0.01, impostors), exceeded_by(0.001, impostors));
    let (Some(middle), Some(hundredth), Some(thousandth)) = (median(impostors), hundredth, thousandth) else {
        return Err(1.0);
    };
    let highest = 1.0 - APART;
    if thousandth + APART >= highest || middle >= hundredth || hundredth >= thousandth {
        return Err(thousandth);
    }
    let own = median(genuine).unwrap_or_default();
    let (weight, default) = (genuine.len() as f32, fallback.lowest_cosine(0.85).min(highest));
    let alike = (own * weight + default * PRIOR) / (weight + PRIOR);
    let alike = alike.clamp(thousandth + APART, highest);
    Ok(vec![(middle, 0.0), (hundredth, 0.5), (thousandth, 0.75), (alike, 0.85), (1.0, 1.0)])
}

/// The middle value, the mean of two; none of nothing.
fn median(values: &[f32]) -> Option<f32> {
    let mut values = values.to_vec();
    values.sort_by(f32::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(f32::midpoint(upper, values[(values.len() - 1) / 2]))
}
