//! The report of a job that made a LoRA: what it brings, how it was made, and of what.

use greenroom_domain::{
    Digest, Job, LoraDataset, LoraOrigin, LoraProof, LoraRecipe, LoraVersion, Pack, Problem, ProblemKind, Project,
    Task, TaskKind, TaskOutput,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _};

use super::{Built, Head, html as page};
use crate::{farm::Farm, learn, ledger::LedgerError};

/// A list of pictures of more bytes is none.
const DATASET_LIMIT: u64 = 16 << 20;
/// So many training pictures are shown.
const SHOWN: usize = 60;

/// The report. Fields are only ever added; `version` grows when one changes its meaning.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    character: String,
    pack: PackUsed,
    /// The registered LoRA; none where nothing was trained, or the character is another by now.
    lora: Option<Registered>,
    recipe: Option<LoraRecipe>,
    /// (step, mean loss of the steps up to it).
    curve: Vec<(u32, f32)>,
    /// Of one that was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion: Option<Conversion>,
    proof: Option<LoraProof>,
    dataset: LoraDataset,
    timings: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize)]
struct PackUsed {
    name: String,
    version: u32,
    digest: Digest,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Conversion {
    /// The highest rank of its layers.
    rank: u32,
    /// Share of the squared size of all that it adds which is left, 0 to 1.
    energy: f64,
}

#[derive(Debug, Serialize)]
struct Registered {
    number: u32,
    active: bool,
    reasons: Vec<String>,
    adapter: Digest,
}

/// Reads the report of a LoRA's job that has ended.
pub(super) async fn build(farm: &Farm, project: &Project, job: &Job, tasks: &[Task]) -> Result<Built, LedgerError> {
    let output = |kind| tasks.iter().filter(|task| task.kind == kind).find_map(Task::output);
    let plan = learn::load_plan(farm, job).await?;
    let dataset = match (output(TaskKind::Collect), output(TaskKind::Convert), &plan.from) {
        (Some(TaskOutput::Dataset { dataset, .. }), _, None) => *dataset,
        (_, Some(TaskOutput::Converted { .. }), Some(from)) => from.dataset,
        _ => {
            let cause = "nothing of it is left: its character has been forgotten";
            return Err(
                Problem::new(ProblemKind::NotFound, "read report", job.id.to_string(), cause, "train again").into()
            );
        }
    };
    let character = farm.store.character_by_name(project.id, &plan.character).await?;
    let version = character.iter().flat_map(|character| &character.loras).find(|version| version.job == job.id);
    let (lora, curve, samples) = match output(TaskKind::Train) {
        Some(TaskOutput::Lora { lora, curve, samples, .. }) => (Some(*lora), curve.clone(), Some(*samples)),
        _ => (None, vec![], None),
    };
    let converted = match output(TaskKind::Convert) {
        Some(&TaskOutput::Converted { lora, rank, energy, .. }) => Some((lora, Conversion { rank, energy })),
        _ => None,
    };
    let (proof, sheet) = match output(TaskKind::Prove) {
        Some(TaskOutput::Proof { proof, sheet, .. }) => (Some(proof.clone()), Some(*sheet)),
        _ => (None, None),
    };
    let report = Report {
        head: Head::of(project, job),
        pack: used(&farm.pack, plan.pack),
        lora: version.map(registered),
        recipe: lora.and(plan.tier()).map(|tier| *plan.recipes.recipe(tier)),
        curve,
        conversion: converted.as_ref().map(|(_, conversion)| *conversion),
        proof,
        dataset: read(farm, dataset).await?,
        timings: super::timings(tasks),
        character: plan.character,
    };
    let pictures = report.dataset.pictures.iter().take(SHOWN).map(|picture| picture.picture);
    let thumbnails = page::thumbnails(farm, pictures).await;
    let files = [
        ("lora.safetensors", lora.or(converted.map(|(lora, _)| lora))),
        ("proof.png", sheet),
        ("samples.png", samples),
    ];
    let json = serde_json::to_string_pretty(&report)
        .map_err(|e| Problem::new(ProblemKind::Internal, "write report", &job.title, e, "report this as a bug"))?;
    Ok(Built {
        json,
        html: show(&report, &thumbnails),
        files: files.into_iter().filter_map(|(name, digest)| Some((name.to_owned(), digest?))).collect(),
    })
}

async fn read(farm: &Farm, dataset: Digest) -> Result<LoraDataset, Problem> {
    let bytes = farm.artifacts.get_bytes(dataset, DATASET_LIMIT).await.map_err(|e| e.to_string());
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string())).map_err(|cause| {
        let remedy = "restore the artifact folder from a backup, or train again";
        Problem::new(ProblemKind::Unavailable, "read report", dataset.to_string(), cause, remedy)
    })
}

fn used(pack: &Pack, digest: Digest) -> PackUsed {
    PackUsed { name: pack.name.clone(), version: pack.version, digest }
}

fn registered(version: &LoraVersion) -> Registered {
    let (number, state) = (version.number, &version.state);
    Registered { number, active: state.is_active(), reasons: state.reasons().to_vec(), adapter: version.lora }
}

fn show(report: &Report, thumbnails: &BTreeMap<Digest, String>) -> String {
    let active = report.lora.as_ref().is_some_and(|lora| lora.active);
    html! {
        (DOCTYPE)
        html lang="en" {
            (page::head(&report.head.title))
            body {
                header {
                    h1 { (report.head.title) @if let Some(lora) = &report.lora { " " (lora.number) } }
                    p.state.(if active { "pass" } else { "fail" }) { (state(report)) }
                    @if let Some(lora) = &report.lora { @for reason in &lora.reasons { p.reason { (reason) } } }
                    p.small { "Project " (report.head.project) " · job " (report.head.job) }
                }
                @if let Some(proof) = &report.proof { (proved(proof)) }
                @if !report.curve.is_empty() { (trained(report)) }
                @if let Some(conversion) = &report.conversion { (converted(conversion)) }
                @if !report.dataset.pictures.is_empty() { (pictures(&report.dataset, thumbnails)) }
                section { h2 { "Where the time went" } (page::timings(&report.timings)) }
                section { h2 { "What made it" } (provenance(report)) }
            }
        }
    }
    .into_string()
}

fn state(report: &Report) -> String {
    match (&report.lora, &report.proof) {
        (Some(lora), _) if lora.active => "In force: the next takes are generated with it".into(),
        (Some(_), _) => "Retired: takes are generated without it".into(),
        (None, None) if report.conversion.is_some() => "Written for another program".into(),
        (None, Some(_)) => "Not registered: the character is another by now".into(),
        (None, None) => format!("Nothing was trained: {} pictures are too few", report.dataset.pictures.len()),
    }
}

fn proved(proof: &LoraProof) -> Markup {
    let against = proof.against.map_or_else(|| "the bare model".to_owned(), |number| format!("version {number}"));
    let gain = proof.after - proof.before;
    html! {
        section {
            h2 { "What it brings" }
            p.small { (proof.pictures) " pictures of captions and seeds that it was not trained on, the same with and without it, judged by the gate with references that it never saw; IDR is 0 where the character is not found." }
            table.style {
                tr { td { "Mean IDR with " (against) } td.number { (format!("{:.3}", proof.before)) } td {} }
                tr { td { "Mean IDR with this LoRA" } td.number { (format!("{:.3}", proof.after)) } td { (format!("{gain:+.3}, at least {:+.3} (95 %)", proof.gain_lower)) } }
                @if let Some(text) = proof.text_alone {
                    tr { td { "Mean IDR by caption alone" } td.number { (format!("{text:.3}")) } td { (format!("{:+.3} with this LoRA", proof.after - text)) } }
                }
                tr { td { "Pictures that the gate accepts" } td.number { (proof.accepted.1) } td { (proof.accepted.0) " without it" } }
                @if let Some((before, after)) = proof.adherence {
                    tr { td { "Captions followed" } td.number { (format!("{after:.3}")) } td { (format!("{before:.3} without it")) } }
                }
                tr { td { "Difference between pictures of one caption" } td.number { (format!("{:.3}", proof.diversity.1)) } td { (format!("{:.3} without it", proof.diversity.0)) } }
                tr { td { "Copies of a training picture" } td.number { (proof.copies) } td {} }
            }
            p.small { @if proof.text_alone.is_some() { "Rows: by caption alone, " } @else { "Rows: " } "with " (against) ", with this LoRA. A column for each caption." }
            a href="proof.png" { img.sheet src="proof.png" alt="Pictures of equal captions and seeds without the LoRA and with it"; }
        }
    }
}

fn converted(conversion: &Conversion) -> Markup {
    html! {
        section {
            h2 { "How it was made" }
            p.small { (format!("Written anew at rank {}; {:.2} % of what it adds is left, by squared size", conversion.rank, conversion.energy * 100.0)) }
        }
    }
}

fn trained(report: &Report) -> Markup {
    html! {
        section {
            h2 { "How it was trained" }
            @if let Some(recipe) = &report.recipe {
                p.small {
                    (format!("Rank {}, {} steps of {} pictures at {} px, learning rate {}", recipe.rank, recipe.steps, recipe.batch, recipe.resolution, recipe.learning_rate))
                    @if recipe.convolutions { ", convolutions too" }
                    @if recipe.begin > 0.0 { (format!(", after {:.0} % of a take's steps", recipe.begin * 100.0)) }
                }
            }
            div.loss { (PreEscaped(plot(&report.curve))) }
            p.small { "The same caption and seed before the first step, on the way, and after the last:" }
            a href="samples.png" { img.sheet src="samples.png" alt="Pictures of one caption and seed on the way"; }
        }
    }
}

fn pictures(dataset: &LoraDataset, thumbnails: &BTreeMap<Digest, String>) -> Markup {
    let generated = dataset.pictures.iter().filter(|picture| picture.origin.is_generated()).count();
    html! {
        section {
            h2 { "What it was trained on" }
            p.small { (dataset.pictures.len()) " pictures, " (generated) " of them from accepted takes; " (dataset.refused.len()) " left out" }
            div.pictures {
                @for picture in &dataset.pictures {
                    @if let Some(url) = thumbnails.get(&picture.picture) {
                        figure { img src=(url) alt=(picture.caption) title=(picture.caption); figcaption.small { (origin(&picture.origin)) } }
                    }
                }
            }
            @if !dataset.refused.is_empty() {
                ul.advice { @for (from, reason) in &dataset.refused { li { (origin(from)) ": " (reason) } } }
            }
        }
    }
}

fn origin(origin: &LoraOrigin) -> String {
    match origin {
        LoraOrigin::Reference { name, .. } => name.clone(),
        LoraOrigin::Take { take, frame } => format!("take {:.8}, frame {frame}", take.to_string()),
    }
}

fn provenance(report: &Report) -> Markup {
    html! {
        table.digests {
            tr { td { "Greenroom" } td { (report.head.greenroom) } }
            tr { td { "pack " (report.pack.name) " " (report.pack.version) } td { code { (report.pack.digest) } } }
            @if let Some(lora) = &report.lora { tr { td { "adapter" } td { code { (lora.adapter) } } } }
        }
    }
}

/// Loss by step. An SVG, 640 × 160.
fn plot(curve: &[(u32, f32)]) -> String {
    let finite = || curve.iter().filter(|(_, loss)| loss.is_finite());
    let last = curve.last().map_or(1, |point| point.0).max(1) as f32;
    let most = finite().map(|point| point.1).fold(0.0, f32::max).max(f32::MIN_POSITIVE);
    let (x, y) = (|step: u32| 44.0 + 584.0 * step as f32 / last, |loss: f32| 140.0 - 124.0 * loss / most);
    let mut svg = String::from(r#"<svg viewBox="0 0 640 160" role="img" aria-label="Loss by step">"#);
    for part in [0.0, 0.5, 1.0] {
        let (loss, at) = (most * part, y(most * part));
        let _ = write!(svg, r#"<line class="grid" x1="44" x2="628" y1="{at:.1}" y2="{at:.1}"/>"#);
        let _ = write!(svg, r#"<text x="40" y="{:.1}">{loss:.3}</text>"#, at + 3.0);
    }
    let path: Vec<_> = finite().map(|(step, loss)| format!("{:.1},{:.1}", x(*step), y(*loss))).collect();
    let _ = write!(svg, r#"<polyline class="c0" points="{}"/>"#, path.join(" "));
    let _ = write!(svg, r#"<text x="628" y="154">step {last}</text></svg>"#);
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_lies_inside_its_drawing_whatever_it_holds() {
        for curve in [vec![], vec![(1, 0.5)], vec![(10, 0.3), (20, f32::NAN), (150, 0.1)]] {
            let svg = plot(&curve);
            let numbers = svg.split([' ', ',', '"', '<', '>', '/']).filter_map(|part| part.parse::<f32>().ok());
            assert!(numbers.into_iter().all(|n| (0.0..=640.0).contains(&n)), "{svg}");
        }
    }
}
