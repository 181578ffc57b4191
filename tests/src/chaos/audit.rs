//! What must be true of the farm and of its ledger when all is over.

use greenroom_artifacts::ArtifactStore;
use greenroom_domain::{TaskState, mark, rehearse};
use greenroom_proto::v1::{self, job::State};
use greenroom_store::{JobStore as _, Store as _, TaskStore as _, history_faults};
use greenroom_store_sqlite::SqliteStore;
use tokio::time::timeout;

use super::{PATIENCE, Played, Stage};

impl Stage {
    /// Waits until every job that was acknowledged has ended, stops the daemon, and reads what is left.
    pub(super) async fn audit(mut self, jobs: Vec<String>) -> Played {
        let client = self.farm.client().clone();
        for name in jobs {
            let ended = async {
                loop {
                    let request = v1::GetJobRequest { name: name.clone() };
                    match client.jobs().get_job(request).await {
                        Ok(job) if job.get_ref().state() != State::Active => return Ok(()),
                        Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
                        Err(status) => return Err(status.message().to_owned()),
                    }
                }
            };
            match timeout(PATIENCE, ended).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => self.broken(format!("{name} was acknowledged and is lost: {why}")),
                Err(_) => self.broken(format!("{name} never ended")),
            }
        }
        let queue = client.schedule().list_queue(v1::ListQueueRequest::default()).await.unwrap().into_inner();
        if (queue.queued, queue.running) != (0, 0) {
            let (queued, running) = (queue.queued, queue.running);
            self.broken(format!("the daemon counts {queued} queued and {running} running when all is over"));
        }
        self.farm.stop();
        if let Err(error) = self.read().await {
            self.broken(format!("the ledger is not whole: {error}"));
        }
        self.played
    }

    fn broken(&mut self, what: String) {
        self.played.broken.push(what);
    }

    async fn read(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let ledger = SqliteStore::open(self.farm.state().join("greenroom.db")).await?;
        let artifacts = ArtifactStore::local(self.farm.state().join("artifacts"))?;
        ledger.integrity_check().await?;
        for fault in history_faults(&ledger).await? {
            self.broken(fault);
        }
        let mut failures = 0;
        for job in ledger.jobs(None, usize::MAX >> 1).await? {
            for task in ledger.tasks(job.id).await? {
                failures += task.failures as usize;
                if !task.state.is_final() {
                    self.broken(format!("{} is {} when all is over", task.id, task.state.name()));
                }
                let TaskState::Done { output, reused: false, .. } = &task.state else { continue };
                let attempt = mark(&task.id.to_string(), task.epoch);
                let made = task.spec.as_ref().and_then(|spec| rehearse(spec, &attempt));
                if made.is_none_or(|made| made.output != *output) {
                    self.broken(format!("{} has an output that its lease {} did not make", task.id, task.epoch.0));
                }
                for (_, digest) in output.artifacts() {
                    if !artifacts.has(digest).await? {
                        self.broken(format!("{} names {digest}, and there is no such artifact", task.id));
                    }
                }
            }
        }
        if failures > self.blamable {
            let most = self.blamable;
            self.broken(format!("{failures} attempts were blamed, and no more than {most} were disturbed"));
        }
        Ok(())
    }
}
