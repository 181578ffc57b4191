//! The farm itself: what it is, what happens on it, how it is, and copies of its ledger.

use greenroom_domain::{ProjectId, TaskId, TaskState, Timestamp};
use greenroom_proto::v1::{self, farm_service_server::FarmService};
use greenroom_schedule::nodes;
use std::collections::{BTreeMap, btree_map::Entry};
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{invalid, status, store},
};
use crate::{backup, clock, diagnose};

/// Running tasks that are told one by one; more is nothing to look at.
const SHOWN: usize = 200;

#[tonic::async_trait]
impl FarmService for Api {
    async fn get_farm(&self, _: Request<v1::GetFarmRequest>) -> Result<Response<v1::Farm>, Status> {
        let workers = self.0.workers.list().into_iter().map(|(id, device, task)| v1::Worker {
            uid: id.to_string(),
            device,
            task: task.map(|t| t.to_string()).unwrap_or_default(),
        });
        Ok(Response::new(v1::Farm {
            version: env!("CARGO_PKG_VERSION").into(),
            pack: format!("{} {}", self.0.pack.name, self.0.pack.version),
            workers: workers.collect(),
            leader: self.0.role.leader().unwrap_or_default(),
        }))
    }

    async fn get_activity(&self, _: Request<v1::GetActivityRequest>) -> Result<Response<v1::Activity>, Status> {
        let (nodes, queued) = {
            let book = self.0.book();
            (nodes(&book, self.0.time.now()), book.queued())
        };
        let (mut running, mut projects, mut devices, mut busy) = (vec![], BTreeMap::new(), 0, 0);
        for node in &nodes {
            for worker in &node.workers {
                devices += 1;
                busy += u32::from(!worker.tasks.is_empty());
                for &task in &worker.tasks {
                    if running.len() < SHOWN {
                        running.extend(self.running(task, &node.name, &worker.offer.device, &mut projects).await?);
                    }
                }
            }
        }
        let (ended_by_minute, failed) = self.0.metrics.minutes(clock::now());
        Ok(Response::new(v1::Activity { running, queued: queued as u64, devices, busy, ended_by_minute, failed }))
    }

    async fn get_diagnosis(
        &self,
        request: Request<v1::GetDiagnosisRequest>,
    ) -> Result<Response<v1::Diagnosis>, Status> {
        let findings = diagnose::farm(&self.0, request.into_inner().thorough).await;
        let finding = |found: diagnose::Finding| v1::Finding {
            part: found.part.to_owned(),
            verdict: found.verdict.name().to_owned(),
            sentence: found.sentence,
            remedy: found.remedy,
        };
        Ok(Response::new(v1::Diagnosis { findings: findings.into_iter().map(finding).collect() }))
    }

    async fn create_backup(&self, _: Request<v1::CreateBackupRequest>) -> Result<Response<v1::Backup>, Status> {
        let copy = backup::take(&self.0).await.map_err(|problem| status(&problem))?;
        tracing::info!(path = %copy.path.display(), bytes = copy.bytes, "ledger.backup");
        Ok(Response::new(told(&copy)))
    }

    async fn list_backups(
        &self,
        _: Request<v1::ListBackupsRequest>,
    ) -> Result<Response<v1::ListBackupsResponse>, Status> {
        let copies = backup::list(&self.0.config)
            .map_err(|e| invalid("list backups", "backups", e, "make [backup] folder readable"))?;
        Ok(Response::new(v1::ListBackupsResponse { backups: copies.iter().map(told).collect() }))
    }
}

impl Api {
    /// A task that runs; none if it has ended meanwhile.
    async fn running(
        &self,
        id: TaskId,
        node: &str,
        device: &str,
        projects: &mut BTreeMap<ProjectId, String>,
    ) -> Result<Option<v1::RunningTask>, Status> {
        let Some(task) = self.0.store.task(id).await.map_err(store)? else { return Ok(None) };
        let TaskState::Leased(lease) = &task.state else { return Ok(None) };
        let Some(job) = self.0.store.job(task.job).await.map_err(store)? else { return Ok(None) };
        let project = match projects.entry(job.project) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let project = self.0.store.project(job.project).await.map_err(store)?;
                unknown.insert(project.map(|project| project.name).unwrap_or_default())
            }
        };
        let (fraction, message) = self.0.metrics.progress(id);
        Ok(Some(v1::RunningTask {
            task: id.to_string(),
            kind: task.kind.to_string(),
            shot: task.shot.map(|shot| shot.to_string()).unwrap_or_default(),
            job: job.id.to_string(),
            project: project.clone(),
            node: node.to_owned(),
            device: device.to_owned(),
            fraction,
            message,
            since: convert::time(lease.since),
        }))
    }
}

fn told(copy: &backup::Copied) -> v1::Backup {
    let since = copy.taken.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let taken = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    v1::Backup { path: copy.path.display().to_string(), size: copy.bytes, create_time: convert::time(taken) }
}
