use super::{Factory, refused, sample};
use crate::{Batch, EventScope, Forgetting, Mention, Row, Store, StoreError, Unique};
use greenroom_domain::{
    ArtifactKind, Belonging, Character, Digest, Event, EventBody, EventSeq, Fate, Forgotten, Job, JobState, Project,
    Task,
};
use std::{collections::BTreeSet, sync::Arc};

/// Forgetting: what goes, what is written anew, what is left, and who names what.
pub async fn forgotten(make: impl Factory) {
    a_stone_takes_the_place_of_every_revision(&make).await;
    rows_that_named_it_are_written_anew(&make).await;
    nothing_else_can_be_rewritten_by_it(&make).await;
    whoever_names_an_artifact_is_found(&make).await;
    a_stone_changes_only_by_its_belongings_fates(&make).await;
}

/// MARA with two revisions, a job of hers that ended, its task and event.
struct Story {
    store: Arc<dyn Store>,
    project: Project,
    mara: Character,
    job: Job,
    task: Task,
    event: Event,
}

async fn story(make: &impl Factory) -> Story {
    let store = make().await;
    let project = sample::project(1);
    let mara = sample::character(&project, 1, "MARA");
    let newer = Character { revision: 2, ..mara.clone() };
    let ended = Job { state: JobState::Done { at: sample::at(5) }, ..sample::job(&project, 1) };
    let task = sample::task(&ended, 1).reuse(sample::output(1), sample::at(5)).unwrap();
    let ready = sample::task(&ended, 1);
    let was = crate::Expected::of(&ready);
    let batch = Batch::new()
        .insert_project(project.clone())
        .insert_character(mara)
        .insert_character(newer.clone())
        .insert_job(sample::job(&project, 1))
        .insert_task(ready)
        .update_task(task.clone(), was)
        .update_job(ended.clone())
        .event(sample::event(&project, Some(&ended), 1));
    let event = store.commit(batch).await.unwrap().remove(0);
    Story { store, project, mara: newer, job: ended, task, event }
}

fn stone(mara: &Character) -> Forgotten {
    let digest = mara.references[0].digest;
    Forgotten {
        character: mara.id,
        project: mara.project,
        name: Forgotten::name_digest(mara.id, &mara.name),
        revisions: mara.revision,
        at: sample::at(9),
        belongings: vec![Belonging { kind: ArtifactKind::Reference, digest, bytes: 3, fate: Fate::Pending }],
        footage: vec![],
        cancelled: vec![],
        rewritten: 0,
        finished: None,
    }
}

fn only(stone: Forgotten) -> Forgetting {
    Forgetting { stone, characters: vec![], jobs: vec![], tasks: vec![], events: vec![] }
}

async fn a_stone_takes_the_place_of_every_revision(make: &impl Factory) {
    let Story { store, project, mara, .. } = story(make).await;
    let body = EventBody::CharacterForgotten { character: mara.id };
    let told = Event { body, ..sample::event(&project, None, 9) };
    store.commit(Batch::new().forget(only(stone(&mara))).event(told)).await.unwrap();
    assert_eq!(store.character(mara.id).await.unwrap(), None);
    assert_eq!(store.character_revision(mara.id, 1).await.unwrap(), None);
    assert_eq!(store.character_by_name(project.id, "MARA").await.unwrap(), None);
    assert_eq!(store.forgotten(project.id).await.unwrap(), [stone(&mara)]);
    assert_eq!(store.forgotten(sample::project(2).id).await.unwrap(), []);
    refused!(store, Batch::new().forget(only(stone(&mara))), StoreError::Exists(Unique::Id(_)));
    refused!(store, Batch::new().update_character(mara.clone()), StoreError::Missing { .. });
    let heir = sample::character(&project, 7, "MARA");
    store.commit(Batch::new().insert_character(heir.clone())).await.unwrap();
    assert_eq!(store.character_by_name(project.id, "MARA").await.unwrap(), Some(heir));
    store.scrub().await.unwrap();
    store.integrity_check().await.unwrap();
}

async fn rows_that_named_it_are_written_anew(make: &impl Factory) {
    let Story { store, project, mara, job, task, event } = story(make).await;
    let tobin = sample::character(&project, 8, "TOBIN");
    store.commit(Batch::new().insert_character(tobin.clone())).await.unwrap();
    let job = Job { title: "a forgotten character".into(), request: Digest::of(b"nothing"), ..job };
    let task = Task { spec: None, ..task };
    let event = Event { body: EventBody::ProjectCreated { name: "-".into() }, ..event };
    let tobin = Character { description: "alone".into(), ..tobin };
    let forgetting = Forgetting {
        characters: vec![tobin.clone()],
        jobs: vec![job.clone()],
        tasks: vec![task.clone()],
        events: vec![event.clone()],
        ..only(stone(&mara))
    };
    store.commit(Batch::new().forget(forgetting)).await.unwrap();
    assert_eq!(store.job_by_request(project.id, Digest::of(b"nothing")).await.unwrap(), Some(job.clone()));
    assert_eq!(store.job_by_request(project.id, sample::job(&project, 1).request).await.unwrap(), None);
    assert_eq!(store.tasks(job.id).await.unwrap(), [task]);
    assert_eq!(store.output_by_spec(sample::spec(1).digest()).await.unwrap(), None);
    assert_eq!(store.events(EventSeq(0), EventScope::Job(job.id), 9).await.unwrap(), [event]);
    assert_eq!(store.characters(project.id).await.unwrap(), [tobin]);
    store.integrity_check().await.unwrap();
}

async fn nothing_else_can_be_rewritten_by_it(make: &impl Factory) {
    let Story { store, project, mara, job, task, event } = story(make).await;
    let open = sample::job(&project, 2);
    store.commit(Batch::new().insert_job(open.clone()).insert_task(sample::task(&open, 2))).await.unwrap();
    let with = |change: &dyn Fn(&mut Forgetting)| {
        let mut forgetting = only(stone(&mara));
        change(&mut forgetting);
        Batch::new().forget(forgetting)
    };
    refused!(store, with(&|f| f.jobs = vec![open.clone()]), StoreError::Fixed { field: "state", .. });
    let taken = Job { request: open.request, ..job.clone() };
    refused!(store, with(&|f| f.jobs = vec![taken.clone()]), StoreError::Exists(Unique::Request { .. }));
    refused!(store, with(&|f| f.tasks = vec![sample::task(&open, 2)]), StoreError::Fixed { field: "state", .. });
    let moved = Task { job: open.id, ..task.clone() };
    refused!(store, with(&|f| f.tasks = vec![moved.clone()]), StoreError::Fixed { field: "job", .. });
    let body = EventBody::CharacterForgotten { character: mara.id };
    let other = Event { body, ..event.clone() };
    refused!(store, with(&|f| f.events = vec![other.clone()]), StoreError::Fixed { field: "kind", .. });
    refused!(store, with(&|f| f.stone.revisions = 1), StoreError::Fixed { field: "revision", .. });
    let missing = sample::character(&project, 9, "NOVA");
    refused!(store, with(&|f| f.characters = vec![missing.clone()]), StoreError::Missing { .. });
    assert_eq!(store.character(mara.id).await.unwrap(), Some(mara));
    assert_eq!(store.forgotten(project.id).await.unwrap(), []);
}

async fn whoever_names_an_artifact_is_found(make: &impl Factory) {
    let Story { store, mara, job, task, .. } = story(make).await;
    let [picture, request] = [mara.references[0].digest, job.request];
    let output = Digest::of(b"breakdown 1");
    let found = store.mentions(&[picture, request, output, Digest::of(b"nobody's")].into()).await.unwrap();
    let rows = |digest| found.iter().filter(|m| m.digest == digest).map(|m| m.row).collect::<BTreeSet<_>>();
    assert_eq!(rows(picture), [Row::Character(mara.id, 1), Row::Character(mara.id, 2)].into());
    // The sample's script has the bytes of its request.
    assert_eq!(rows(request), [Row::Job(job.id), Row::Task(task.id)].into());
    assert_eq!(rows(output), [Row::Task(task.id)].into());
    store.commit(Batch::new().forget(only(stone(&mara)))).await.unwrap();
    assert_eq!(store.mentions(&[picture].into()).await.unwrap(), [] as [Mention; 0], "a stone is no mention");
}

async fn a_stone_changes_only_by_its_belongings_fates(make: &impl Factory) {
    let Story { store, project, mara, .. } = story(make).await;
    let mut stone = stone(&mara);
    refused!(store, Batch::new().update_forgotten(stone.clone()), StoreError::Missing { .. });
    store.commit(Batch::new().forget(only(stone.clone()))).await.unwrap();
    assert_eq!(store.unfinished().await.unwrap(), std::slice::from_ref(&stone));
    stone.belongings[0].fate = Fate::Removed;
    stone.finished = Some(sample::at(10));
    store.commit(Batch::new().update_forgotten(stone.clone())).await.unwrap();
    assert_eq!(store.unfinished().await.unwrap(), []);
    assert_eq!(store.forgotten(project.id).await.unwrap(), std::slice::from_ref(&stone));
    let other = Forgotten { belongings: vec![], ..stone };
    refused!(store, Batch::new().update_forgotten(other), StoreError::Fixed { field: "belongings", .. });
}
