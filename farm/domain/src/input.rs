//! How pictures become the numbers that a face model takes. Pack data, with the ways of SCRFD and ArcFace as defaults.

use serde::{Deserialize, Serialize};

/// How the face detector takes a picture: by default RGB, (value − 127.5) / 128, as SCRFD does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorInput {
    /// Taken from every value, 0 to 255, before it is divided by `std`; one for each channel, in the order of `channels`.
    pub mean: [f32; 3],
    /// See `mean`.
    pub std: [f32; 3],
    /// In which order the model takes the channels.
    pub channels: Channels,
}

/// How the face embedder takes an aligned face: by default RGB, (value − 127.5) / 127.5, as ArcFace does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedderInput {
    /// Side of the aligned face, pixels. Needed only where the model leaves it open and is no model of 112 pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// Taken from every value, 0 to 255, before it is divided by `std`; one for each channel, in the order of `channels`.
    pub mean: [f32; 3],
    /// See `mean`.
    pub std: [f32; 3],
    /// In which order the model takes the channels.
    pub channels: Channels,
}

/// The order of a picture's channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV reads pictures.
    Bgr,
}

impl Default for DetectorInput {
    fn default() -> Self {
        Self { mean: [127.5; 3], std: [128.0; 3], channels: Channels::Rgb }
    }
}

impl Default for EmbedderInput {
    fn default() -> Self {
        Self { size: None, mean: [127.5; 3], std: [127.5; 3], channels: Channels::Rgb }
    }
}

impl DetectorInput {
    /// Whether it is the default, which `pack.toml` leaves out.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        fault("identity.detector", &self.mean, &self.std)
    }
}

impl EmbedderInput {
    /// Whether it is the default, which `pack.toml` leaves out.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let none = (self.size == Some(0)).then(|| "identity.embedder.size must be above 0".into());
        none.or_else(|| fault("identity.embedder", &self.mean, &self.std))
    }
}

fn fault(table: &str, mean: &[f32; 3], std: &[f32; 3]) -> Option<String> {
    let fits = mean.iter().all(|v| v.is_finite()) && std.iter().all(|v| v.is_finite() && *v > 0.0);
    (!fits).then(|| format!("{table}.mean must be three numbers, {table}.std three numbers above 0"))
}

#[cfg(test)]
mod tests {
    use crate::{Channels, Pack, Problem};

    const PACK: &str = include_str!("../../../packaging/packs/puppet/pack.toml");

    fn with(tables: &str) -> Result<Pack, Problem> {
        let mut pack: toml::Table = PACK.parse().unwrap();
        let identity = pack["identity"].as_table_mut().unwrap();
        identity.remove("detector");
        identity.remove("embedder");
        identity.extend(tables.parse::<toml::Table>().unwrap());
        Pack::parse(&toml::to_string(&pack).unwrap(), "pack.toml")
    }

    #[test]
    fn what_a_pack_does_not_say_is_the_default_and_leaves_its_digest_alone() {
        let silent = with("").unwrap();
        assert!(silent.identity.detector.is_default() && silent.identity.embedder.is_default());
        assert!(!serde_json::to_string(&silent).unwrap().contains("\"mean\":[127.5,127.5,127.5]"));
        let said = with("[detector]\nstd = [128.0, 128.0, 128.0]\n[embedder]\nchannels = 'rgb'").unwrap();
        assert_eq!(said.digest(), silent.digest());
        let other = with("[embedder]\nchannels = 'bgr'\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]").unwrap();
        assert_ne!(other.digest(), silent.digest());
        assert_eq!((other.identity.embedder.channels, other.identity.embedder.size), (Channels::Bgr, None));
    }

    #[test]
    fn an_input_that_no_model_can_take_is_refused() {
        let cause = |tables| with(tables).unwrap_err().cause;
        assert!(cause("[embedder]\nstd = [1.0, 0.0, 1.0]").contains("identity.embedder.std three numbers above 0"));
        assert!(cause("[detector]\nmean = [nan, 0.0, 0.0]").contains("identity.detector.mean"));
        assert!(cause("[embedder]\nsize = 0").contains("identity.embedder.size must be above 0"));
        assert!(cause("[detector]\nsize = 640").contains("unknown field `size`"));
        assert!(cause("[embedder]\nchannels = 'grey'").contains("unknown variant `grey`"));
        assert!(cause("[embedder]\nmean = [0.0]").contains("invalid length 1"));
    }
}
