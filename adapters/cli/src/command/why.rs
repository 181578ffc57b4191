//! `greenroom why`

use clap::Args;
use greenroom_domain::{ShotKey, TaskId};
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{failure::Outcome, json, names::JobName};

/// Tell why tasks wait.
///
/// Each with a reason code for programs, a sentence, and what can be done about it where something can.
#[derive(Args, Debug)]
pub(crate) struct Why {
    /// A task (task_…), or a job (job_…) for all of its open tasks
    #[arg(value_name = "TASK|JOB", value_parser = task_or_job)]
    what: String,
    /// Only tasks of this shot of the job, such as 2-3
    #[arg(value_name = "SHOT")]
    shot: Option<ShotKey>,
}

impl Why {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let shot = self.shot.map(|shot| shot.to_string()).unwrap_or_default();
        let request = v1::ExplainTasksRequest { name: self.what.clone(), shot };
        let answer = match farm.schedule().explain_tasks(request).await {
            Ok(answer) => answer.into_inner().explanations,
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        context.output.answer(&answer.iter().map(json::explanation).collect(), &lines(&answer));
        Ok(Outcome::Complete)
    }
}

/// A task, or a job as the daemon wants it.
pub(super) fn task_or_job(text: &str) -> Result<String, String> {
    if text.parse::<TaskId>().is_ok() {
        return Ok(text.to_owned());
    }
    let job: JobName = text.parse().map_err(|_| format!("`{text}` is neither a task (task_…) nor a job (job_…)"))?;
    Ok(job.to_string())
}

fn lines(explanations: &[v1::Explanation]) -> Vec<String> {
    if explanations.is_empty() {
        return vec!["nothing waits: every task has ended".to_owned()];
    }
    explanations.iter().flat_map(told).collect()
}

/// One or two lines: which task, why, and what to do.
pub(super) fn told(why: &v1::Explanation) -> Vec<String> {
    let shot = if why.shot.is_empty() { String::new() } else { format!("{} take {}", why.shot, why.take) };
    let line = format!("{}  {:<9} {shot:<12} {:<18} {}", why.task, why.kind, why.code, why.sentence);
    let remedy = (!why.remedy.is_empty()).then(|| format!("    try: {}", why.remedy));
    [line].into_iter().chain(remedy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_as_a_sentence_with_its_remedy() {
        let why = v1::Explanation {
            task: "task_1".into(),
            kind: "generate".into(),
            shot: "1-2".into(),
            take: 1,
            code: "paused".into(),
            sentence: "its job is paused".into(),
            remedy: "greenroom job resume job_1".into(),
        };
        let expected = [
            "task_1  generate  1-2 take 1   paused             its job is paused",
            "    try: greenroom job resume job_1",
        ];
        assert_eq!(lines(&[why]), expected);
        assert_eq!(lines(&[]), ["nothing waits: every task has ended"]);
        assert!(task_or_job("shot_1").unwrap_err().contains("neither a task"));
    }
}
