//! What a take shows beside its scores: faces that are asked about once it is known whose they are, and a strip of frames.

use greenroom_domain::{Box2, FaceScore, Fps, ValidateSpec, Verdict};
use greenroom_identity::{Attributes, Face, Glimpse, Patch, Profile, expected, faces_of, raise_alarms, style};
use greenroom_media::{StripFace, StripFrame, small, strip};
use image::RgbImage;

use super::Bench;
use crate::fault::Fault;

/// Faces of one character that the classifier is asked about, spread over the take: a mean of more says nothing more.
const ASKED: usize = 24;
/// Frames on a strip, spread over the take.
const STRIP: usize = 24;
/// Quality of the strip's JPEG, 1 to 100: about 200 kB at most.
const QUALITY: u8 = 80;

/// Looks on while a take is scored. It keeps small pictures only, of frames and of faces, and as many as there are samples.
#[derive(Default)]
pub(super) struct Witness {
    glimpses: Vec<Glimpse>,
    /// For each glimpse what the classifier would see.
    squares: Vec<Option<RgbImage>>,
    frames: Vec<(u64, RgbImage, (u32, u32))>,
}

impl Witness {
    /// Notes a face that is large enough to be scored.
    pub(super) fn saw(&mut self, frame: u64, face: &Face, patch: Option<Patch>, square: Option<RgbImage>) {
        if let Some(patch) = patch {
            self.glimpses.push(Glimpse { frame, bbox: face.bbox, yaw: face.yaw(), patch, shows: None });
            self.squares.push(square);
        }
    }

    /// Notes a sampled frame.
    pub(super) fn keep(&mut self, frame: u64, picture: &RgbImage) {
        self.frames.push((frame, small(picture), picture.dimensions()));
    }

    pub(super) fn glimpses(&self) -> &[Glimpse] {
        &self.glimpses
    }

    /// Adds to the verdict what was noted: alarms, styles, and the strip.
    pub(super) fn testify(
        mut self,
        bench: &mut Bench,
        spec: &ValidateSpec,
        cast: &[(String, Profile)],
        fps: Fps,
        verdict: &mut Verdict,
    ) -> Result<(), Fault> {
        for character in &spec.expected {
            self.ask(bench, verdict, character)?;
        }
        let pack = &bench.models.pack;
        let copies = &pack.identity.scoring.copies;
        raise_alarms(verdict, &self.glimpses, cast, copies, pack.attributes.as_ref(), fps);
        if let Some(how) = &pack.attributes {
            for (character, profile) in cast.iter().filter(|(name, _)| spec.expected.contains(name)) {
                let shown: Vec<&Attributes> =
                    faces_of(verdict, &self.glimpses, character).into_iter().filter_map(|g| g.shows.as_ref()).collect();
                let expected = expected(&profile.usual, spec.captions.get(character).map(String::as_str), how);
                verdict.looks.styles.extend(style(character, &expected, &shown, how, &spec.anchors));
            }
        }
        if !self.frames.is_empty() {
            verdict.looks.strip = Some(bench.keep_jpeg(&strip(&self.strip(verdict, spec.gate)), QUALITY)?);
        }
        Ok(())
    }

    /// Lets the classifier see a character's faces.
    fn ask(&mut self, bench: &mut Bench, verdict: &Verdict, character: &str) -> Result<(), Fault> {
        let Some(classifier) = bench.models.classifier()? else { return Ok(()) };
        let own = faces_of(verdict, &self.glimpses, character);
        let own: Vec<(u64, Box2)> = own.iter().map(|glimpse| (glimpse.frame, glimpse.bbox)).collect();
        let places = spread(own.len(), ASKED).into_iter().filter_map(|at| {
            self.glimpses.iter().position(|g| (g.frame, g.bbox) == own[at]).filter(|i| self.squares[*i].is_some())
        });
        let places: Vec<usize> = places.collect();
        let squares: Vec<RgbImage> = places.iter().filter_map(|i| self.squares[*i].take()).collect();
        for (at, shows) in places.into_iter().zip(classifier.classify_squares(&squares)?) {
            self.glimpses[at].shows = Some(shows);
        }
        Ok(())
    }

    /// The frames that go on the strip, with their faces.
    fn strip(&self, verdict: &Verdict, gate: f32) -> Vec<StripFrame> {
        let of = |at: usize| {
            let (number, picture, size) = &self.frames[at];
            let repeat = verdict.looks.repeats.iter().find(|r| r.frame == *number);
            let scored = verdict.frames.iter().find(|frame| frame.frame == *number);
            let face = |face: &FaceScore| {
                let wrong = face.stands_for.as_ref().map(|expected| format!("not {expected}"));
                let name = face.character.clone().or(wrong);
                // Of a passer-by it would be a likeness to whoever is nearest.
                let score = name.as_ref().and(face.idr).map(|idr| idr.0);
                let passes = face.character.is_some() && score.is_some_and(|idr| idr >= gate);
                StripFace { bbox: face.bbox, name, score, passes }
            };
            // Of a frame that repeats another one nothing was scored.
            let faces = scored.map(|frame| frame.faces.iter().map(face).collect());
            StripFrame {
                number: *number,
                picture: picture.clone(),
                size: *size,
                faces: faces.unwrap_or_default(),
                repeats: repeat.map(|repeat| repeat.of),
            }
        };
        spread(self.frames.len(), STRIP).into_iter().map(of).collect()
    }
}

/// At most `most` of `count` places, evenly, the first and the last among them.
fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    (0..most).map(|i| (i * (count - 1) + (most - 1) / 2) / (most - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spread_has_both_ends_and_no_place_twice() {
        assert_eq!(spread(3, 24), [0, 1, 2]);
        let places = spread(97, 24);
        assert_eq!((places.len(), places[0], places[23]), (24, 0, 96));
        assert!(places.windows(2).all(|w| w[0] < w[1]), "{places:?}");
        assert_eq!(spread(0, 24), Vec::<usize>::new());
    }
}
