//! What is made of LoRAs that are there already: versions of files, smaller copies, files for other programs.

use clap::ValueEnum;
use greenroom_domain::{Digest, Problem};
use greenroom_proto::v1;
use serde_json::json;
use std::path::Path;
use tonic::{Response, Status};

use super::{Whose, list, made};
use crate::{
    command::{Context, Ended, steps},
    connection::Farm,
    download,
    failure::Outcome,
    summary,
    upload::LocalFile,
};

/// How layers are named in a LoRA file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Naming {
    /// `lora_unet_…`: ComfyUI, Automatic1111, kohya's own trainers
    Kohya,
    /// `unet.….lora_A.weight`: diffusers, peft
    Peft,
}

/// How numbers are stored in a LoRA file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Precision {
    F32,
    F16,
    Bf16,
}

/// Sends a file, and makes the job that proves it.
pub(super) async fn add(context: &Context, whose: &Whose, file: &Path, watch: bool) -> Ended {
    let farm = context.farm().await?;
    let local = LocalFile::hash(file, "add LoRA")?;
    steps::send(&farm, &context.output, std::slice::from_ref(&local)).await?;
    let (character, digest) = (whose.resource(), local.digest.to_string());
    let request = v1::AddLoraRequest { character, file_name: local.name(), digest };
    let answer = farm.loras().add_lora(request).await;
    made(context, &farm, whose, answered(&farm, answer).await?, watch).await
}

/// Makes the job that reduces a version's rank.
pub(super) async fn shrink(context: &Context, whose: &Whose, number: u32, rank: u32, watch: bool) -> Ended {
    let farm = context.farm().await?;
    let request = v1::ShrinkLoraRequest { character: whose.resource(), number, rank };
    let answer = farm.loras().shrink_lora(request).await;
    made(context, &farm, whose, answered(&farm, answer).await?, watch).await
}

/// Saves a version as it is, the pictures of its proof, or a file that the farm writes for another program.
pub(super) async fn save(
    context: &Context,
    whose: &Whose,
    number: u32,
    file: &Path,
    (naming, precision): (Option<Naming>, Option<Precision>),
) -> Ended {
    let (farm, output) = (context.farm().await?, &context.output);
    let digest = if naming.is_some() || precision.is_some() {
        written(&farm, context, whose, number, (naming, precision)).await?
    } else {
        let loras = list(&farm, &whose.resource()).await?;
        let version = loras.iter().find(|lora| lora.number == number);
        let version = version.ok_or_else(|| whose.refuse("save LoRA", &format!("there is no version {number}")))?;
        let picture = file.extension().is_some_and(|extension| extension == "png");
        if picture { version.sheet_digest.clone() } else { version.digest.clone() }
    };
    let digest: Digest = digest.parse().map_err(|_| whose.refuse("save LoRA", "the farm gave no digest"))?;
    download::save(&farm, &digest, file).await?;
    let shown = file.display().to_string();
    output.answer(&json!({"file": shown, "digest": digest.to_string()}), &[format!("saved {shown}")]);
    Ok(Outcome::Complete)
}

/// Has the farm write a version, and waits for it. Answers with the file's digest.
async fn written(
    farm: &Farm,
    context: &Context,
    whose: &Whose,
    number: u32,
    (naming, precision): (Option<Naming>, Option<Precision>),
) -> Result<String, crate::failure::Failure> {
    let (naming, precision) = (word(naming), word(precision));
    let request = v1::ExportLoraRequest { character: whose.resource(), number, naming, precision };
    let answer = farm.loras().export_lora(request).await;
    let (job, _) = answered(farm, answer).await?;
    let ended = steps::watch(farm, &job.name, context.output.job_in_passing()).await?;
    // A job that failed tells its problem here.
    summary::end(&ended)?;
    let report = steps::report(farm, &job.name).await?;
    let file = report.files.into_iter().find(|file| file.path == "lora.safetensors");
    Ok(file.ok_or_else(|| whose.refuse("save LoRA", "its job made no file"))?.digest)
}

/// The job of an answer, and whether it is new.
pub(super) async fn answered(
    farm: &Farm,
    answer: Result<Response<v1::TrainLoraResponse>, Status>,
) -> Result<(v1::Job, bool), Problem> {
    match answer {
        Ok(answer) => {
            let answer = answer.into_inner();
            Ok((answer.job.unwrap_or_default(), answer.created))
        }
        Err(status) => Err(farm.problem(status).await),
    }
}

/// A choice as the wire has it; empty where none was made.
pub(super) fn word<T: ValueEnum>(value: Option<T>) -> String {
    value.and_then(|value| Some(value.to_possible_value()?.get_name().to_owned())).unwrap_or_default()
}
