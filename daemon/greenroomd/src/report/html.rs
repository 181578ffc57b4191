//! The report as one page: what came out, every take with its scores over time, and what made the numbers. It needs no
//! network; the videos, the contact sheet and the strips lie beside it.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use greenroom_domain::{Band, Calibration, Decision, Digest, Stranger, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::{collections::BTreeMap, fmt::Write as _};

use super::{Report, ShotReport, looks, people, reliability, takes::TakeReport};
use crate::farm::Farm;

const STYLE: &str = include_str!("style.css");

/// A take's thumbnail of more bytes is left out of the page.
const THUMBNAIL_LIMIT: u64 = 1 << 20;

/// Thumbnails as data URLs by digest. One that is gone is left out: the page is still useful.
pub(super) async fn thumbnails(farm: &Farm, pictures: impl Iterator<Item = Digest>) -> BTreeMap<Digest, String> {
    let mut urls = BTreeMap::new();
    for picture in pictures {
        if let Ok(bytes) = farm.artifacts.get_bytes(picture, THUMBNAIL_LIMIT).await {
            urls.insert(picture, format!("data:image/png;base64,{}", BASE64_STANDARD.encode(&bytes)));
        }
    }
    urls
}

/// The head of every page.
pub(super) fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) " – Greenroom report" }
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// The whole page.
pub(super) fn page(report: &Report, thumbnails: &BTreeMap<Digest, String>, default: &Calibration) -> String {
    let accepted = report.shots.iter().filter(|s| s.accepted).count();
    let of = report.shots.len();
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&report.head.title))
            body {
                header {
                    h1 { (report.head.title) }
                    p.state.(if accepted == of { "pass" } else { "fail" }) {
                        (accepted) " of " (of) " shots accepted"
                        @if accepted < of { ": the others are in the episode as drafts, visibly marked" }
                    }
                    p.small { "Project " (report.head.project) " · job " (report.head.job) " · gate: p10 IDR ≥ " (report.settings.gate) }
                }
                @if let Some(episode) = &report.episode {
                    section {
                        video controls preload="metadata" src=(episode.file) {}
                        p.small { (format!("{:.1} s, {} frames at {} fps", episode.seconds, episode.frames.0, report.settings.fps)) }
                    }
                }
                section { a href="contact-sheet.png" { img.sheet src="contact-sheet.png" alt="Contact sheet: sampled frames of every shot with their scores"; } }
                (looks::recommendations(report))
                @for shot in &report.shots { (shot_section(report, shot, thumbnails)) }
                (reliability::section(report, default))
                (people::section(&report.cast))
                section { h2 { "Where the time went" } (timings(&report.timings)) }
                section { h2 { "What made it" } (provenance(report)) }
            }
        }
    }
    .into_string()
}

fn shot_section(report: &Report, shot: &ShotReport, thumbnails: &BTreeMap<Digest, String>) -> Markup {
    html! {
        section.shot {
            h2 {
                "Shot " (shot.shot) " "
                span.chip.(if shot.accepted { "pass" } else { "fail" }) { (if shot.accepted { "accepted" } else { "draft" }) }
                @if let Some(take) = shot.chosen_take { span.small { " take " (take) } }
            }
            p.heading { (shot.heading) " · " (words(shot.framing)) " · " (words(shot.camera)) " · " (format!("{:.1} s", report.settings.fps.seconds(shot.frames))) }
            @if !shot.action.is_empty() { p { (shot.action) } }
            @for line in &shot.dialogue {
                p.line { b { (line.character) } @if let Some(how) = &line.parenthetical { " (" (how) ")" } ": “" (line.text) "”" }
            }
            p.small { "Prompt: " (shot.prompt) }
            (looks::chosen_take(shot))
            div.takes { @for take in &shot.takes { (take_card(report, shot, take, thumbnails)) } }
        }
    }
}

fn take_card(report: &Report, shot: &ShotReport, take: &TakeReport, thumbnails: &BTreeMap<Digest, String>) -> Markup {
    let verdict = &take.verdict;
    let (class, word) = match verdict.decision {
        Decision::Accept => ("pass", "accept"),
        Decision::Reject { .. } => ("fail", "reject"),
        Decision::Unscored { .. } => ("none", "unscored"),
    };
    html! {
        div.take.(if Some(take.take) == shot.chosen_take { "chosen" } else { "other" }) {
            @if let Some(url) = thumbnails.get(&take.thumbnail) { img src=(url) alt=(format!("Take {}", take.take)); }
            p { b { "Take " (take.take) } " " span.chip.(class) { (word) } " " span.small { "seed " (take.seed.0) @if take.reused { ", reused" } @else { (format!(", {:.1} s", take.seconds)) } } }
            @match &take.repair {
                Some(repair) => p.small { (repair) },
                None if take.take > 1 => p.small { "a new seed" },
                None => {}
            }
            @for reason in verdict.decision.reasons() { p.reason { (reason) } }
            @for c in verdict.characters.iter().filter(|c| c.expected) {
                p.small {
                    (c.character) ": "
                    @match (c.p10, c.mean, c.cosine) {
                        (Some(p10), Some(mean), Some(cosine)) => {
                            (format!("IDR p10 {:.2}, mean {:.2} (cosine {:.2}), coverage {:.0} %", p10.0, mean.0, cosine.0, c.coverage * 100.0))
                            @if let Some(slope) = c.slope { (format!(", {slope:+.2} a second")) }
                            @if !c.calibrated { ", uncalibrated" } @else if let Some(curve) = &c.calibration { ", by " (curve) }
                        }
                        _ => "not seen"
                    }
                }
            }
            (bands(verdict))
            @if !verdict.strangers.is_empty() { p.small { "Unknown faces: " (strangers(verdict)) } }
            (PreEscaped(plot(verdict, report.settings.gate)))
        }
    }
}

/// How many of the cast's faces are excellent, good, or need work: a bar, and in words.
fn bands(verdict: &Verdict) -> Markup {
    let faces = || verdict.frames.iter().flat_map(|f| &f.faces).filter(|f| f.character.is_some());
    let count = |band| faces().filter(|f| f.band == Some(band)).count();
    let bands = [("excellent", Band::Excellent), ("good", Band::Good), ("work", Band::NeedsWork)];
    let counts = bands.map(|(class, band)| (class, band, count(band)));
    let all: usize = counts.iter().map(|(_, _, count)| count).sum();
    html! {
        @if all > 0 {
            div.bands { @for (class, _, count) in &counts { div.(class) style=(format!("width:{:.1}%", 100.0 * *count as f64 / all as f64)) {} } }
            p.small { @for (i, (_, band, count)) in counts.iter().enumerate() { @if i > 0 { ", " } (count) " " (band) } }
        }
    }
}

/// Who is nobody of the cast: `frames 12 to 40`, one after another.
fn strangers(verdict: &Verdict) -> String {
    let frames = |s: &Stranger| {
        if s.first == s.last { format!("frame {}", s.first) } else { format!("frames {} to {}", s.first, s.last) }
    };
    verdict.strangers.iter().map(frames).collect::<Vec<_>>().join(", ")
}

/// IDR over the take, one line a character; the dashed line is the gate. An SVG, 320 × 96.
fn plot(verdict: &Verdict, gate: f32) -> String {
    let (Some(first), Some(last)) = (verdict.frames.first(), verdict.frames.last()) else { return String::new() };
    let span = (last.frame - first.frame).max(1) as f32;
    let x = |frame: u64| 28.0 + 286.0 * (frame - first.frame) as f32 / span;
    let y = |idr: f32| 86.0 - 78.0 * idr;
    let mut lines: BTreeMap<&str, Vec<(f32, f32)>> = BTreeMap::new();
    for frame in &verdict.frames {
        for face in &frame.faces {
            if let (Some(character), Some(idr)) = (&face.character, face.idr) {
                lines.entry(character).or_default().push((x(frame.frame), y(idr.0)));
            }
        }
    }
    let mut svg = String::from(r#"<svg viewBox="0 0 320 96" role="img" aria-label="IDR over the take">"#);
    for value in [0.0, 0.5, 1.0] {
        let _ = write!(
            svg,
            r#"<line class="grid" x1="28" x2="314" y1="{0}" y2="{0}"/><text x="24" y="{1}">{value}</text>"#,
            y(value),
            y(value) + 3.0
        );
    }
    let _ = write!(svg, r#"<line class="gate" x1="28" x2="314" y1="{0}" y2="{0}"/>"#, y(gate));
    for (number, points) in lines.values().enumerate() {
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(svg, r#"<polyline class="c{}" points="{}"/>"#, number % 4, path.join(" "));
        for (x, y) in points {
            let _ = write!(svg, r#"<circle class="c{}" cx="{x:.1}" cy="{y:.1}" r="2"/>"#, number % 4);
        }
    }
    svg.push_str("</svg>");
    looks::legend(&mut svg, lines.keys());
    svg
}

/// Seconds by stage, with bars.
pub(super) fn timings(timings: &BTreeMap<String, f64>) -> Markup {
    let total: f64 = timings.iter().filter(|(stage, _)| !stage.contains('/')).map(|(_, s)| s).sum();
    html! {
        table {
            @for (stage, seconds) in timings {
                @let inner = stage.split_once('/');
                tr {
                    td.(if inner.is_some() { "inner" } else { "outer" }) { (inner.map_or(stage.as_str(), |(_, name)| name)) }
                    td.number { (format!("{seconds:.1} s")) }
                    td.bar { div style=(format!("width:{:.1}%", 100.0 * seconds / total.max(1e-9))) {} }
                }
            }
        }
    }
}

fn provenance(report: &Report) -> Markup {
    html! {
        table.digests {
            tr { td { "Greenroom" } td { (report.head.greenroom) } }
            tr { td { "script" } td { code { (report.script) } } }
            tr { td { "pack " (report.pack.name) " " (report.pack.version) } td { code { (report.pack.digest) } } }
            @for c in &report.cast {
                tr { td { "profile " (c.character) } td { code { (c.profile) } } }
                @if let Some(used) = &c.calibration { tr { td { "calibration " (c.character) " " (used.number) } td { code { (used.calibration) } } } }
            }
            @for (file, digest) in &report.pack.models { tr { td { (file) } td { code { (digest) } } } }
        }
    }
}

/// A variant as people write it: `push_in` is "push in".
fn words(value: impl serde::Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().replace('_', " ")
}
