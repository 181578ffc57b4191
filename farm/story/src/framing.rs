//! Drafts → framing, camera move and mood: what the camera does where the writer does not say.

use greenroom_domain::{CameraMove, Framing, Setting};

use crate::prose::Word;
use crate::shots::Draft;
use crate::tone;

/// How a scene's shots were framed so far.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Each person's last framing.
    last: Vec<(usize, Framing)>,
    /// Who was in the shot before.
    before: Option<(Option<usize>, Framing)>,
    /// The camera pushed in on the shot before.
    pushed: bool,
}

impl Coverage {
    /// Chooses framing and camera for the next shot. `text` is the prose about whoever is in frame.
    pub(crate) fn frame(&mut self, draft: &Draft, text: &[Word], place: Setting, scene: u32) -> (Framing, CameraMove) {
        let moving = tone::moves(text);
        let framing = draft.direction.framing.unwrap_or_else(|| self.choose(draft, text, place, moving));
        let camera = draft.direction.camera.unwrap_or_else(|| self.camera(draft, framing, text, moving, scene));
        self.pushed = camera == CameraMove::PushIn;
        if let Some(who) = draft.who {
            self.last.retain(|(w, _)| *w != who);
            self.last.push((who, framing));
        }
        self.before = Some((draft.who, framing));
        (framing, camera)
    }

    fn choose(&self, draft: &Draft, text: &[Word], place: Setting, moving: bool) -> Framing {
        let Some(who) = draft.who else {
            return if draft.opening { Framing::Establishing } else { Framing::Wide };
        };
        let face = tone::wants_a_face(text);
        let last = self.last.iter().find(|(w, _)| *w == who).map(|(_, f)| *f);
        let wished = match (draft.lines.is_empty(), face, moving) {
            // Outside there is room to see somebody go.
            (true, false, true) if place == Setting::Exterior => Framing::Wide,
            (_, _, true) => Framing::Medium,
            // Who comes in after a close shot is first seen from further away.
            (_, true, false) if last.is_none() && matches!(self.before, Some((_, Framing::Close))) => Framing::Medium,
            (_, true, false) => Framing::Close,
            (true, false, false) => Framing::Medium,
            (false, false, false) => other(last),
        };
        // The same person twice in the same size is a jump cut.
        if !moving && self.before == Some((Some(who), wished)) { other(Some(wished)) } else { wished }
    }

    /// Rests, unless somebody goes or feels; it does not push in twice running.
    fn camera(&self, draft: &Draft, framing: Framing, text: &[Word], moving: bool, scene: u32) -> CameraMove {
        match framing {
            Framing::Establishing if scene % 2 == 1 => CameraMove::PanRight,
            Framing::Establishing => CameraMove::PanLeft,
            Framing::Wide | Framing::Medium if moving && draft.who.is_some() => CameraMove::Tracking,
            Framing::Close if !self.pushed && tone::mood(text).is_some_and(|m| m != "calm") => CameraMove::PushIn,
            _ => CameraMove::Static,
        }
    }
}

/// First medium, then close, then medium again.
fn other(last: Option<Framing>) -> Framing {
    if last == Some(Framing::Medium) { Framing::Close } else { Framing::Medium }
}
