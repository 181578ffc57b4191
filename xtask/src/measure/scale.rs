//! The farm at the size of a large one: an example of the daemon decides for 1,600 nodes, one of the tests has 500 watchers.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::{Figure, example};

const GOALS: &[(&str, &str)] = &[("fanout_p99_ms", "<= 300")];

pub(super) fn figures(root: &Path, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let programs = ["greenroom-tests", "greenroomd", "greenroom", "greenroom-worker"];
    for (name, packages) in [("measure-scale", &programs[1..2]), ("measure-fanout", &programs)] {
        let program = example::built(root, name, packages)?;
        let mut each = |figure: Figure| say(&figure.with_goal(GOALS));
        example::printed(name, &mut Command::new(program), &mut each).context("measure scale")?;
    }
    Ok(())
}
