//! What a person could do about a verdict, in words.

use crate::{Decision, FrameScore, Idr, Reason, ShotKey, Verdict};

/// What to do about a shot, most urgent first; empty where nothing is to be done.
///
/// A rejected or unscored take is to be made again, with what went wrong and from where: `regenerate shot 3: MARA drifts from
/// frame 31, hair colour`. Of an accepted one only the looks are told that are not as they should be.
#[must_use]
pub fn advice(shot: ShotKey, verdict: &Verdict, gate: f32) -> Vec<String> {
    if verdict.decision.is_accept() {
        let styles = verdict.looks.styles.iter().filter(|style| !style.wrong().is_empty());
        return styles
            .map(|style| format!("look at shot {shot}: {}, {}", style.character, style.remarks().join(", ")))
            .collect();
    }
    let unscored = matches!(verdict.decision, Decision::Unscored { .. });
    let says = |reason: &Reason| {
        let what = fault(verdict, reason, gate);
        match reason {
            Reason::NoLikeReference { .. } => format!("{what}, then push shot {shot} again"),
            _ if unscored => format!("regenerate shot {shot}, nearer to the face: {what}"),
            _ => format!("regenerate shot {shot}: {what}"),
        }
    };
    verdict.decision.reasons().iter().map(says).collect()
}

fn fault(verdict: &Verdict, reason: &Reason, gate: f32) -> String {
    match reason {
        Reason::IdentityBelowGate { character, p10, worst_frame, .. } => {
            let course = match course(verdict, character, gate) {
                Course::Throughout => format!("{character} is not alike throughout (p10 IDR {:.2})", p10.0),
                Course::From(frame) => format!("{character} drifts from frame {frame}"),
                Course::Moments => format!("{character} is lost for moments, worst at frame {worst_frame}"),
            };
            with_looks(verdict, character, course)
        }
        Reason::FaceMissing { character, coverage } => {
            format!("the face of {character} is seen in {:.0} % of the frames", coverage * 100.0)
        }
        Reason::WrongCharacter { expected, seen } => {
            with_looks(verdict, expected, format!("{seen} stands in the place of {expected}"))
        }
        Reason::SecondFace { character, frame } => format!("a second {character} in frame {frame}"),
        Reason::NoLikeReference { character, .. } => {
            format!("add a reference of {character} from the side, or covered as in the shot")
        }
        Reason::CopyOfReference { character, reference, .. } => {
            format!("{character} is a copy of reference {reference}")
        }
        Reason::Frozen { character, .. } => format!("the face of {character} does not move"),
        Reason::Misplaced { character, frame } => {
            format!("the face of {character} is where no head belongs, as in frame {frame}")
        }
    }
}

/// The sentence with the attributes that are not as they should be.
fn with_looks(verdict: &Verdict, character: &str, sentence: String) -> String {
    let style = verdict.looks.styles.iter().find(|style| style.character == character);
    let names = style.map(|style| style.wrong().iter().map(|anchor| anchor.name()).collect::<Vec<_>>());
    std::iter::once(sentence).chain(names.unwrap_or_default()).collect::<Vec<_>>().join(", ")
}

/// How a character came to be below the gate.
enum Course {
    /// It never was above it.
    Throughout,
    /// It was, until this frame, and never after.
    From(u64),
    /// Now and then.
    Moments,
}

fn course(verdict: &Verdict, character: &str, gate: f32) -> Course {
    let seen = idrs(verdict, character);
    let last_above = seen.iter().rposition(|(_, idr)| idr.0 >= gate);
    match last_above {
        None => Course::Throughout,
        // One frame at the end is a moment, two are a drift.
        Some(at) if at + 2 < seen.len() => Course::From(seen[at + 1].0),
        Some(_) => Course::Moments,
    }
}

/// (frame, IDR) of a character in every frame with a face; 0 where none of the faces is its.
fn idrs(verdict: &Verdict, character: &str) -> Vec<(u64, Idr)> {
    let of = |frame: &FrameScore| {
        let own = frame.faces.iter().find(|face| face.character.as_deref() == Some(character));
        (frame.frame, own.and_then(|face| face.idr).unwrap_or(Idr(0.0)))
    };
    verdict.frames.iter().filter(|frame| !frame.faces.is_empty()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnchorScore, Box2, Cosine, Digest, FaceScore, Looks, ModelsUsed, StyleScore};

    const GATE: f32 = 0.75;

    /// A take of MARA with this IDR in every sixth frame, none where she is not recognised.
    fn verdict(idrs: &[Option<f32>], reason: Option<Reason>, wrong: &[(&str, &str)]) -> Verdict {
        let frame = |(number, idr): (usize, &Option<f32>)| {
            let face = FaceScore {
                bbox: Box2 { x0: 0.0, y0: 0.0, x1: 9.0, y1: 9.0 },
                detection: 0.9,
                yaw: 0.0,
                person: 0,
                character: idr.map(|_| "MARA".to_owned()),
                stands_for: None,
                unscored: None,
                cosine: Some(Cosine(0.5)),
                idr: idr.map(Idr),
                band: None,
            };
            FrameScore { frame: number as u64 * 6, faces: vec![face] }
        };
        let anchor = |&(attribute, remark): &(&str, &str)| AnchorScore {
            attribute: attribute.to_owned(),
            expected: "black".to_owned(),
            seen: Some("red".to_owned()),
            score: Some(0.1),
            weight: 1.0,
            remark: Some(remark.to_owned()),
        };
        let anchors = wrong.iter().map(anchor).collect();
        let styles = vec![StyleScore { character: "MARA".into(), score: Some(0.1), anchors }];
        let digest = Digest::of(b"model");
        Verdict {
            decision: reason.map_or(Decision::Accept, |reason| Decision::Reject { reasons: vec![reason] }),
            characters: vec![],
            frames: idrs.iter().enumerate().map(frame).collect(),
            strangers: vec![],
            models: ModelsUsed { pack: "t 1".into(), detector: digest, embedder: digest, calibration: "t".into() },
            looks: Box::new(Looks { styles, ..Looks::default() }),
        }
    }

    fn below() -> Option<Reason> {
        Some(Reason::IdentityBelowGate { character: "MARA".into(), p10: Idr(0.31), gate: GATE, worst_frame: 12 })
    }

    fn says(verdict: &Verdict) -> Vec<String> {
        advice("1-3".parse().unwrap(), verdict, GATE)
    }

    #[test]
    fn a_drift_is_told_from_its_first_frame_with_what_drifted() {
        let drifting = [Some(0.9), Some(0.8), Some(0.6), None, Some(0.2)];
        let verdict = verdict(&drifting, below(), &[("hair_colour", "hair colour: red instead of black")]);
        assert_eq!(says(&verdict), ["regenerate shot 1-3: MARA drifts from frame 12, hair colour"]);
    }

    #[test]
    fn a_moment_is_no_drift_and_a_stranger_throughout_is_none_either() {
        let lost = verdict(&[Some(0.9), Some(0.8), Some(0.3), Some(0.9)], below(), &[]);
        assert_eq!(says(&lost), ["regenerate shot 1-3: MARA is lost for moments, worst at frame 12"]);
        let never = verdict(&[Some(0.3), None, Some(0.3)], below(), &[]);
        assert_eq!(says(&never), ["regenerate shot 1-3: MARA is not alike throughout (p10 IDR 0.31)"]);
    }

    #[test]
    fn an_accepted_take_is_only_looked_at_for_its_looks() {
        assert_eq!(says(&verdict(&[Some(0.9)], None, &[])), Vec::<String>::new());
        let scar = verdict(&[Some(0.9)], None, &[("scar", "scar on the left cheek missing")]);
        assert_eq!(says(&scar), ["look at shot 1-3: MARA, scar on the left cheek missing"]);
    }
}
