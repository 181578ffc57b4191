//! What is kept of a face that was seen, beside its embedding: enough to tell copies, stills and misplaced faces.

use greenroom_domain::{Box2, Copies, FaceScore, Repeat};

use crate::{Attributes, Face, Patch, SeenFace};

/// One face in one sampled frame, as [`SeenFace`] and beside it.
#[derive(Clone, Debug)]
pub struct Glimpse {
    /// The frame's number in the take.
    pub frame: u64,
    /// Where; the same box as [`SeenFace::bbox`].
    pub bbox: Box2,
    /// Head turn, −1 to 1.
    pub yaw: f32,
    /// How it looks.
    pub patch: Patch,
    /// What it shows; none where nobody asked the classifier.
    pub shows: Option<Attributes>,
}

impl Glimpse {
    /// Of a face, which the embedder sees as `aligned`.
    #[must_use]
    pub fn of(frame: u64, face: &Face, aligned: &image::RgbImage) -> Self {
        Self { frame, bbox: face.bbox, yaw: face.yaw(), patch: Patch::of(aligned), shows: None }
    }

    /// Whether this is the face of a verdict's score in that frame.
    #[must_use]
    pub fn is(&self, frame: u64, face: &FaceScore) -> bool {
        self.frame == frame && self.bbox == face.bbox
    }
}

/// Frames that show what an earlier one shows: as many faces, each the same as one there, pixel for pixel or nearly so. In
/// order; a frame without a face, or with one that is too small to score, repeats nothing.
#[must_use]
pub fn repeats(frames: &[(u64, Vec<SeenFace>)], glimpses: &[Glimpse], copies: &Copies) -> Vec<Repeat> {
    let of = |frame: u64| glimpses.iter().filter(move |g| g.frame == frame);
    let same = |frame: u64, earlier: u64| {
        of(frame).all(|face| of(earlier).any(|other| face.patch.same(&other.patch) > copies.frame))
    };
    let mut shown: Vec<u64> = Vec::new();
    let mut repeats = Vec::new();
    for (frame, faces) in frames {
        let whole = !faces.is_empty() && of(*frame).count() == faces.len();
        let earlier = shown.iter().find(|e| whole && of(**e).count() == faces.len() && same(*frame, **e));
        match earlier {
            Some(&of) => repeats.push(Repeat { frame: *frame, of }),
            None => shown.push(*frame),
        }
    }
    repeats
}

/// The frames that are left, and which of them follow a cut: a cut to a frame that is left out is one to the frame after it.
#[must_use]
pub fn distinct_frames(
    frames: Vec<(u64, Vec<SeenFace>)>,
    cuts: &[u64],
    repeats: &[Repeat],
) -> (Vec<(u64, Vec<SeenFace>)>, Vec<u64>) {
    let (mut kept, mut after, mut cut) = (Vec::new(), Vec::new(), false);
    for (frame, faces) in frames {
        cut |= cuts.contains(&frame);
        if repeats.iter().any(|repeat| repeat.frame == frame) {
            continue;
        }
        if std::mem::take(&mut cut) {
            after.push(frame);
        }
        kept.push((frame, faces));
    }
    (kept, after)
}
