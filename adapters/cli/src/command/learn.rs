//! What `greenroom run --learn` does after the film: a LoRA for everybody in the cast, and the film again.

use greenroom_domain::LoraTier;
use greenroom_proto::v1;
use serde_json::{Value, json};
use std::path::Path;

use super::{
    lora,
    run::{Filmed, Filming},
    steps,
};
use crate::{failure::Failure, json, names, summary};

/// What came of it.
pub(super) struct Learnt {
    /// What was trained, one of everybody who can be learnt.
    pub(super) loras: Vec<Value>,
    /// The same for a terminal.
    pub(super) lines: Vec<String>,
    /// The film with those that are in force; none where that would be the film that is there.
    pub(super) again: Option<Filmed>,
}

/// Learns one character after the other, and films again if any of them has a LoRA in force.
pub(super) async fn learn(filming: &Filming<'_>, characters: &[v1::Character], out: &Path) -> Result<Learnt, Failure> {
    let mut learnt = Learnt { loras: vec![], lines: vec![String::new()], again: None };
    let (mut in_force, needed) = (false, LoraTier::Low.references());
    for character in characters {
        let name = names::last(&character.name);
        if character.references.len() < needed {
            filming.output.note(&format!("{name} has too few pictures to be learnt: {needed} are needed"));
            continue;
        }
        let folder = out.join("loras").join(name.to_lowercase());
        if let Some(version) = one(filming, character, &folder).await? {
            in_force |= version.active;
            let page = folder.join("report.html").display().to_string();
            learnt.loras.push(json!({"character": name, "lora": json::lora(&version), "report": page}));
            learnt.lines.push(line(name, &version));
            learnt.lines.push(format!("  {page}"));
        }
    }
    if in_force {
        filming.output.say(&learnt.lines);
        learnt.lines.clear();
        learnt.again = Some(filming.film(&out.join("learnt")).await?);
    }
    Ok(learnt)
}

/// Trains and proves one, and saves its report; none where too few pictures were left.
async fn one(filming: &Filming<'_>, character: &v1::Character, folder: &Path) -> Result<Option<v1::Lora>, Failure> {
    let request = v1::TrainLoraRequest { character: character.name.clone(), tier: String::new(), text_alone: true };
    let (job, _) = lora::train(filming.farm, request).await?;
    filming.current.replace(Some(job.name.clone()));
    let job = steps::watch(filming.farm, &job.name, filming.output.job_in_passing()).await?;
    summary::end(&job)?;
    steps::pull(filming.farm, filming.output, &job.name, folder).await?;
    filming.current.replace(None);
    let versions = lora::list(filming.farm, &character.name).await?;
    Ok(versions.into_iter().find(|version| version.job == job.name))
}

/// `MARA: LoRA 1 is in force: IDR 0.37 by caption alone, 0.62 with identity tokens, 0.71 with it`, or why it is not.
fn line(name: &str, version: &v1::Lora) -> String {
    let proof = version.proof.unwrap_or_default();
    let text = proof.text_alone.map_or_else(String::new, |text| format!("{text:.2} by caption alone, "));
    let before = if proof.against == 0 { "identity tokens".to_owned() } else { format!("version {}", proof.against) };
    let state =
        if version.active { "is in force".to_owned() } else { format!("is retired ({})", version.reasons.join("; ")) };
    format!(
        "{name}: LoRA {} {state}: IDR {text}{:.2} with {before}, {:.2} with it",
        version.number, proof.before, proof.after
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lora_is_told_with_what_it_brings_over_tokens_and_caption() {
        let proof = v1::lora::Proof { before: 0.62, after: 0.71, text_alone: Some(0.37), ..Default::default() };
        let version = v1::Lora { number: 1, active: true, proof: Some(proof), ..Default::default() };
        let expected = "MARA: LoRA 1 is in force: IDR 0.37 by caption alone, 0.62 with identity tokens, 0.71 with it";
        assert_eq!(line("MARA", &version), expected);
        let proof = v1::lora::Proof { against: 1, text_alone: None, ..proof };
        let reasons = vec!["mean IDR changes by -0.004, at least +0.02 is asked".to_owned()];
        let version = v1::Lora { number: 2, active: false, proof: Some(proof), reasons, ..Default::default() };
        assert_eq!(
            line("MARA", &version),
            "MARA: LoRA 2 is retired (mean IDR changes by -0.004, at least +0.02 is asked): IDR 0.62 with version 1, 0.71 with it"
        );
    }
}
