//! Several trainers of one training: in every step each hands in its gradients and gets everybody's mean.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How trainers that share a training meet.
pub trait Reducer: Send {
    /// How many they are.
    fn members(&self) -> usize;

    /// Which of them this is, from 0.
    fn member(&self) -> usize;

    /// Replaces values by their mean over all members, in an order that does not depend on who comes first.
    ///
    /// # Errors
    /// Where another member is gone.
    fn average(&mut self, values: &mut [f32]) -> Result<(), Lost>;
}

/// Another trainer of the same training is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another trainer of this training is gone; resume all of them from the last checkpoint")]
pub struct Lost;

/// A training by one trainer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Reducer for Alone {
    fn members(&self) -> usize {
        1
    }

    fn member(&self) -> usize {
        0
    }

    fn average(&mut self, _: &mut [f32]) -> Result<(), Lost> {
        Ok(())
    }
}

/// Trainers on threads of one process.
#[must_use]
pub fn meeting(members: usize) -> Vec<Member> {
    let table = Arc::new(Table { state: Mutex::new(State::new(members)), changed: Condvar::new() });
    (0..members).map(|member| Member { table: table.clone(), member, members }).collect()
}

/// One of them. When it is dropped, the others are told in their next step.
#[derive(Debug)]
pub struct Member {
    table: Arc<Table>,
    member: usize,
    members: usize,
}

#[derive(Debug)]
struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    handed_in: Vec<Option<Vec<f32>>>,
    mean: Vec<f32>,
    /// Who has still to take the mean before the next round.
    to_take: usize,
    gone: bool,
}

impl State {
    fn new(members: usize) -> Self {
        Self { handed_in: vec![None; members], mean: Vec::new(), to_take: 0, gone: false }
    }
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked was dropped too, which is what the others are told.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the condition holds, or somebody is gone.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>, Lost> {
        let waits = |state: &mut State| !until(state) && !state.gone;
        let state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        if until(&state) { Ok(state) } else { Err(Lost) }
    }
}

impl Reducer for Member {
    fn members(&self) -> usize {
        self.members
    }

    fn member(&self) -> usize {
        self.member
    }

    fn average(&mut self, values: &mut [f32]) -> Result<(), Lost> {
        let mut state = self.table.wait(self.table.state(), |state| state.to_take == 0)?;
        state.handed_in[self.member] = Some(values.to_vec());
        if state.handed_in.iter().all(Option::is_some) {
            let mut sum = vec![0.0; values.len()];
            for handed_in in std::mem::replace(&mut state.handed_in, vec![None; self.members]).into_iter().flatten() {
                sum.iter_mut().zip(handed_in).for_each(|(s, v)| *s += v);
            }
            let share = 1.0 / self.members as f32;
            sum.iter_mut().for_each(|s| *s *= share);
            (state.mean, state.to_take) = (sum, self.members);
            self.table.changed.notify_all();
        }
        let mut state = self.table.wait(state, |state| state.to_take > 0)?;
        values.copy_from_slice(&state.mean);
        state.to_take -= 1;
        self.table.changed.notify_all();
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.table.state().gone = true;
        self.table.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::{Lost, Reducer, meeting};

    #[test]
    fn members_get_everybodys_mean_in_every_round() {
        let threads = meeting(3).into_iter().map(|mut member| {
            std::thread::spawn(move || {
                (0..50).all(|round| {
                    let mut values = [(member.member() * round) as f32, 1.0];
                    member.average(&mut values).unwrap();
                    values == [round as f32, 1.0]
                })
            })
        });
        assert!(threads.collect::<Vec<_>>().into_iter().all(|thread| thread.join().unwrap()));
    }

    #[test]
    fn who_waits_for_one_that_is_gone_is_told() {
        let mut members = meeting(2);
        drop(members.pop());
        assert_eq!(members[0].average(&mut [1.0]), Err(Lost));
    }
}
