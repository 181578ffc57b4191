//! A daemon that stands by answers questions from the shared ledger, and sends whoever wants a change to the leader.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use greenroom_domain::{Problem, ProblemKind};
use std::sync::Arc;

use super::status;
use crate::farm::Farm;

/// What methods are called that change nothing. A method of another name is a change.
const QUESTIONS: [&str; 6] = ["Get", "List", "Watch", "Read", "Find", "Explain"];

/// Refuses changes while this daemon does not lead.
pub(super) async fn changes_go_to_the_leader(State(farm): State<Arc<Farm>>, request: Request, next: Next) -> Response {
    match farm.role.leader() {
        Some(leader) if is_change(request.uri().path()) => {
            status(&refusal(request.uri().path(), &leader)).into_http::<Body>()
        }
        _ => next.run(request).await,
    }
}

/// Whether a path is that of a method of ours which may change something, or which only a leader can answer.
fn is_change(path: &str) -> bool {
    let Some((service, method)) = path.trim_start_matches('/').split_once('/') else { return false };
    // What is planned is known to who plans.
    let planned = service == "greenroom.v1.ScheduleService";
    planned || service.starts_with("greenroom.") && !QUESTIONS.iter().any(|question| method.starts_with(question))
}

fn refusal(path: &str, leader: &str) -> Problem {
    let method = path.rsplit('/').next().unwrap_or(path);
    let (cause, remedy) = if leader.is_empty() {
        ("this daemon stands by, and no other leads yet".to_owned(), "try again in a few seconds".to_owned())
    } else {
        (format!("this daemon stands by; {leader} leads"), format!("call {leader}"))
    };
    Problem::new(ProblemKind::Unavailable, "call daemon", method, cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_from_changes() {
        for question in ["JobService/GetJob", "JobService/WatchJob", "ArtifactService/FindMissing"] {
            assert!(!is_change(&format!("/greenroom.v1.{question}")), "{question}");
        }
        assert!(!is_change("/grpc.health.v1.Health/Check"));
        for change in ["v1.JobService/PushScript", "v1.ArtifactService/WriteArtifact", "worker.v1.WorkerService/Attach"]
        {
            assert!(is_change(&format!("/greenroom.{change}")), "{change}");
        }
    }

    #[test]
    fn whoever_wants_a_change_is_told_where() {
        let problem = refusal("/greenroom.v1.JobService/PushScript", "http://a:7474");
        assert_eq!(problem.to_string(), "call daemon: PushScript: this daemon stands by; http://a:7474 leads");
        assert_eq!(problem.remedy, "call http://a:7474");
        assert_eq!(refusal("/x/PushScript", "").remedy, "try again in a few seconds");
    }
}
