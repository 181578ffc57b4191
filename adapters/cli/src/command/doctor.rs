//! `greenroom doctor`

use clap::Args;
use console::style;
use greenroom_domain::Problem;
use greenroom_proto::v1;
use serde_json::json;

use super::{Context, Ended};
use crate::{connection::Farm, failure::Outcome};

/// Look at every part of the farm: what is well, what is not, and what to do about it.
///
/// Exit code 1 where something keeps the farm from working. On the daemon's own machine `greenroomd doctor` also looks where no
/// daemon runs.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Also read the whole ledger and the whole audit log
    #[arg(long)]
    thorough: bool,
}

impl Doctor {
    /// Looks at this end first, then asks the farm for the other.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let mut findings = vec![];
        match context.farm().await {
            Err(problem) => findings.push(failed("connection", &problem)),
            Ok(farm) => self.ask(&farm, &mut findings).await,
        }
        let document = findings.iter().map(|found| {
            let remedy = (!found.remedy.is_empty()).then_some(&found.remedy);
            json!({"part": found.part, "verdict": found.verdict, "sentence": found.sentence, "remedy": remedy})
        });
        context.output.answer(&document.collect(), &findings.iter().flat_map(lines).collect::<Vec<_>>());
        if findings.iter().any(|found| found.verdict == "fail") { Ok(Outcome::Faults) } else { Ok(Outcome::Complete) }
    }

    async fn ask(&self, farm: &Farm, findings: &mut Vec<v1::Finding>) {
        match farm.farm().get_farm(v1::GetFarmRequest {}).await {
            Ok(answer) => findings.push(version(farm.address(), &answer.into_inner().version)),
            Err(status) => return findings.push(failed("connection", &farm.problem(status).await)),
        }
        match farm.farm().get_diagnosis(v1::GetDiagnosisRequest { thorough: self.thorough }).await {
            Ok(answer) => findings.extend(answer.into_inner().findings),
            Err(status) => findings.push(failed("farm", &farm.problem(status).await)),
        }
    }
}

fn version(address: &str, daemon: &str) -> v1::Finding {
    let ours = env!("CARGO_PKG_VERSION");
    if daemon == ours {
        return finding("connection", "ok", format!("{address} answers; daemon and command are version {ours}"), "");
    }
    let told = format!("the daemon is version {daemon}, this command is {ours}");
    finding("connection", "warn", told, "install the same version of greenroom and greenroomd")
}

fn failed(part: &str, problem: &Problem) -> v1::Finding {
    finding(part, "fail", format!("{}: {}", problem.subject, problem.cause), &problem.remedy)
}

fn finding(part: &str, verdict: &str, sentence: String, remedy: &str) -> v1::Finding {
    v1::Finding { part: part.to_owned(), verdict: verdict.to_owned(), sentence, remedy: remedy.to_owned() }
}

fn lines(found: &v1::Finding) -> Vec<String> {
    let mark = match found.verdict.as_str() {
        "ok" => style("ok  ").green(),
        "warn" => style("warn").yellow().bold(),
        _ => style("FAIL").red().bold(),
    };
    let line = format!("{mark}  {:<15} {}", found.part, found.sentence);
    let remedy = (!found.remedy.is_empty()).then(|| format!("      {:<15} try: {}", "", found.remedy));
    [line].into_iter().chain(remedy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_worth_a_warning() {
        assert_eq!(version("http://a", env!("CARGO_PKG_VERSION")).verdict, "ok");
        let found = version("http://a", "0.0.1");
        assert_eq!(found.verdict, "warn");
        let lines = lines(&found);
        assert!(lines[0].contains("the daemon is version 0.0.1"), "{lines:?}");
        assert_eq!(lines[1].trim(), "try: install the same version of greenroom and greenroomd");
    }
}
