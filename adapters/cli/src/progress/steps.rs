//! Commands: one line for each step, however many tasks it has.

use super::{Node, Row, Stage};

/// A line for each step, in the order in which they began.
pub(super) fn rows(nodes: &[&Node]) -> Vec<Row> {
    let mut names = Vec::new();
    for node in nodes {
        if !names.contains(&node.task.step.as_str()) {
            names.push(node.task.step.as_str());
        }
    }
    names.into_iter().map(|name| row(name, nodes.iter().filter(|node| node.task.step == name).copied())).collect()
}

fn row<'a>(name: &str, tasks: impl Iterator<Item = &'a Node>) -> Row {
    let tasks: Vec<_> = tasks.collect();
    let count = |state: &str| tasks.iter().filter(|node| node.task.state == state).count();
    let (done, running, all) = (count("done"), count("leased"), tasks.len());
    let stopped = tasks.iter().find(|node| matches!(&node.task.state[..], "failed" | "cancelled"));
    let stage = match stopped {
        Some(_) => Stage::Stopped,
        None if done == all => Stage::Accepted,
        None if running > 0 || done > 0 => Stage::Making,
        None => Stage::Waiting,
    };
    let counted = format!("{done} of {all}");
    let of = |node: &Node| match node.task.label.as_str() {
        "" => node.words(),
        label => format!("{label}: {}", node.words()),
    };
    let speaks = stopped.or_else(|| tasks.iter().find(|node| node.task.state == "leased"));
    let text = match speaks {
        Some(node) if all == 1 => node.words(),
        Some(node) => format!("{counted}, {}", of(node)),
        None => counted,
    };
    let fraction = if stopped.is_some() { 0.0 } else { tasks.iter().map(|node| node.done()).sum::<f64>() / all as f64 };
    Row { label: name.to_owned(), take: 0, stage, fraction, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        progress::Progress,
        samples::{progress, task, task_event},
    };
    use greenroom_proto::v1;

    fn frame(uid: &str, label: &str, state: &str) -> v1::Task {
        v1::Task { step: "Render".into(), label: label.into(), ..task(uid, "command", "", 0, state, "") }
    }

    #[test]
    fn a_step_of_many_tasks_is_one_line_that_tells_what_runs() {
        let mut model = Progress::default();
        for (uid, label, state) in [("a", "Frame=1", "done"), ("b", "Frame=2", "leased"), ("c", "Frame=3", "ready")] {
            model.hear(&task_event(1, frame(uid, label, state)));
        }
        model.hear(&progress("b", 0.5, "sampling"));
        let row = model.rows().remove(0);
        assert_eq!((row.label.as_str(), row.stage), ("Render", Stage::Making));
        assert_eq!((row.fraction, row.text.as_str()), (0.5, "1 of 3, Frame=2: sampling"));
        assert_eq!(model.rows().len(), 1);
    }
}
