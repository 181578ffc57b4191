//! Finding everything that is of a person, everything that names it, and what shows it.

use greenroom_domain::{
    ArtifactKind, Belonging, Breakdown, Character, CharacterId, Digest, EventSeq, Fate, Footage, Forgotten, Job, JobId,
    ProjectId, Spec, Task, TaskKind, TaskOutput, Timestamp,
};
use greenroom_schedule::ScriptPlan;
use greenroom_store::{EventScope, Forgetting, Row};
use std::collections::{BTreeMap, BTreeSet};

use super::{bytes, names, records, records::Record, redact, revisions};
use crate::{farm::Farm, ledger::LedgerError, push};

/// Whom to forget.
#[derive(Debug)]
pub(super) struct Person {
    latest: Character,
    /// Of any revision.
    names: BTreeSet<String>,
    /// What is of them, each once.
    own: BTreeMap<Digest, ArtifactKind>,
}

impl Person {
    /// A character, and what its revisions and its profile jobs made.
    pub(super) async fn find(farm: &Farm, latest: Character) -> Result<Self, LedgerError> {
        let revisions = revisions(farm, latest.clone()).await?;
        let mut own: BTreeMap<_, _> = revisions.iter().flat_map(Character::belongings).map(|(k, d)| (d, k)).collect();
        let mut person = Self { latest, names: names(&revisions), own: BTreeMap::new() };
        for job in farm.store.jobs(Some(person.project()), usize::MAX).await? {
            for task in farm.store.tasks(job.id).await?.iter().filter(|task| person.owns(task)) {
                match &task.spec {
                    Some(Spec::Profile(spec)) => {
                        own.extend(spec.references.iter().map(|(_, digest)| (*digest, ArtifactKind::Reference)));
                    }
                    Some(Spec::Convert(spec)) => own.extend([(spec.lora, ArtifactKind::Lora)]),
                    _ => {}
                }
                own.extend(task.output().into_iter().flat_map(TaskOutput::artifacts).map(|(k, d)| (d, k)));
            }
        }
        person.own = own;
        Ok(person)
    }

    /// Where they are.
    pub(super) const fn project(&self) -> ProjectId {
        self.latest.project
    }

    /// Their name now.
    pub(super) fn name(&self) -> &str {
        &self.latest.name
    }

    /// Whether a task is of them alone.
    fn owns(&self, task: &Task) -> bool {
        match &task.spec {
            Some(Spec::Profile(spec)) => self.names.contains(&spec.character),
            Some(Spec::Calibrate(spec)) => self.names.contains(&spec.character),
            Some(Spec::Collect(spec)) => self.names.contains(&spec.character),
            Some(Spec::Train(spec)) => self.names.contains(&spec.character),
            Some(Spec::Convert(spec)) => self.names.contains(&spec.character),
            Some(Spec::Prove(spec)) => self.names.contains(&spec.character),
            _ => false,
        }
    }

    /// Whether a task names something of them; somebody else's profile from the same picture does not count.
    pub(super) fn is_named_by(&self, task: &Task) -> bool {
        let others = matches!(&task.spec, Some(Spec::Profile(_))) && !self.owns(task);
        let text = serde_json::to_string(task).unwrap_or_default();
        !others && Digest::named_in(&text).any(|(_, digest)| self.own.contains_key(&digest))
    }

    /// Whether a script is shot with them.
    pub(super) fn is_cast_in(&self, plan: &ScriptPlan) -> bool {
        plan.cast.iter().any(|member| self.own.contains_key(&member.profile))
    }
}

/// Everything that becomes true when the person is forgotten. New records are written; nothing is removed yet.
pub(super) async fn forgetting(
    farm: &Farm,
    person: &Person,
    cancelled: Vec<JobId>,
    now: Timestamp,
) -> Result<Forgetting, LedgerError> {
    let mut gathered = Gathered::new(person);
    let records = records::all(farm).await?;
    gathered.own(farm, &records).await?;
    gathered.jobs(farm).await?;
    gathered.records(farm, &records).await?;
    gathered.rows(farm).await?;
    Ok(gathered.finish(cancelled, now))
}

struct Gathered<'a> {
    person: &'a Person,
    id: CharacterId,
    belongings: Vec<Belonging>,
    /// What stands for each digest that goes.
    others: BTreeMap<Digest, Digest>,
    /// Plans and breakdowns of scripts with the person, and what they are.
    scripts: BTreeMap<Digest, ArtifactKind>,
    footage: Vec<Footage>,
    characters: Vec<Character>,
    jobs: BTreeMap<JobId, Job>,
    tasks: BTreeMap<greenroom_domain::TaskId, Task>,
    events: BTreeMap<EventSeq, greenroom_domain::Event>,
}

impl<'a> Gathered<'a> {
    const fn new(person: &'a Person) -> Self {
        Self {
            person,
            id: person.latest.id,
            belongings: vec![],
            others: BTreeMap::new(),
            scripts: BTreeMap::new(),
            footage: vec![],
            characters: vec![],
            jobs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            events: BTreeMap::new(),
        }
    }

    /// The person's own artifacts: each goes, unless another character has it too. A profile that no row knows, of a task
    /// that broke off, is found by the name in it.
    async fn own(&mut self, farm: &Farm, records: &[Record]) -> Result<(), LedgerError> {
        let mut own = self.person.own.clone();
        let is_stray = |r: &&Record| r.about.as_ref().is_some_and(|n| self.person.names.contains(n));
        let strays = records.iter().filter(is_stray).map(|r| r.digest).filter(|digest| !own.contains_key(digest));
        // Where somebody else has the name, it may be the profile that a worker has just made of them.
        let alone = !self.has_namesake(farm).await?;
        let strays: BTreeSet<_> = strays.filter(|_| alone).collect();
        let known: BTreeSet<_> = farm.store.mentions(&strays).await?.into_iter().map(|m| m.digest).collect();
        own.extend(strays.difference(&known).map(|&digest| (digest, ArtifactKind::Profile)));
        let mut shared = BTreeMap::new();
        for mention in farm.store.mentions(&own.keys().copied().collect()).await? {
            if let Row::Character(id, _) = mention.row
                && id != self.id
            {
                shared.insert(mention.digest, format!("it is of character {id} too"));
            }
        }
        for (digest, kind) in own {
            match shared.remove(&digest) {
                Some(why) => {
                    let bytes = size(farm, digest).await?;
                    self.belongings.push(Belonging { kind, digest, bytes, fate: Fate::Kept { why } });
                }
                None => self.goes(farm, kind, digest, None).await?,
            }
        }
        Ok(())
    }

    /// Whether a character of another project has one of the names.
    async fn has_namesake(&self, farm: &Farm) -> Result<bool, LedgerError> {
        for project in farm.store.projects().await? {
            for name in &self.person.names {
                let namesake = farm.store.character_by_name(project.id, name).await?;
                if namesake.is_some_and(|c| c.id != self.id) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The project's jobs: the person's own lose everything, scripts with the person how it looks.
    async fn jobs(&mut self, farm: &Farm) -> Result<(), LedgerError> {
        for job in farm.store.jobs(Some(self.person.project()), usize::MAX).await? {
            let tasks = farm.store.tasks(job.id).await?;
            let own: Vec<_> = tasks.iter().filter(|task| self.person.owns(task)).cloned().collect();
            let is_own = own.iter().any(|task| task.kind == TaskKind::Profile);
            // A profile is followed by the calibrations of others, and others' profiles by this one's.
            self.tasks.extend(own.into_iter().map(|task| (task.id, redact::own_task(task))));
            if is_own {
                for event in farm.store.events(EventSeq(0), EventScope::Job(job.id), usize::MAX).await? {
                    self.events.insert(event.seq, redact::own_event(event));
                }
                self.jobs.insert(job.id, redact::own_job(job));
            } else if let Ok(plan) = push::read_plan(farm, job.request).await
                && self.person.is_cast_in(&plan)
            {
                self.script(&job, &plan, tasks);
            }
        }
        Ok(())
    }

    fn script(&mut self, job: &Job, plan: &ScriptPlan, tasks: Vec<Task>) {
        let shots = plan.breakdown.shots().filter(|shot| redact::shows(shot, &self.person.names));
        let shots: BTreeSet<_> = shots.map(|shot| shot.key).collect();
        self.scripts.insert(job.request, ArtifactKind::Plan);
        for task in tasks {
            for (kind, digest) in task.output().into_iter().flat_map(TaskOutput::artifacts) {
                let shot = match (task.output(), kind) {
                    (_, ArtifactKind::Breakdown) => {
                        self.scripts.insert(digest, kind);
                        continue;
                    }
                    (Some(TaskOutput::Episode { clips, .. }), ArtifactKind::Clip) => {
                        clips.iter().find(|clip| clip.video == digest).map(|clip| clip.shot)
                    }
                    _ => task.shot,
                };
                if shot.is_none_or(|shot| shots.contains(&shot)) {
                    self.footage.push(Footage { job: job.id, kind, shot, digest });
                }
            }
            if task.shot.is_some_and(|shot| shots.contains(&shot)) {
                let task = redact::shot_task(task, &self.person.names, self.belongings.len());
                self.tasks.insert(task.id, task);
            }
        }
    }

    /// Records that name what goes, or say how the person looks, are written anew; and those that name these, and so on.
    async fn records(&mut self, farm: &Farm, records: &[Record]) -> Result<(), LedgerError> {
        let mut old: BTreeMap<_, _> = BTreeMap::new();
        loop {
            let names_one = |r: &Record| r.names.iter().any(|d| self.others.contains_key(d) || old.contains_key(d));
            let is_one = |r: &&Record| self.scripts.contains_key(&r.digest) || names_one(r);
            let is_new = |r: &&Record| !old.contains_key(&r.digest) && !self.others.contains_key(&r.digest);
            let found: Vec<_> = records.iter().filter(is_new).filter(is_one).map(|r| (r.digest, r)).collect();
            if found.is_empty() {
                break;
            }
            old.extend(found);
        }
        // A record is written once everything that it names has its new name. None can name itself, so this ends.
        while let Some(next) = old.iter().find(|(_, r)| !r.names.iter().any(|d| old.contains_key(d))).map(|(d, _)| *d) {
            old.remove(&next);
            self.record(farm, next).await?;
        }
        Ok(())
    }

    async fn record(&mut self, farm: &Farm, digest: Digest) -> Result<(), LedgerError> {
        let Some(text) = records::text(farm, digest).await else { return Ok(()) };
        let mark = self.belongings.len();
        let names = &self.person.names;
        let plan = serde_json::from_str::<ScriptPlan>(&text).ok();
        let kind = self.scripts.get(&digest).copied();
        let kind = kind.unwrap_or(if plan.is_some() { ArtifactKind::Plan } else { ArtifactKind::Record });
        let redacted = match (kind, plan) {
            (ArtifactKind::Plan, Some(plan)) => serde_json::to_string(&redact::plan(plan, names, mark)),
            (ArtifactKind::Breakdown, _) => serde_json::from_str::<Breakdown>(&text)
                .and_then(|breakdown| serde_json::to_string(&redact::breakdown(breakdown, names, mark))),
            _ => Ok(text.clone()),
        };
        let redacted = Digest::renamed_in(&redacted.unwrap_or_else(|_| text.clone()), |d| self.others.get(&d).copied());
        if redacted != text {
            let new = farm.artifacts.put_bytes(redacted.into()).await.map_err(|e| bytes(&e))?;
            self.goes(farm, kind, digest, Some(new)).await?;
        }
        Ok(())
    }

    /// Rows that still name what goes, whatever they are.
    async fn rows(&mut self, farm: &Farm) -> Result<(), LedgerError> {
        let unread = |e| greenroom_store::StoreError::Corrupt(format!("a row cannot be written anew: {e}"));
        let renamed = |job: &Job| redact::renamed(job, &self.others).map_err(unread);
        for mention in farm.store.mentions(&self.others.keys().copied().collect()).await? {
            match mention.row {
                Row::Character(id, revision) if id != self.id => {
                    if let Some(character) = farm.store.character_revision(id, revision).await? {
                        self.characters.retain(|c| (c.id, c.revision) != (id, revision));
                        self.characters.push(redact::renamed(&character, &self.others).map_err(unread)?);
                    }
                }
                Row::Job(id) if !self.jobs.contains_key(&id) => {
                    if let Some(job) = farm.store.job(id).await? {
                        self.jobs.insert(id, renamed(&job)?);
                    }
                }
                Row::Task(id) if !self.tasks.contains_key(&id) => {
                    if let Some(task) = farm.store.task(id).await? {
                        self.tasks.insert(id, task);
                    }
                }
                Row::Event(seq) if !self.events.contains_key(&seq) => {
                    let before = EventSeq(seq.0.saturating_sub(1));
                    let event = farm.store.events(before, EventScope::All, 1).await?.pop();
                    self.events.extend(event.map(|event| (seq, event)));
                }
                Row::Project(_) | Row::Character(..) | Row::Job(_) | Row::Task(_) | Row::Event(_) => {}
            }
        }
        for task in self.tasks.values_mut() {
            *task = redact::renamed(task, &self.others).map_err(unread)?;
        }
        for event in self.events.values_mut() {
            *event = redact::renamed(event, &self.others).map_err(unread)?;
        }
        Ok(())
    }

    fn finish(self, cancelled: Vec<JobId>, at: Timestamp) -> Forgetting {
        let latest = &self.person.latest;
        let stone = Forgotten {
            character: self.id,
            project: latest.project,
            name: Forgotten::name_digest(self.id, &latest.name),
            revisions: latest.revision,
            at,
            belongings: self.belongings,
            footage: self.footage,
            cancelled,
            rewritten: 0,
            finished: None,
        };
        let (jobs, tasks) = (self.jobs.into_values(), self.tasks.into_values());
        let events = self.events.into_values();
        let mut forgetting = Forgetting {
            stone,
            characters: self.characters,
            jobs: jobs.collect(),
            tasks: tasks.collect(),
            events: events.collect(),
        };
        forgetting.stone.rewritten = u32::try_from(forgetting.rewritten()).unwrap_or(u32::MAX);
        forgetting
    }

    /// Marks an artifact to go; `new` is what was written in its place.
    async fn goes(
        &mut self,
        farm: &Farm,
        kind: ArtifactKind,
        digest: Digest,
        new: Option<Digest>,
    ) -> Result<(), LedgerError> {
        let stand_in = new.unwrap_or_else(|| Forgotten::stand_in(self.id, self.belongings.len()));
        self.others.insert(digest, stand_in);
        let bytes = size(farm, digest).await?;
        self.belongings.push(Belonging { kind, digest, bytes, fate: Fate::Pending });
        Ok(())
    }
}

/// Its length; 0 where it is not here.
async fn size(farm: &Farm, digest: Digest) -> Result<u64, LedgerError> {
    match farm.artifacts.size(digest).await {
        Err(greenroom_artifacts::ArtifactError::Missing { .. }) => Ok(0),
        size => size.map_err(|e| bytes(&e)),
    }
}
