//! The scheduler: what waits and why, nodes, limits, and the policy.

use greenroom_domain::{Drained, LimitPer, Moment, Policy, Problem, ProblemKind, Task, TaskId};
use greenroom_proto::v1::{self, schedule_service_server::ScheduleService};
use greenroom_schedule::{LimitView, NodeView, Why, WorkerView, limits, nodes, queue, why};
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{invalid, ledger, not_found, status, store},
};
use crate::clock;

/// Tasks of the queue, unless asked otherwise.
const PAGE: u32 = 50;

#[tonic::async_trait]
impl ScheduleService for Api {
    async fn explain_tasks(
        &self,
        request: Request<v1::ExplainTasksRequest>,
    ) -> Result<Response<v1::ExplainTasksResponse>, Status> {
        let request = request.into_inner();
        let mut tasks = match request.name.parse::<TaskId>() {
            Ok(id) => vec![self.task(id).await?],
            Err(_) => {
                let (_, job) = self.job(&request.name).await?;
                let open = |task: &Task| !task.state.is_final();
                self.0.store.tasks(job.id).await.map_err(store)?.into_iter().filter(open).collect()
            }
        };
        if !request.shot.is_empty() {
            let remedy = "write it as in the script, 2-3";
            let shot = request.shot.parse().map_err(|e| invalid("explain tasks", &request.shot, e, remedy))?;
            tasks.retain(|task| task.shot == Some(shot));
        }
        let (book, now) = (self.0.book(), self.0.time.now());
        let explanations = tasks.iter().map(|task| explain(task, why(&book, task.id, now))).collect();
        Ok(Response::new(v1::ExplainTasksResponse { explanations }))
    }

    async fn list_queue(
        &self,
        request: Request<v1::ListQueueRequest>,
    ) -> Result<Response<v1::ListQueueResponse>, Status> {
        let limit = match request.into_inner().page_size {
            0 => PAGE,
            n => n.min(1000),
        };
        let (listed, queued, running) = {
            let book = self.0.book();
            (queue(&book, self.0.time.now(), limit as usize), book.queued() as u64, book.running() as u64)
        };
        let mut tasks = Vec::new();
        for entry in listed {
            let Some(task) = self.0.store.task(entry.task).await.map_err(store)? else { continue };
            tasks.push(v1::QueuedTask {
                why: Some(explain(&task, entry.why)),
                job: entry.job.to_string(),
                position: entry.position.unwrap_or_default() as u32,
                eta: entry.eta.and_then(convert::time),
            });
        }
        Ok(Response::new(v1::ListQueueResponse { tasks, queued, running }))
    }

    async fn list_nodes(&self, _: Request<v1::ListNodesRequest>) -> Result<Response<v1::ListNodesResponse>, Status> {
        let nodes = nodes(&self.0.book(), self.0.time.now()).into_iter().map(node).collect();
        Ok(Response::new(v1::ListNodesResponse { nodes }))
    }

    async fn set_node(&self, request: Request<v1::SetNodeRequest>) -> Result<Response<v1::SetNodeResponse>, Status> {
        let request = request.into_inner();
        let view = |name: &str| nodes(&self.0.book(), self.0.time.now()).into_iter().find(|node| node.name == name);
        if view(&request.name).is_none() {
            return Err(not_found("node", &request.name));
        }
        let reason = if request.reason.is_empty() { "by hand".to_owned() } else { request.reason };
        let drained = Drained { reason, since: Moment(clock::now()), sick: false };
        let change = |policy: &mut Policy| {
            if request.drained {
                policy.drained.insert(request.name.clone(), drained);
            } else {
                policy.drained.remove(&request.name);
            }
        };
        self.0.set_policy(change).await.map_err(|e| ledger(&e))?;
        if !request.drained {
            self.0.book().heal(&request.name);
            self.0.work.notify_one();
        }
        Ok(Response::new(v1::SetNodeResponse { node: view(&request.name).map(node) }))
    }

    async fn list_limits(&self, _: Request<v1::ListLimitsRequest>) -> Result<Response<v1::ListLimitsResponse>, Status> {
        let limits = limits(&self.0.book(), self.0.time.now()).into_iter().map(limit).collect();
        Ok(Response::new(v1::ListLimitsResponse { limits }))
    }

    async fn get_policy(&self, _: Request<v1::GetPolicyRequest>) -> Result<Response<v1::Policy>, Status> {
        Ok(Response::new(policy(self.0.book().policy())))
    }

    async fn set_policy(&self, request: Request<v1::SetPolicyRequest>) -> Result<Response<v1::Policy>, Status> {
        let request = request.into_inner();
        let new = Policy::parse(&request.toml, "policy").map_err(|problem| status(&problem))?;
        let in_force = self.0.book().policy().revision;
        if let Some(replaces) = request.replaces.filter(|&replaces| replaces != in_force) {
            let cause = format!("it replaces revision {replaces}, and {in_force} is in force");
            let remedy = "look at `greenroom policy show`, and set it again";
            return Err(status(&Problem::new(ProblemKind::Conflict, "set policy", "policy", cause, remedy)));
        }
        let change = |policy: &mut Policy| {
            // Which nodes are drained is decided node by node, and by the scheduler itself.
            let mut drained = std::mem::take(&mut policy.drained);
            drained.extend(new.drained.clone());
            *policy = Policy { revision: policy.revision, drained, ..new };
        };
        let set = self.0.set_policy(change).await.map_err(|e| ledger(&e))?;
        Ok(Response::new(policy(&set)))
    }
}

fn explain(task: &Task, why: Why) -> v1::Explanation {
    v1::Explanation {
        task: task.id.to_string(),
        kind: task.kind.to_string(),
        shot: task.shot.map(|shot| shot.to_string()).unwrap_or_default(),
        take: task.take.unwrap_or_default(),
        code: why.reason.to_string(),
        sentence: why.sentence,
        remedy: why.remedy.unwrap_or_default(),
    }
}

fn node(view: NodeView) -> v1::Node {
    let (name, state, reason) = (view.name, view.state.to_owned(), view.reason);
    v1::Node { name, state, reason, devices: view.workers.into_iter().map(device).collect() }
}

fn device(worker: WorkerView) -> v1::NodeDevice {
    let (offer, reading) = (worker.offer, worker.reading);
    v1::NodeDevice {
        worker: worker.id.to_string(),
        device: offer.device,
        kind: offer.kind.to_string(),
        model: offer.model,
        memory_mib: offer.memory_mib,
        free_mib: worker.free_mib,
        threads: offer.threads,
        tags: offer.tags.into_iter().collect(),
        warm: offer.warm.into_iter().collect(),
        tasks: worker.tasks.iter().map(ToString::to_string).collect(),
        uuid: offer.uuid.unwrap_or_default(),
        profile: offer.profile.unwrap_or_default(),
        ram_mib: offer.ram_mib,
        unused_mib: reading.as_ref().map(|reading| reading.free_mib),
        others_mib: worker.others_mib,
        others: worker.others,
        temperature_c: reading.as_ref().and_then(|reading| reading.temperature_c),
        ecc_errors: reading.as_ref().and_then(|reading| reading.ecc_errors),
        unfit: worker.unfit.map(|unfit| unfit.to_string()).unwrap_or_default(),
    }
}

fn limit(view: LimitView) -> v1::LimitUse {
    let per = if view.limit.per == LimitPer::Node { "node" } else { "task" };
    v1::LimitUse {
        name: view.name,
        used: view.used,
        at_once: view.limit.at_once,
        begun: view.begun as u32,
        per_minute: view.limit.per_minute,
        per: per.into(),
    }
}

fn policy(policy: &Policy) -> v1::Policy {
    v1::Policy { revision: policy.revision, toml: policy.to_toml() }
}
