//! A project of a farm: its cast, its pushes, its jobs.

use greenroom_domain::Problem;
use greenroom_proto::v1::{
    self, character::State as CharacterState, event::Body, job::State, watch_job_response::Update,
};
use serde_json::Value;
use tonic::Status;

use crate::{
    client::{Client, problem},
    inputs::reference,
    process::PATIENCE,
};

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    client: Client,
    name: String,
}

/// What a push was answered with.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Its job.
    pub job: v1::Job,
    /// Whether it is new.
    pub created: bool,
}

impl Project {
    pub(crate) async fn create(client: Client, name: &str, settings: v1::Settings) -> Self {
        // The least at which the pack's detector finds a close face and its embedder reads it.
        let small = v1::Settings {
            width: settings.width.or(Some(384)),
            height: settings.height.or(Some(224)),
            fps: settings.fps.or_else(|| Some("8".into())),
            gate: settings.gate.or(Some(0.3)),
            retries: settings.retries.or(Some(0)),
            crossfade_frames: settings.crossfade_frames.or(Some(2)),
            ..settings
        };
        let request = v1::CreateProjectRequest { project_id: name.to_owned(), settings: Some(small) };
        let name = client.projects().create_project(request).await.unwrap().into_inner().name;
        Self { client, name }
    }

    /// Its connection.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// `projects/lab`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same project by another connection, after the daemon was started again.
    #[must_use]
    pub fn reached_by(&self, client: &Client) -> Self {
        Self { client: client.clone(), name: self.name.clone() }
    }

    /// Makes a character, or a new revision, from pictures; waits for its profile.
    pub async fn profile(&self, name: &str, pictures: &[(&str, Vec<u8>)]) -> v1::Character {
        let mut references = Vec::new();
        for (file_name, bytes) in pictures {
            let digest = self.client.upload(bytes).await;
            references.push(v1::Reference { file_name: (*file_name).to_owned(), digest, quality: None });
        }
        let request = v1::CreateCharacterRequest {
            parent: self.name.clone(),
            character_id: name.to_owned(),
            description: String::new(),
            references,
            ..v1::CreateCharacterRequest::default()
        };
        let made = self.client.characters().create_character(request).await.unwrap().into_inner().character.unwrap();
        if !made.job.is_empty() {
            self.ended(&made.job).await;
        }
        let request = v1::GetCharacterRequest { name: made.name };
        self.client.characters().get_character(request).await.unwrap().into_inner()
    }

    /// Makes a character of the fixture's cast from the pictures of one of them.
    pub async fn cast_as(&self, name: &str, looks_like: &str) -> v1::Character {
        let files = ["1.png", "2.png", "3.png"];
        let character = self.profile(name, &files.map(|file| (file, reference(looks_like, file)))).await;
        assert_eq!(character.state(), CharacterState::Ready, "{:?}", character.problem);
        character
    }

    /// Makes MARA and TOBIN.
    pub async fn cast(&self) {
        self.cast_as("MARA", "mara").await;
        self.cast_as("TOBIN", "tobin").await;
    }

    /// Pushes a script or a shot file.
    pub async fn push(&self, file_name: &str, bytes: &[u8]) -> Pushed {
        self.try_push(file_name, bytes).await.unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// Pushes something that may be refused.
    pub async fn try_push(&self, file_name: &str, bytes: &[u8]) -> Result<Pushed, Problem> {
        let script_digest = self.client.upload(bytes).await;
        let request = v1::PushScriptRequest {
            parent: self.name.clone(),
            file_name: file_name.to_owned(),
            script_digest,
            pictures: vec![],
            ..Default::default()
        };
        let answer = self.client.jobs().push_script(request).await.map_err(|status: Status| problem(&status))?;
        let answer = answer.into_inner();
        Ok(Pushed { job: answer.job.unwrap(), created: answer.created })
    }

    /// Pushes and waits for the end.
    pub async fn film(&self, file_name: &str, text: &str) -> v1::Job {
        let pushed = self.push(file_name, text.as_bytes()).await;
        self.ended(&pushed.job.name).await
    }

    /// The job as it is now.
    pub async fn job(&self, name: &str) -> v1::Job {
        self.client.jobs().get_job(v1::GetJobRequest { name: name.to_owned() }).await.unwrap().into_inner()
    }

    /// Every job that was made from a script.
    pub async fn scripts(&self) -> Vec<v1::Job> {
        let request = v1::ListJobsRequest { parent: self.name.clone(), page_size: 0 };
        let jobs = self.client.jobs().list_jobs(request).await.unwrap().into_inner().jobs;
        jobs.into_iter().filter(|job| !["MARA", "TOBIN"].contains(&job.title.as_str())).collect()
    }

    /// Cancels a job.
    pub async fn cancel(&self, name: &str) -> v1::Job {
        self.client.jobs().cancel_job(v1::CancelJobRequest { name: name.to_owned() }).await.unwrap().into_inner()
    }

    /// Watches a job until it ends.
    pub async fn ended(&self, name: &str) -> v1::Job {
        self.watch(name, |_| None::<()>).await;
        let job = self.job(name).await;
        assert_ne!(job.state(), State::Active, "the watch ended before the job");
        job
    }

    /// Watches a job until a worker is in the middle of a task of this kind; answers with the task's id.
    pub async fn computing(&self, name: &str, kind: &str) -> String {
        let mut of_kind = Vec::new();
        let found = self.watch(name, |update| match update {
            Update::Event(v1::Event { body: Some(Body::Task(task)), .. }) => {
                if task.kind == kind {
                    of_kind.push(task.uid);
                }
                None
            }
            Update::Progress(p) => of_kind.contains(&p.task).then_some(p.task),
            Update::Event(_) => None,
        });
        found.await.unwrap_or_else(|| panic!("no worker was seen at a {kind} task"))
    }

    /// Watches a job until a task of this kind has reached this state; answers with the task's id.
    pub async fn reached(&self, name: &str, kind: &str, state: &str) -> String {
        let found = self.watch(name, |update| match update {
            Update::Event(v1::Event { body: Some(Body::Task(task)), .. })
                if task.kind == kind && task.state == state =>
            {
                Some(task.uid)
            }
            _ => None,
        });
        found.await.unwrap_or_else(|| panic!("no {kind} task was {state}"))
    }

    /// The report as JSON, and its files by path.
    pub async fn report(&self, job: &v1::Job) -> (Value, Vec<v1::ReportFile>) {
        let request = v1::GetReportRequest { name: job.name.clone() };
        let report = self.client.jobs().get_report(request).await.unwrap().into_inner();
        (serde_json::from_str(&report.json).unwrap(), report.files)
    }

    async fn watch<T>(&self, name: &str, mut look: impl FnMut(Update) -> Option<T>) -> Option<T> {
        let request = v1::WatchJobRequest { name: name.to_owned(), after_sequence: 0 };
        let mut updates = self.client.jobs().watch_job(request).await.unwrap().into_inner();
        let all = async {
            while let Some(message) = updates.message().await.unwrap() {
                if let Some(found) = message.update.and_then(&mut look) {
                    return Some(found);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{name} does not get on"))
    }
}

/// The tasks of a job of one kind.
pub fn of_kind<'a>(job: &'a v1::Job, kind: &'a str) -> impl Iterator<Item = &'a v1::Task> {
    job.tasks.iter().filter(move |task| task.kind == kind)
}

/// (shot, note) of a job's tasks of one kind.
#[must_use]
pub fn notes<'a>(job: &'a v1::Job, kind: &'a str) -> Vec<(&'a str, &'a str)> {
    of_kind(job, kind).map(|task| (task.shot.as_str(), task.note.as_str())).collect()
}
