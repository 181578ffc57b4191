//! `greenroom character forget`

use clap::Args;
use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1;
use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    command::Ended,
    connection::Farm,
    failure::Outcome,
    json,
    names::{self, ProjectName},
    output::Output,
};

/// Forget a character for good, and prove it.
///
/// Every revision goes: reference pictures, embeddings, thumbnails, the consent and its document, and whatever else is of the
/// character; records that name any of it are written anew without it. Jobs that use the character are stopped first. Takes and
/// clips that show it are the production's: nothing of them is removed, and the receipt lists them, so that you can decide.
///
/// The receipt lists what was removed and what stayed and why, and what a second look found. It holds no name and no picture.
/// Asked again for a character that was forgotten, the farm ends what was left to do and proves it anew.
///
/// Copies outside of the farm stay: files that were pulled, your own pictures, backups.
#[derive(Args, Debug)]
pub(super) struct Forget {
    /// Which project
    project: ProjectName,
    /// Which character
    name: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Save the receipt here (json)
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

const STEP: &str = "forget character";

impl Forget {
    /// Asks, calls the farm and shows the receipt.
    pub(super) async fn run(&self, farm: &Farm, output: &Output) -> Ended {
        let name = format!("{}/characters/{}", self.project, self.name.to_uppercase());
        if !self.yes && !self.allowed(output)? {
            output.note("nothing was forgotten");
            return Ok(Outcome::Complete);
        }
        let answer = match farm.characters().forget_character(v1::ForgetCharacterRequest { name }).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let receipt = answer.receipt.unwrap_or_default();
        let document = json::receipt(&receipt);
        let mut lines = lines(&self.name.to_uppercase(), &receipt);
        if let Some(path) = &self.receipt {
            std::fs::write(path, format!("{document:#}\n")).map_err(|error| {
                let remedy = "name a file that can be written, and ask again: the receipt is made anew";
                Problem::new(ProblemKind::Unavailable, "save receipt", path.display().to_string(), error, remedy)
            })?;
            lines.push(format!("Receipt: {}", path.display()));
        }
        output.answer(&document, &lines);
        let findings = receipt.verification.unwrap_or_default().findings;
        match findings.first() {
            None => Ok(Outcome::Complete),
            Some(first) => {
                let cause = format!("{first} ({} findings)", findings.len());
                let remedy = "ask again; if it stays, look at the receipt's findings and report this as a bug";
                Err(Problem::new(ProblemKind::Internal, STEP, names::last(&self.name), cause, remedy).into())
            }
        }
    }

    fn allowed(&self, output: &Output) -> Result<bool, Problem> {
        let name = self.name.to_uppercase();
        let question = format!("Forget {name} of {} for good? This cannot be undone.", self.project.id());
        output.ask(&question).ok_or_else(|| {
            let cause = "nobody can be asked here whether it is meant";
            Problem::new(ProblemKind::Conflict, STEP, name, cause, "add --yes if it is")
        })
    }
}

/// A short table: what was removed, what stayed, what shows the character, and the second look.
fn lines(name: &str, receipt: &v1::Receipt) -> Vec<String> {
    let mut lines = vec![format!("{name}: forgotten ({})", revisions(receipt.revisions))];
    lines.push("  removed              number        bytes".to_owned());
    let mut kinds: BTreeMap<&str, (u32, u64)> = BTreeMap::new();
    for artifact in &receipt.removed {
        let (count, bytes) = kinds.entry(&artifact.kind).or_default();
        (*count, *bytes) = (*count + 1, *bytes + artifact.bytes);
    }
    for (kind, (count, bytes)) in kinds {
        lines.push(format!("  {:<20} {count:>6} {bytes:>12}", kind.replace('_', " ")));
    }
    lines.push(format!("  {:<20} {:>6}", "rows written anew", receipt.rewritten_rows));
    for kept in &receipt.kept {
        lines.push(format!("  kept     {} {}: {}", kept.kind, short(&kept.digest), kept.reason));
    }
    for job in &receipt.cancelled_jobs {
        lines.push(format!("  stopped  {job}"));
    }
    lines.extend(footage(&receipt.footage));
    let verification = receipt.verification.clone().unwrap_or_default();
    let looked = format!("{} digests, {} records and every row", verification.digests, verification.artifacts_read);
    lines.push(if verification.clean {
        format!("  verified: nothing of it is left ({looked} looked at)")
    } else {
        format!("  NOT CLEAN: {} findings ({looked} looked at)", verification.findings.len())
    });
    lines.extend(verification.findings.iter().map(|finding| format!("    {finding}")));
    lines
}

/// What shows the character, by job.
fn footage(footage: &[v1::ForgottenArtifact]) -> Vec<String> {
    let mut jobs: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
    for artifact in footage {
        *jobs.entry(&artifact.job).or_default().entry(&artifact.kind).or_default() += 1;
    }
    let line = |(job, kinds): (&str, BTreeMap<&str, u32>)| {
        let kinds = kinds.into_iter().map(|(kind, count)| format!("{count} {}", kind.replace('_', " ")));
        format!("  shows it {job}: {}", kinds.collect::<Vec<_>>().join(", "))
    };
    jobs.into_iter().map(line).collect()
}

fn revisions(count: u32) -> String {
    if count == 1 { "1 revision".to_owned() } else { format!("{count} revisions") }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_a_short_table() {
        let artifact = |kind: &str, bytes, reason: &str, job: &str| {
            let (kind, digest, shot) = (kind.into(), "ab".repeat(32), String::new());
            v1::ForgottenArtifact { kind, digest, bytes, reason: reason.into(), job: job.into(), shot }
        };
        let receipt = v1::Receipt {
            revisions: 2,
            removed: vec![
                artifact("profile", 900, "", ""),
                artifact("reference", 20, "", ""),
                artifact("reference", 30, "", ""),
            ],
            kept: vec![artifact("reference", 7, "it is of character char_1 too", "")],
            footage: vec![artifact("take", 1, "", "job_1"), artifact("contact_sheet", 1, "", "job_1")],
            cancelled_jobs: vec!["job_2".into()],
            rewritten_rows: 12,
            verification: Some(v1::Verification { clean: true, digests: 3, artifacts_read: 9, ..Default::default() }),
            ..Default::default()
        };
        let expected = "\
MARA: forgotten (2 revisions)
  removed              number        bytes
  profile                   1          900
  reference                 2           50
  rows written anew        12
  kept     reference abababababab: it is of character char_1 too
  stopped  job_2
  shows it job_1: 1 contact sheet, 1 take
  verified: nothing of it is left (3 digests, 9 records and every row looked at)";
        assert_eq!(lines("MARA", &receipt).join("\n"), expected);
    }
}
