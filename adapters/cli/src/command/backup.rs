//! `greenroom backup`

use clap::Args;
use greenroom_proto::v1;
use indicatif::BinaryBytes;
use serde_json::{Value, json};

use super::{Context, Ended};
use crate::{failure::Outcome, json};

/// Copy the ledger while the farm works, or list the copies that are kept.
///
/// A copy lies on the daemon's machine (section backup of its configuration); `greenroomd ledger restore --from FILE` puts it back.
/// Artifacts are not in it: they never change, so any tool that copies files keeps them.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// List copies instead of taking one
    #[arg(long)]
    list: bool,
}

impl Backup {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let answer = if self.list {
            farm.farm().list_backups(v1::ListBackupsRequest {}).await.map(|answer| answer.into_inner().backups)
        } else {
            farm.farm().create_backup(v1::CreateBackupRequest {}).await.map(|answer| vec![answer.into_inner()])
        };
        let copies = match answer {
            Ok(copies) => copies,
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let document = match &copies[..] {
            [copy] if !self.list => told(copy),
            copies => copies.iter().map(told).collect(),
        };
        let mut lines: Vec<_> = copies.iter().map(line).collect();
        if lines.is_empty() {
            lines.push("there is no copy yet".to_owned());
        }
        context.output.answer(&document, &lines);
        Ok(Outcome::Complete)
    }
}

fn told(copy: &v1::Backup) -> Value {
    json!({"path": copy.path, "size": copy.size, "create_time": copy.create_time.as_ref().map(json::time)})
}

fn line(copy: &v1::Backup) -> String {
    format!(
        "{}  {:>10}  {}",
        json::local_time(copy.create_time.as_ref()),
        BinaryBytes(copy.size).to_string(),
        copy.path
    )
}
