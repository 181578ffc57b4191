//! What a worker and its session say to each other over the session's standard input and output: lines of JSON, a file's line
//! followed by its bytes.

use greenroom_domain::PathRule;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read, Write},
    path::PathBuf,
};

/// From the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Make the working folder. First of all.
    Open(Box<Opening>),
    /// What an earlier step left: `bytes` bytes follow the line.
    File(Header),
    /// Run a task of the step; enter the environments first where none is entered.
    Run {
        /// Which, from 0.
        index: u32,
    },
    /// Stop what runs, as its template says.
    Cancel,
    /// Leave the environments, the last one first, and end.
    Close,
}

/// What a session is opened with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// The template's file name.
    pub file: String,
    /// The template.
    pub template: String,
    /// Environment templates, (file name, text).
    pub environments: Vec<(String, String)>,
    /// Parameters as they were given.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Where the template lay.
    pub template_folder: String,
    /// Where it was pushed from.
    pub working_folder: String,
    /// How paths are found here.
    pub paths: Vec<PathRule>,
    /// Whose tasks.
    pub step: String,
    /// Where the working folder is made.
    pub scratch: PathBuf,
}

/// A file that goes over the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The parameter that names the folder, and the path below it.
    pub path: String,
    /// How many follow.
    pub bytes: u64,
    /// Whether it may be run.
    pub executable: bool,
}

/// From the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum Said {
    /// A line of the log, secrets blanked out.
    Log {
        /// Without its end.
        line: String,
        /// The command's own words, not the session's about it.
        #[serde(default)]
        output: bool,
    },
    /// How far the task is, 0 to 1.
    Progress {
        /// 0 to 1.
        fraction: f32,
    },
    /// What it is doing, in its own words.
    Status {
        /// One line.
        text: String,
    },
    /// What it left: `bytes` bytes follow the line.
    File(Header),
    /// An order is carried out.
    Ended(Ended),
}

/// How an order ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// As it should.
    Well,
    /// It failed: `exit code 3`.
    Failed(String),
    /// It was stopped.
    Cancelled,
}

/// Longer lines than this are no lines of ours.
const LONGEST: u64 = 16 << 20;

/// Writes a line.
///
/// # Errors
/// If the other side has gone.
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads a line; none where the other side has ended.
///
/// # Errors
/// If it cannot be read or is no line of ours.
pub fn receive<T: for<'de> Deserialize<'de>>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(LONGEST).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_follow_a_line_do_not_disturb_the_next() {
        let header = Header { path: "Out/a\nb".into(), bytes: 3, executable: true };
        let mut pipe = Vec::new();
        send(&mut pipe, &Said::File(header.clone())).unwrap();
        pipe.extend(b"\n{\n");
        send(&mut pipe, &Said::Ended(Ended::Failed("exit code 3".into()))).unwrap();
        let mut pipe = pipe.as_slice();
        assert_eq!(receive(&mut pipe).unwrap(), Some(Said::File(header)));
        let mut bytes = [0; 3];
        pipe.read_exact(&mut bytes).unwrap();
        assert_eq!(receive(&mut pipe).unwrap(), Some(Said::Ended(Ended::Failed("exit code 3".into()))));
        assert_eq!(receive::<Said>(&mut pipe).unwrap(), None);
    }
}
