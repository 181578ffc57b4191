//! Script → scenes → shots: what a screenplay breaks down to.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

use crate::{Digest, Frames};

/// A whole script, broken down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// From the title page, or the file's name.
    pub title: String,
    /// In order.
    pub scenes: Vec<Scene>,
    /// What a person may want to know: characters without a cast folder, lines that were not understood.
    pub notes: Vec<String>,
}

impl Breakdown {
    /// All shots in the order of the script.
    pub fn shots(&self) -> impl Iterator<Item = &Shot> {
        self.scenes.iter().flat_map(|s| &s.shots)
    }
}

/// One scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// 1, 2, 3 …
    pub number: u32,
    /// Where and when.
    pub heading: Heading,
    /// In order.
    pub shots: Vec<Shot>,
}

/// `INT. HIDDEN LAB - NIGHT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// As written.
    pub text: String,
    /// Inside or outside.
    pub setting: Setting,
    /// `HIDDEN LAB`.
    pub place: String,
    /// From the last part of the heading.
    pub time: TimeOfDay,
}

/// Inside or outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// INT.
    Interior,
    /// EXT.
    Exterior,
    /// INT./EXT.
    Both,
    /// A forced heading that does not say.
    Unsaid,
}

/// Time of day as headings give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeOfDay {
    /// DAY, MORNING, NOON, AFTERNOON, and where nothing is said.
    Day,
    /// SUNSET, DUSK, EVENING, DAWN, SUNRISE, MAGIC HOUR.
    Dusk,
    /// NIGHT, MIDNIGHT.
    Night,
}

/// Scene and number: `2-3` is the third shot of the second scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShotKey {
    /// The scene's number.
    pub scene: u32,
    /// The shot's number in it.
    pub shot: u32,
}

impl fmt::Display for ShotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.scene, self.shot)
    }
}

impl FromStr for ShotKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('-')
            .and_then(|(scene, shot)| Some(Self { scene: scene.parse().ok()?, shot: shot.parse().ok()? }))
            .ok_or_else(|| format!("`{text}` is not a shot (write SCENE-SHOT, as in 2-3)"))
    }
}

impl Serialize for ShotKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ShotKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The unit that is generated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shot {
    /// Its place in the script.
    pub key: ShotKey,
    /// How near the camera is.
    pub framing: Framing,
    /// How the camera moves.
    pub camera: CameraMove,
    /// What happens, as written.
    pub action: String,
    /// Who is in it, in the order of appearance.
    pub cast: Vec<String>,
    /// Whose face must be recognisable; a subset of `cast`, empty for establishing shots.
    pub expected: Vec<String>,
    /// What is said.
    pub dialogue: Vec<Line>,
    /// `tense`, `happy` …, where the prose says so.
    pub mood: Option<String>,
    /// Length.
    pub duration: Frames,
    /// The caption for the model, made by pack data.
    pub prompt: Prompt,
    /// A picture whose shapes the shot keeps to, of the kind that the pack's ControlNet follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Digest>,
    /// Of each expected character the caption of a close picture of it alone, for its face to be repaired by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub portraits: Vec<PersonCaption>,
    /// The caption of the place with nobody in it, for figures that are too many to be painted away by. Shots of before it was
    /// kept have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vacant: String,
}

/// How near the camera is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// The place, nobody in particular.
    Establishing,
    /// Whole figures.
    Wide,
    /// Waist up.
    Medium,
    /// The face.
    Close,
}

/// How the camera moves over a shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraMove {
    /// It does not.
    Static,
    /// Turns or slides to the left.
    PanLeft,
    /// Turns or slides to the right.
    PanRight,
    /// Comes nearer.
    PushIn,
    /// Goes back.
    PullOut,
    /// Follows sideways, slowly.
    Tracking,
}

/// One line of dialogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Who speaks.
    pub character: String,
    /// `(whispering)`, without the brackets.
    pub parenthetical: Option<String>,
    /// What is said.
    pub text: String,
}

/// What the text encoder is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// What to show.
    pub positive: String,
    /// What to avoid; may be empty.
    pub negative: String,
    /// Where several characters are to be recognised, a caption of each, from left to right; `positive` then says what is
    /// around them. Empty where one caption says all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<PersonCaption>,
}

/// The caption of one of several characters in a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonCaption {
    /// Name as in the shot's cast.
    pub character: String,
    /// What to show in this character's part of the picture.
    pub positive: String,
}
