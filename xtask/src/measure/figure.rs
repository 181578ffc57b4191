//! One measured number.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number with its name and unit and, where there is one, its goal, or the number of another program beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// `noun.measure`, such as `greenroomd.size`.
    pub(crate) figure: String,
    pub(crate) value: f64,
    /// Singular and SI where there is one: `s`, `ms`, `MiB`; `1` for a count.
    pub(crate) unit: String,
    /// What the value is to reach, `>= 0.99`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<String>,
    /// The program that was measured beside ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    /// Its number, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer_value: Option<f64>,
    /// How many times better ours is: above 1 where it does more a second, or takes less of anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
}

impl Figure {
    pub(crate) fn new(figure: impl Into<String>, value: f64, unit: &str) -> Self {
        let unit = unit.to_owned();
        Self { figure: figure.into(), value, unit, goal: None, peer: None, peer_value: None, ratio: None }
    }

    /// With what another program took for the same, in the same run.
    pub(crate) fn beside(self, peer: impl Into<String>, peer_value: f64) -> Self {
        let is_rate = self.unit.ends_with("/s");
        let ratio = if is_rate { self.value / peer_value } else { peer_value / self.value };
        Self { peer: Some(peer.into()), peer_value: Some(peer_value), ratio: Some(ratio), ..self }
    }

    /// With its goal, if it has one among these.
    pub(crate) fn with_goal(self, goals: &[(&str, &str)]) -> Self {
        let goal = goals.iter().find(|(name, _)| *name == self.figure).map(|(_, goal)| (*goal).to_owned());
        Self { goal: goal.or(self.goal), ..self }
    }

    /// `bytes` in MiB.
    pub(crate) fn mebibytes(figure: impl Into<String>, bytes: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "sizes of files and processes are far below 2^53")]
        let value = bytes as f64 / f64::from(1 << 20);
        Self::new(figure, value, "MiB")
    }

    /// `duration` in milliseconds.
    pub(crate) fn milliseconds(figure: impl Into<String>, duration: Duration) -> Self {
        Self::new(figure, duration.as_secs_f64() * 1000.0, "ms")
    }

    /// `duration` in seconds.
    pub(crate) fn seconds(figure: impl Into<String>, duration: Duration) -> Self {
        Self::new(figure, duration.as_secs_f64(), "s")
    }
}

impl fmt::Display for Figure {
    /// One line of JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_line_of_json() {
        let figure = Figure::mebibytes("pack.size", 3 << 19);
        assert_eq!(figure.to_string(), r#"{"figure":"pack.size","value":1.5,"unit":"MiB"}"#);
    }

    #[test]
    fn a_peer_stands_beside_the_value() {
        let time = Figure::new("decode.time", 1.0, "s").beside("ffmpeg", 2.0);
        let expected =
            r#"{"figure":"decode.time","value":1.0,"unit":"s","peer":"ffmpeg","peer_value":2.0,"ratio":2.0}"#;
        assert_eq!(time.to_string(), expected);
        assert_eq!(Figure::new("decode.rate", 30.0, "1/s").beside("ffmpeg", 60.0).ratio, Some(0.5), "more is better");
    }
}
