//! `--set key=value`: a project's settings as text.

use clap::Args;
use greenroom_domain::Fps;
use greenroom_proto::v1;
use std::str::FromStr;

/// Settings of a project.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SetArgs {
    /// A setting of the project: size=768x448, fps=24, gate=0.75, retries=3, keyframes_per_second=2, crossfade=12 (frames),
    /// lora_images=30 (more pictures of a character than this train a LoRA of it; 0 is never) or seed=1
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<Assignment>,
    /// How much an attribute counts in a character's style, 0 or more: scar=2, hair_colour=1, glasses=0. What is not named counts
    /// as the pack says; the face alone decides
    #[arg(long = "anchor", value_name = "ATTRIBUTE=WEIGHT")]
    anchor: Vec<Anchor>,
}

/// One `attribute=weight`, checked.
#[derive(Clone, Debug, PartialEq)]
struct Anchor {
    attribute: String,
    weight: f32,
}

/// One `key=value`, checked.
#[derive(Clone, Debug, PartialEq)]
enum Assignment {
    Size(u32, u32),
    Fps(String),
    Gate(f32),
    Retries(u32),
    KeyframesPerSecond(u32),
    Crossfade(u32),
    LoraImages(u32),
    Seed(u64),
}

const KEYS: &str = "size, fps, gate, retries, keyframes_per_second, crossfade, lora_images, seed";

impl SetArgs {
    /// On the wire; what was not set stays unset. Of two values for one key the later counts.
    pub(crate) fn to_wire(&self) -> v1::Settings {
        let mut settings = v1::Settings::default();
        for assignment in &self.set {
            match assignment {
                Assignment::Size(width, height) => {
                    (settings.width, settings.height) = (Some(*width), Some(*height));
                }
                Assignment::Fps(fps) => settings.fps = Some(fps.clone()),
                Assignment::Gate(gate) => settings.gate = Some(*gate),
                Assignment::Retries(count) => settings.retries = Some(*count),
                Assignment::KeyframesPerSecond(count) => settings.keyframes_per_second = Some(*count),
                Assignment::Crossfade(frames) => settings.crossfade_frames = Some(*frames),
                Assignment::LoraImages(count) => settings.lora_images = Some(*count),
                Assignment::Seed(seed) => settings.seed = Some(*seed),
            }
        }
        settings.anchors = self.anchor.iter().map(|anchor| (anchor.attribute.clone(), anchor.weight)).collect();
        settings
    }
}

/// What `asked` sets otherwise than `has`: `gate is 0.75, not 0.8`.
pub(crate) fn difference(asked: &v1::Settings, has: &v1::Settings) -> Option<String> {
    let pairs = shown(asked).into_iter().zip(shown(has));
    let different = pairs.filter_map(|((key, asked), (_, has))| {
        let asked = asked?;
        let has = has.unwrap_or_else(|| "unset".to_owned());
        (asked != has).then(|| format!("{key} is {has}, not {asked}"))
    });
    let different = different.collect::<Vec<_>>().join("; ");
    (!different.is_empty()).then_some(different)
}

/// Every setting by the name that `--set` uses.
pub(crate) fn shown(settings: &v1::Settings) -> [(&'static str, Option<String>); 9] {
    [
        ("size", settings.width.zip(settings.height).map(|(width, height)| format!("{width}x{height}"))),
        ("fps", settings.fps.clone()),
        ("gate", settings.gate.map(|gate| gate.to_string())),
        ("retries", settings.retries.map(|count| count.to_string())),
        ("keyframes_per_second", settings.keyframes_per_second.map(|count| count.to_string())),
        ("crossfade", settings.crossfade_frames.map(|frames| frames.to_string())),
        ("lora_images", settings.lora_images.map(|count| count.to_string())),
        ("seed", settings.seed.map(|seed| seed.to_string())),
        ("anchors", anchors(settings)),
    ]
}

/// `hair_colour=1 scar=2`, by name; none where every attribute counts as the pack says.
fn anchors(settings: &v1::Settings) -> Option<String> {
    let mut anchors: Vec<_> = settings.anchors.iter().map(|(name, weight)| format!("{name}={weight}")).collect();
    anchors.sort();
    (!anchors.is_empty()).then(|| anchors.join(" "))
}

impl FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (attribute, weight) =
            text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write ATTRIBUTE=WEIGHT, as in scar=2")?;
        let weight = number(weight, "a number of 0 or more", |weight: &f32| weight.is_finite() && *weight >= 0.0)?;
        Ok(Self { attribute: attribute.to_owned(), weight })
    }
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("write KEY=VALUE; keys are: {KEYS}"))?;
        match key {
            "size" => size(value),
            "fps" => value.parse::<Fps>().map(|fps| Self::Fps(fps.to_string())),
            "gate" => number(value, "a number from 0 to 1", |gate: &f32| (0.0..=1.0).contains(gate)).map(Self::Gate),
            "retries" => number(value, "a whole number from 0 to 3", |count| *count <= 3).map(Self::Retries),
            "keyframes_per_second" => {
                number(value, "a whole number from 2 on", |count| *count >= 2).map(Self::KeyframesPerSecond)
            }
            "crossfade" => number(value, "a whole number of frames", |_| true).map(Self::Crossfade),
            "lora_images" => number(value, "a whole number of pictures", |_| true).map(Self::LoraImages),
            "seed" => number(value, "a whole number", |_| true).map(Self::Seed),
            _ => Err(format!("there is no setting `{key}`; there are: {KEYS}")),
        }
    }
}

fn size(value: &str) -> Result<Assignment, String> {
    value
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse::<u32>().ok()?, height.parse::<u32>().ok()?)))
        .filter(|(width, height)| *width > 0 && *height > 0 && width % 2 == 0 && height % 2 == 0)
        .map(|(width, height)| Assignment::Size(width, height))
        .ok_or_else(|| format!("`{value}` is not a size: write two even numbers of pixels, as in 768x448"))
}

fn number<T: FromStr>(value: &str, wanted: &str, fits: impl Fn(&T) -> bool) -> Result<T, String> {
    value.parse().ok().filter(fits).ok_or_else(|| format!("`{value}` is not {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Result<v1::Settings, String> {
        let set = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(SetArgs { set, ..SetArgs::default() }.to_wire())
    }

    #[test]
    fn what_is_set_is_sent_and_the_rest_is_left_to_the_farm() {
        let settings = set(&["size=384x224", "fps=30000/1001", "gate=0.5", "seed=18446744073709551615"]).unwrap();
        assert_eq!((settings.width, settings.height), (Some(384), Some(224)));
        assert_eq!(settings.fps.as_deref(), Some("30000/1001"));
        assert_eq!((settings.gate, settings.seed), (Some(0.5), Some(u64::MAX)));
        assert_eq!((settings.retries, settings.crossfade_frames), (None, None));
    }

    #[test]
    fn values_out_of_range_are_refused_with_what_would_do() {
        let refused = |text| set(&[text]).unwrap_err();
        assert_eq!(refused("gate=1.5"), "`1.5` is not a number from 0 to 1");
        assert_eq!(refused("gate=NaN"), "`NaN` is not a number from 0 to 1");
        assert_eq!(refused("retries=4"), "`4` is not a whole number from 0 to 3");
        assert_eq!(refused("size=767x448"), "`767x448` is not a size: write two even numbers of pixels, as in 768x448");
        assert_eq!(refused("fps=0"), "`0` is not a frame rate (write 24 or 30000/1001, at most 240)");
        assert_eq!(refused("keyframes_per_second=1"), "`1` is not a whole number from 2 on");
        assert_eq!(refused("gate"), format!("write KEY=VALUE; keys are: {KEYS}"));
    }

    #[test]
    fn anchors_are_sent_by_name_and_a_weight_below_nothing_is_refused() {
        let anchor = ["scar=2", "glasses=0"].map(|text| text.parse().unwrap()).into();
        let settings = SetArgs { anchor, ..SetArgs::default() }.to_wire();
        assert!(shown(&settings).contains(&("anchors", Some("glasses=0 scar=2".into()))));
        let refused = |text: &str| text.parse::<Anchor>().unwrap_err();
        assert_eq!(refused("scar=-1"), "`-1` is not a number of 0 or more");
        assert_eq!(refused("scar"), "write ATTRIBUTE=WEIGHT, as in scar=2");
    }

    #[test]
    fn a_project_that_is_set_otherwise_is_noticed() {
        let has = set(&["gate=0.75", "seed=1"]).unwrap();
        assert_eq!(difference(&set(&["seed=1"]).unwrap(), &has), None);
        let asked = set(&["gate=0.8", "seed=1"]).unwrap();
        assert_eq!(difference(&asked, &has).as_deref(), Some("gate is 0.75, not 0.8"));
    }
}
