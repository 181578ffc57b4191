//! Steps that several commands share: send files, make characters, push, watch, pull.

use greenroom_domain::{Priority, Problem, ProblemKind};
use greenroom_proto::v1::{self, character::State};
use std::path::{Path, PathBuf};

use crate::{
    cast::CastMember,
    connection::{Farm, from_wire},
    consent::ConsentFile,
    download,
    failure::Failure,
    follow::follow,
    names::{self, ProjectName},
    output::{JobView, Output},
    shot_file,
    upload::{self, LocalFile},
};

/// Sends those files that the farm lacks.
pub(crate) async fn send(farm: &Farm, output: &Output, files: &[LocalFile]) -> Result<(), Problem> {
    let missing = upload::missing(farm, files).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let bar = output.bytes("sending", missing.iter().map(|file| file.bytes).sum());
    for file in &missing {
        bar.set_message(file.name());
        let sent = bar.clone();
        upload::send(farm, file, move |bytes| sent.inc(bytes)).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Makes a character, or finds that it is there already. Its profile may still be on its way.
pub(super) async fn create_character(
    farm: &Farm,
    output: &Output,
    project: &ProjectName,
    member: &CastMember,
) -> Result<v1::Character, Problem> {
    let hash = |path: &PathBuf| LocalFile::hash(path, "read picture");
    let files = member.pictures.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
    let consent = member.consent.as_ref().map(ConsentFile::to_wire).transpose()?;
    let (consent, release) = consent.map_or((None, None), |(consent, release)| (Some(consent), release));
    let sent = files.iter().cloned().chain(release).collect::<Vec<_>>();
    send(farm, output, &sent).await?;
    let reference = |file: &LocalFile| {
        let (file_name, digest) = (file.name(), file.digest.to_string());
        v1::Reference { file_name, digest, quality: None }
    };
    let request = v1::CreateCharacterRequest {
        parent: project.to_string(),
        character_id: member.name.clone(),
        description: member.description.clone(),
        references: files.iter().map(reference).collect(),
        real_person: member.real_person,
        consent,
    };
    let answer = match farm.characters().create_character(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(farm.problem(status).await),
    };
    answer.character.ok_or_else(|| lost("make character", &member.name, &answer.missing_digests))
}

/// Waits for a character's profile; references that cannot be used are a problem.
pub(super) async fn profiled(farm: &Farm, output: &Output, made: v1::Character) -> Result<v1::Character, Problem> {
    let character = if made.state() == State::Profiling {
        let mut view = output.job_in_passing();
        let followed = follow(farm, &made.job, &mut |heard| view.hear(&heard)).await;
        view.close();
        followed?;
        match farm.characters().get_character(v1::GetCharacterRequest { name: made.name.clone() }).await {
            Ok(character) => character.into_inner(),
            Err(status) => return Err(farm.problem(status).await),
        }
    } else {
        made
    };
    let name = names::last(&character.name);
    match (character.state(), &character.problem) {
        (State::Ready, _) => Ok(character),
        (State::Refused, Some(problem)) => Err(from_wire(problem)),
        _ => Err(Problem::new(
            ProblemKind::Unavailable,
            "profile character",
            name,
            "its profile was not made",
            "make the character again; if it stays, look at the daemon's log",
        )),
    }
}

/// Who pushes, and how urgent it is to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Whose {
    /// As the machine knows them.
    pub(super) user: String,
    /// How urgent.
    pub(super) priority: Priority,
}

/// Pushes a script. What a person may want to know about it is in the answer's notes.
pub(super) async fn push(
    farm: &Farm,
    output: &Output,
    project: &ProjectName,
    script: &Path,
    whose: Whose,
) -> Result<(v1::Job, v1::PushScriptResponse), Problem> {
    let file = LocalFile::hash(script, "read script")?;
    let pictures = shot_file::pictures(script)?;
    let files: Vec<_> = [file.clone()].into_iter().chain(pictures.values().cloned()).collect();
    send(farm, output, &files).await?;
    let named = |(name, file): (String, LocalFile)| v1::NamedArtifact { name, digest: file.digest.to_string() };
    let request = v1::PushScriptRequest {
        parent: project.to_string(),
        file_name: file.name(),
        script_digest: file.digest.to_string(),
        pictures: pictures.into_iter().map(named).collect(),
        user: whose.user,
        priority: whose.priority.get(),
    };
    let mut answer = match farm.jobs().push_script(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(farm.problem(status).await),
    };
    let job = answer.job.take().ok_or_else(|| lost("push script", &file.name(), &answer.missing_digests))?;
    Ok((job, answer))
}

/// Shows a job until it ends.
pub(super) async fn watch(farm: &Farm, name: &str, mut view: JobView) -> Result<v1::Job, Problem> {
    let job = follow(farm, name, &mut |heard| view.hear(&heard)).await;
    view.close();
    job
}

/// Writes what a job made below a folder.
pub(super) async fn pull(farm: &Farm, output: &Output, name: &str, out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let report = report(farm, name).await?;
    let bar = output.files("saving", report.files.len());
    let saved = download::save_report(farm, &report, out, |path| {
        bar.set_message(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        bar.inc(1);
    });
    let paths = saved.await;
    bar.finish_and_clear();
    paths
}

/// What a job made.
pub(super) async fn report(farm: &Farm, name: &str) -> Result<v1::Report, Problem> {
    match farm.jobs().get_report(v1::GetReportRequest { name: name.to_owned() }).await {
        Ok(report) => Ok(report.into_inner()),
        Err(status) => Err(farm.problem(status).await),
    }
}

/// The farm lacks what was just sent.
pub(crate) fn lost(step: &str, subject: &str, digests: &[String]) -> Problem {
    let cause = format!("the farm lacks what was sent to it ({} files)", digests.len());
    Problem::new(ProblemKind::Internal, step, subject, cause, "try again; if it stays, look at the daemon's log")
}
