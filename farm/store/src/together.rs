//! Changes of one kind that stand together, for a database that takes many rows at once.

use greenroom_domain::{Task, TaskId};
use std::collections::BTreeSet;

use crate::{Change, Expected};

/// What can be written in few statements.
#[derive(Clone, Debug, PartialEq)]
pub enum Together<'a> {
    /// New tasks, no two with one id.
    Insert(Vec<&'a Task>),
    /// Tasks as they shall be and as the writer saw them, no two with one id.
    Update(Vec<(&'a Task, Expected)>),
    /// Anything else.
    One(&'a Change),
}

/// The changes in their order, in as few parts as may be. A task that is in a part already begins another: it must see what
/// the earlier change did.
pub fn together(changes: &[Change]) -> impl Iterator<Item = Together<'_>> {
    let mut rest = changes;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let inserted = run(rest, |change| match change {
            Change::InsertTask(new) => Some((new, new.id)),
            _ => None,
        });
        let updated = run(rest, |change| match change {
            Change::UpdateTask { task, was } => Some(((task, *was), task.id)),
            _ => None,
        });
        rest = &rest[inserted.len().max(updated.len()).max(1)..];
        Some(match (inserted.is_empty(), updated.is_empty()) {
            (false, _) => Together::Insert(inserted),
            (_, false) => Together::Update(updated),
            (true, true) => Together::One(first),
        })
    })
}

/// What the changes in front have in common, up to the first of another kind or of a task that is among them already.
fn run<'a, T>(changes: &'a [Change], same: impl Fn(&'a Change) -> Option<(T, TaskId)>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let new = changes.iter().map_while(same).take_while(|(_, id)| seen.insert(*id));
    new.map(|(value, _)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, conformance::sample};

    #[test]
    fn likes_go_together_in_their_order_and_no_task_twice() {
        let project = sample::project(1);
        let job = sample::job(&project, 1);
        let [a, b] = [sample::task(&job, 1), sample::task(&job, 2)];
        let was = Expected::of(&a);
        let batch = Batch::new().insert_job(job).insert_task(a.clone()).insert_task(b.clone());
        let batch = batch.update_task(a.clone(), was).update_task(b.clone(), was).update_task(a.clone(), was);
        let parts = together(&batch.changes).collect::<Vec<_>>();
        assert_eq!(parts.len(), 4, "{parts:?}");
        assert!(matches!(parts[0], Together::One(Change::InsertJob(_))));
        assert_eq!(parts[1], Together::Insert(vec![&a, &b]));
        assert_eq!(parts[2], Together::Update(vec![(&a, was), (&b, was)]));
        assert_eq!(parts[3], Together::Update(vec![(&a, was)]));
    }
}
