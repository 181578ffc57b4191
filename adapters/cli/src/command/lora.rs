//! `greenroom lora`

mod turn;

use clap::{Args, Subcommand, ValueEnum};
use greenroom_domain::Problem;
use greenroom_proto::v1;
use serde_json::json;
use std::path::PathBuf;

use super::{Context, Ended, steps};
use crate::{
    connection::Farm,
    failure::Outcome,
    json,
    names::{self, ProjectName},
    summary,
};

/// Train, compare, deploy and roll back LoRAs: adapters that draw one character better.
#[derive(Args, Debug)]
pub(crate) struct Lora {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Train one from a character's references and accepted takes, and put it in force if it is better
    Train {
        #[command(flatten)]
        whose: Whose,
        /// How hard: low needs 5 references, standard 10, high 20; the highest that there are references for
        #[arg(long)]
        tier: Option<Tier>,
        /// Also prove it against the caption alone, to see what identity tokens and LoRA bring together
        #[arg(long)]
        text_alone: bool,
        /// Watch the job until it ends
        #[arg(long)]
        watch: bool,
    },
    /// Every version, what it brings, and which one is in force
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Put a version in force; jobs that were pushed before keep theirs
    Deploy {
        #[command(flatten)]
        whose: Whose,
        /// Which version; 0 is none
        number: u32,
    },
    /// Put the version in force that was before this one, or none
    Rollback {
        #[command(flatten)]
        whose: Whose,
    },
    /// Make a version of a LoRA file from elsewhere, and put it in force if it is better
    Add {
        #[command(flatten)]
        whose: Whose,
        /// The file (safetensors), made for the farm's models
        file: PathBuf,
        /// Watch the job until it ends
        #[arg(long)]
        watch: bool,
    },
    /// Make a smaller copy of a version, and tell what that costs in IDR
    Shrink {
        #[command(flatten)]
        whose: Whose,
        /// Which version
        number: u32,
        /// Rank that no layer shall pass
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        rank: u32,
        /// Watch the job until it ends
        #[arg(long)]
        watch: bool,
    },
    /// Save a version's adapter, or the pictures of its proof
    Save {
        #[command(flatten)]
        whose: Whose,
        /// Which version
        number: u32,
        /// Where to write it: .safetensors for the adapter, .png for the pictures
        file: PathBuf,
        /// Write it anew with its layers named so; as it is where neither this nor --precision is given
        #[arg(long)]
        naming: Option<turn::Naming>,
        /// Write it anew with its numbers stored so
        #[arg(long)]
        precision: Option<turn::Precision>,
    },
}

#[derive(Args, Debug)]
struct Whose {
    /// Which project
    project: ProjectName,
    /// Which character
    name: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tier {
    Low,
    Standard,
    High,
}

impl Lora {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let (farm, output) = (context.farm().await?, &context.output);
        let loras = match &self.what {
            What::Train { whose, tier, text_alone, watch } => {
                let tier = turn::word(*tier);
                let character = whose.resource();
                let request = v1::TrainLoraRequest { character: character.clone(), tier, text_alone: *text_alone };
                let made_by = train(&farm, request).await?;
                return made(context, &farm, whose, made_by, *watch).await;
            }
            What::Add { whose, file, watch } => return turn::add(context, whose, file, *watch).await,
            What::Shrink { whose, number, rank, watch } => {
                return turn::shrink(context, whose, *number, *rank, *watch).await;
            }
            What::List { whose } => list(&farm, &whose.resource()).await?,
            What::Deploy { whose, number } => deploy(&farm, whose, *number).await?,
            What::Rollback { whose } => {
                let number = before(&list(&farm, &whose.resource()).await?, whose)?;
                deploy(&farm, whose, number).await?
            }
            What::Save { whose, number, file, naming, precision } => {
                return turn::save(context, whose, *number, file, (*naming, *precision)).await;
            }
        };
        let lines: Vec<_> = loras.iter().flat_map(lines).collect();
        let none = [format!("{} has no LoRA yet; `greenroom lora train` makes one", self.whose().name.to_uppercase())];
        output.answer(&loras.iter().map(json::lora).collect(), if lines.is_empty() { &none } else { &lines });
        Ok(Outcome::Complete)
    }

    const fn whose(&self) -> &Whose {
        match &self.what {
            What::Train { whose, .. }
            | What::List { whose }
            | What::Deploy { whose, .. }
            | What::Rollback { whose }
            | What::Add { whose, .. }
            | What::Shrink { whose, .. }
            | What::Save { whose, .. } => whose,
        }
    }
}

impl Whose {
    fn resource(&self) -> String {
        format!("{}/characters/{}", self.project, self.name.to_uppercase())
    }

    fn refuse(&self, step: &str, cause: &str) -> Problem {
        Problem::invalid(step, self.name.to_uppercase(), cause, "look at `greenroom lora list`")
    }
}

/// Shows a job that makes a version: until it ends, or that it is there.
async fn made(context: &Context, farm: &Farm, whose: &Whose, (job, created): (v1::Job, bool), watch: bool) -> Ended {
    let output = &context.output;
    if watch {
        let job = steps::watch(farm, &job.name, output.job()).await?;
        let summary = summary::end(&job)?;
        output.say(&summary.lines());
        output.say(&of_job(&list(farm, &whose.resource()).await?, &job.name));
        return Ok(summary.outcome());
    }
    let known = if created { "" } else { " (asked before)" };
    let line = format!("{}: {}{known}", names::last(&job.name), json::job_state(&job));
    output.answer(&json!({"job": json::job(&job), "created": created}), &[line]);
    Ok(Outcome::Complete)
}

/// Makes the job that trains a LoRA, or finds the equal one, which is told by false.
pub(super) async fn train(farm: &Farm, request: v1::TrainLoraRequest) -> Result<(v1::Job, bool), Problem> {
    turn::answered(farm, farm.loras().train_lora(request).await).await
}

/// Every version of a character.
pub(super) async fn list(farm: &Farm, character: &str) -> Result<Vec<v1::Lora>, Problem> {
    match farm.loras().list_loras(v1::ListLorasRequest { parent: character.to_owned() }).await {
        Ok(answer) => Ok(answer.into_inner().loras),
        Err(status) => Err(farm.problem(status).await),
    }
}

/// The version that a job made, in lines; why there is none where it trained nothing.
fn of_job(loras: &[v1::Lora], job: &str) -> Vec<String> {
    let made = loras.iter().find(|lora| lora.job == job);
    made.map_or_else(
        || vec!["  nothing was trained: too few pictures were left, `greenroom report` says why".into()],
        lines,
    )
}

async fn deploy(farm: &Farm, whose: &Whose, number: u32) -> Result<Vec<v1::Lora>, Problem> {
    match farm.loras().deploy_lora(v1::DeployLoraRequest { character: whose.resource(), number }).await {
        Ok(answer) => Ok(answer.into_inner().loras),
        Err(status) => Err(farm.problem(status).await),
    }
}

/// What the version in force took the place of.
fn before(loras: &[v1::Lora], whose: &Whose) -> Result<u32, Problem> {
    let active = loras.iter().find(|lora| lora.active);
    let active = active.ok_or_else(|| whose.refuse("roll back LoRA", "none is in force"))?;
    Ok(active.proof.as_ref().map_or(0, |proof| proof.against))
}

/// `2  in force   IDR 0.41 with the bare model, 0.63 with it …`, and what speaks against it.
fn lines(lora: &v1::Lora) -> Vec<String> {
    let state = if lora.active { "in force" } else { "retired" };
    let (recipe, proof) = (lora.recipe.unwrap_or_default(), lora.proof.unwrap_or_default());
    let against = if proof.against == 0 { "the bare model".to_owned() } else { format!("version {}", proof.against) };
    let gain = format!(
        "IDR {:.2} with {against}, {:.2} with it (gain at least {:+.3}, {} pictures)",
        proof.before, proof.after, proof.gain_lower, proof.pictures
    );
    let text = proof.text_alone.map_or_else(String::new, |text| format!(", {text:.2} by caption alone"));
    let how = match (lora.shrunk_from, &lora.given_as[..]) {
        (0, "") => format!("rank {}, {} steps, {} px", recipe.rank, recipe.steps, recipe.resolution),
        (0, file) => format!("rank {}, from {file}", recipe.rank),
        (of, _) => format!("version {of} at rank {}", recipe.rank),
    };
    let mut lines = vec![format!("{:>3}  {state:<8}  {gain}{text}; {how}", lora.number)];
    lines.extend(lora.reasons.iter().map(|reason| format!("     {reason}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u32, against: u32, active: bool) -> v1::Lora {
        let proof = v1::lora::Proof {
            against,
            pictures: 32,
            before: 0.41,
            after: 0.63,
            gain_lower: 0.172,
            ..Default::default()
        };
        let recipe = v1::lora::Recipe { rank: 8, steps: 200, resolution: 128, ..Default::default() };
        let reasons = if active { vec![] } else { vec!["replaced by version 2".to_owned()] };
        v1::Lora { number, active, reasons, proof: Some(proof), recipe: Some(recipe), ..Default::default() }
    }

    #[test]
    fn versions_are_shown_with_what_they_bring_and_why_they_were_retired() {
        let shown: Vec<_> = [version(1, 0, false), version(2, 1, true)].iter().flat_map(lines).collect();
        let expected = [
            "  1  retired   IDR 0.41 with the bare model, 0.63 with it (gain at least +0.172, 32 pictures); rank 8, 200 steps, 128 px",
            "     replaced by version 2",
            "  2  in force  IDR 0.41 with version 1, 0.63 with it (gain at least +0.172, 32 pictures); rank 8, 200 steps, 128 px",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn rolling_back_goes_to_what_the_version_in_force_was_compared_with() {
        let whose = Whose { project: "lab".parse().unwrap(), name: "mara".into() };
        assert_eq!(before(&[version(1, 0, false), version(2, 1, true)], &whose), Ok(1));
        assert_eq!(before(&[version(1, 0, true)], &whose), Ok(0));
        assert!(before(&[version(1, 0, false)], &whose).unwrap_err().to_string().contains("none is in force"));
    }
}
