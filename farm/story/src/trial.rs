//! Captions that a character's LoRA is tried on.

use greenroom_domain::{Framing, Heading, Pack, Prompt, Setting, SlotScope, TimeOfDay};

use crate::caption::{Picture, assemble_prompt};

/// Captions of a character alone by framing, that say nothing of where and in which mood it is: what a reference shows.
#[must_use]
pub fn portrait_captions(description: &str, pack: &Pack) -> Vec<(Framing, String)> {
    let heading = Heading { text: String::new(), setting: Setting::Unsaid, place: String::new(), time: TimeOfDay::Day };
    let caption = |framing| {
        let picture =
            Picture { framing, person: Some(description), clothing: &[], prose: "", heading: &heading, scene: "" };
        (framing, assemble_prompt(&picture, pack).positive)
    };
    [Framing::Close, Framing::Medium, Framing::Wide].map(caption).into()
}

/// So many captions of a character alone, each another mixture of framing, place, time and what a shot can say besides (a face's
/// expression, say), all in the pack's words. They do not depend on any script, so trials of a character can be compared.
#[must_use]
pub fn trial_prompts(description: &str, pack: &Pack, count: usize) -> Vec<Prompt> {
    let words = |scope| {
        let slots = pack.vocabulary.slots.values().filter(move |slot| slot.scope == scope);
        slots.flat_map(|slot| slot.words.keys().map(String::as_str)).collect::<Vec<_>>()
    };
    let (places, moods) = (words(SlotScope::Place), words(SlotScope::Shot));
    let nth =
        |words: &[&str], n: usize| words.get(n % words.len().max(1)).map_or_else(String::new, |w| (*w).to_owned());
    let prompt = |n: usize| {
        let time = [TimeOfDay::Day, TimeOfDay::Night, TimeOfDay::Dusk][n % 3];
        let heading = Heading { text: String::new(), setting: Setting::Unsaid, place: nth(&places, n), time };
        let framing = if n.is_multiple_of(2) { Framing::Close } else { Framing::Medium };
        let prose = nth(&moods, n);
        let picture =
            Picture { framing, person: Some(description), clothing: &[], prose: &prose, heading: &heading, scene: "" };
        assemble_prompt(&picture, pack)
    };
    (0..count).map(prompt).collect()
}
