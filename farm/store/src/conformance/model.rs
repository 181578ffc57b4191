use super::{Factory, sample};
use crate::{Batch, Change, EventScope, Expected, MemoryStore, Store, TaskStore};
use greenroom_domain::{Character, EventSeq, Job, JobState, Task, TaskState};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const BATCHES: u32 = 300;

/// The ledger in memory is the model: whatever is written to both, in any order, both answer the same.
pub async fn model(make: impl Factory) {
    let (model, store) = (MemoryStore::new(), make().await);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for store in [store.as_ref(), &model] {
        let both = Batch::new().insert_project(sample::project(0)).insert_project(sample::project(1));
        store.commit(both).await.unwrap();
    }
    let (mut written, mut refused) = (0, 0);
    for _ in 0..BATCHES {
        let batch = random_batch(&mut rng, &model).await;
        let (ours, theirs) = (store.commit(batch.clone()).await, model.commit(batch.clone()).await);
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{batch:?}");
        if ours.is_ok() { written += 1 } else { refused += 1 }
    }
    assert!(written > BATCHES / 10 && refused > BATCHES / 10, "{written} written, {refused} refused");
    assert_eq!(everything(store.as_ref()).await, everything(&model).await);
    store.integrity_check().await.unwrap();
}

/// One or two changes among few ids, so that they often meet.
async fn random_batch(rng: &mut ChaCha8Rng, model: &MemoryStore) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..rng.random_range(1..=2) {
        batch = batch.change(random_change(rng, model).await);
    }
    batch.event(sample::event(&sample::project(rng.random_range(0..2)), None, 0))
}

/// Equal numbers always belong to the same project and job; some jobs ask for the same, some characters share a name.
async fn random_change(rng: &mut ChaCha8Rng, model: &MemoryStore) -> Change {
    let n = rng.random_range(0..12);
    let project = sample::project(n % 2);
    let job = Job { request: sample::job(&project, n % 8).request, ..sample::job(&project, n) };
    let task = sample::task(&job, n + 12 * rng.random_range(0..8));
    match rng.random_range(0..12) {
        0 => Change::InsertProject(sample::project(rng.random_range(0..4))),
        1 | 2 => {
            let name = ["MARA", "ANTON", "NOVA"][rng.random_range(0..3)];
            Change::InsertCharacter(Character {
                revision: rng.random_range(1..3),
                ..sample::character(&project, n, name)
            })
        }
        3 => Change::UpdateCharacter(sample::character(&project, n, "MARA")),
        4 | 5 => Change::InsertJob(job),
        6 => {
            let ends = [JobState::Cancelled { at: sample::at(1) }, JobState::Done { at: sample::at(1) }];
            Change::UpdateJob(Job { state: ends[rng.random_range(0..2)].clone(), ..job })
        }
        7..=9 => Change::InsertTask(task),
        _ => random_update(rng, model.task(task.id).await.unwrap().unwrap_or(task)),
    }
}

/// What the state allows; now and then by a writer who saw an older state.
fn random_update(rng: &mut ChaCha8Rng, task: Task) -> Change {
    let mut was = Expected::of(&task);
    if rng.random_bool(0.1) {
        was.epoch.0 += 1;
    }
    let next = match task.state {
        TaskState::Ready { .. } => task.lease(sample::worker(1), sample::at(2)).unwrap(),
        TaskState::Leased(lease) if rng.random_bool(0.5) => {
            task.finish(lease.epoch, sample::output(1), sample::at(3)).unwrap()
        }
        _ => task.cancel(sample::at(4)),
    };
    Change::UpdateTask { task: next, was }
}

/// Everything that can be read, as text.
async fn everything(store: &dyn Store) -> String {
    let projects = store.projects().await.unwrap();
    let mut text = format!("{projects:?}");
    for project in &projects {
        text += &format!("{:?}", store.characters(project.id).await.unwrap());
        text += &format!("{:?}", store.jobs(Some(project.id), 3).await.unwrap());
        text += &format!("{:?}", store.events(EventSeq(5), EventScope::Project(project.id), 50).await.unwrap());
    }
    for n in 0..96 {
        text += &format!("{:?}", store.output_by_spec(sample::spec(n).digest()).await.unwrap());
    }
    for job in store.jobs(None, 100).await.unwrap() {
        text += &format!("{job:?}{:?}", store.tasks(job.id).await.unwrap());
        text += &format!("{:?}", store.job_by_request(job.project, job.request).await.unwrap());
    }
    text += &format!("{:?}{:?}", store.open_tasks().await.unwrap(), store.leased_tasks().await.unwrap());
    text
}
