//! Reads screenplays and turns them into scenes, shots and prompts. Pure.
//!
//! A Fountain script ([`fountain`]) is broken down by rules that a person can foresee ([`break_down`]); single shots can be
//! asked for without a script ([`parse_shot`]); and what a shot shows is said in the words that a pack's models know
//! ([`assemble_prompt`]).
//!
//! # From scene to shots
//!
//! 1. A scene opens with an *establishing* shot of the place, with nobody expected, where the place (or its time of day) is
//!    new, where its first action speaks of nobody, or where the heading says `EST.` A place that is known, or whose first
//!    line frames somebody (`CLOSE ON MARA`), is entered with that person.
//! 2. Every action paragraph is a shot of whom it is about: its first name that no preposition stands before, or whom a
//!    pronoun points back to. A paragraph that turns to somebody else is cut there. What is about nobody goes with the shot
//!    before it while that stays under six seconds, and is else a wide shot with nobody expected.
//! 3. Every speech is a shot of the speaker. Consecutive things of one person share a shot up to six seconds. A reply of up
//!    to three words is heard without a cut; a voice that is not seen (`V.O.`, `O.S.`) is heard over the shot before. A
//!    speech over eight seconds is cut at the end of a sentence.
//! 4. Camera words in the prose win: `CLOSE ON MARA`, `WIDE`, `PUSH IN`, `we follow`. Then: feeling, looking and whispering
//!    are *close* (*medium* for who comes in after a close shot of somebody else); moving about is *medium* with a tracking
//!    camera, outside and without words *wide*; speech is *medium* and *close* in turn, *medium* first; two shots of one
//!    person in a row differ in size.
//! 5. The camera pans over establishing shots (right and left in turn by scene), tracks who moves, pushes in on a feeling
//!    (not twice running), and rests otherwise.
//! 6. Length: speech at 2.5 words a second and 0.6 s a line; action by its share of a page (55 lines, 60 s), half of it
//!    where somebody speaks meanwhile; held between 2.5 and 8 s, an opening's action to 4 s; in whole frames.
//! 7. *Expected* is who is framed medium or close and has a cast folder; establishing and wide shots expect nobody. A pack
//!    that draws one person a picture gets one person a picture, whoever else the action names. Where it draws more, a medium
//!    shot expects those of the others that it can draw too, beside whom it is about, and each has a caption of their own.
//! 8. A script has at most twelve shots, or six a page where that is more: the shortest neighbours share a shot of up to
//!    eight seconds, and the camera stays with whoever says more.
//!
//! A script without scene headings is read as one scene, and a note says so. A person without a cast folder is shown by the
//! script's own words, expected nowhere, and noted.

mod breakdown;
mod budget;
mod camera;
mod caption;
mod decode;
pub mod fountain;
mod framing;
mod heading;
mod looks;
mod markup;
mod names;
mod people;
mod prose;
mod scenes;
mod shot_file;
mod shots;
mod tone;
mod trial;
mod vocabulary;
mod wardrobe;

pub use breakdown::break_down;
pub use caption::{Picture, assemble_prompt};
pub use decode::decode_script;
pub use names::names;
pub use shot_file::parse_shot;
pub use trial::{portrait_captions, trial_prompts};

use greenroom_domain::{Fps, Settings};

/// A character that has pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// As the script writes it, upper case (`MARA`).
    pub name: String,
    /// Prose that says how the character looks; may be empty.
    pub description: String,
}

/// What a breakdown needs from a project's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Durations are whole frames at this rate.
    pub fps: Fps,
}

impl From<&Settings> for Direction {
    fn from(settings: &Settings) -> Self {
        Self { fps: settings.fps }
    }
}
