//! The part of the page for those who look: frames with their faces marked, what each character shows, and what to do.

use greenroom_domain::{AnchorScore, StyleScore};
use maud::{Markup, html};
use std::fmt::Write as _;

use super::{Report, ShotReport, TakeReport};

/// What to do, shot by shot.
pub(super) fn recommendations(report: &Report) -> Markup {
    let all: Vec<&String> = report.shots.iter().flat_map(|shot| &shot.recommendations).collect();
    html! {
        @if !all.is_empty() {
            section { h2 { "What to do" } ul.advice { @for one in all { li { (capital(one)) } } } }
        }
    }
}

/// Advice, strip and styles of the take that is in the episode; of a repair also the strip of what was repaired.
pub(super) fn chosen_take(shot: &ShotReport) -> Markup {
    let Some(take) = chosen(shot) else { return html! {} };
    let looks = &take.verdict.looks;
    let repaired = take.repair.as_ref().and_then(|repair| shot.takes.iter().find(|other| other.take == repair.of));
    html! {
        @if !shot.recommendations.is_empty() {
            ul.advice { @for one in &shot.recommendations { li { (capital(one)) } } }
        }
        @if let Some(before) = repaired { (strip(before, "before its repair")) }
        (strip(take, if repaired.is_some() { "repaired" } else { "frame by frame" }))
        @if !looks.repeats.is_empty() {
            p.small { (looks.repeats.len()) " of the sampled frames show what an earlier one shows, and count as one with it." }
        }
        @for style in &looks.styles { (table(style)) }
    }
}

fn strip(take: &TakeReport, what: &str) -> Markup {
    html! {
        @if let Some(file) = &take.strip {
            p.small { "Take " (take.take) ", " (what) }
            div.strip tabindex="0" { img src=(file) alt=(format!("Sampled frames of take {} with the faces that were found", take.take)); }
        }
    }
}

/// Which colour is whose, below a plot.
pub(super) fn legend<'a>(svg: &mut String, names: impl Iterator<Item = &'a &'a str>) {
    let name = |(number, name): (usize, &&str)| html! { i class=(format!("c{}", number % 4)) {} (name) };
    let names: Vec<Markup> = names.enumerate().map(name).collect();
    let line = html! { p.legend { @for name in names { (name) } i.gate {} "gate" } };
    let _ = write!(svg, "{}", line.into_string());
}

/// The take that is in the episode.
fn chosen(shot: &ShotReport) -> Option<&TakeReport> {
    shot.takes.iter().find(|take| Some(take.take) == shot.chosen_take)
}

fn table(style: &StyleScore) -> Markup {
    html! {
        table.style {
            tr {
                td { b { (style.character) } }
                td { b { "looks" @if let Some(score) = style.score { (format!(" {score:.2}")) } } }
                td {} td {} td.small { "the face alone decides" }
            }
            @for anchor in &style.anchors { (row(anchor)) }
        }
    }
}

fn row(anchor: &AnchorScore) -> Markup {
    let percent = anchor.score.map(|score| format!("width:{:.0}%", score * 100.0));
    html! {
        tr {
            td { (anchor.name()) }
            td { (anchor.expected) }
            td.number { @match anchor.score { Some(score) => (format!("{score:.2}")), None => "hidden" } }
            td.bar { @if let Some(percent) = percent { div style=(percent) {} } }
            td.remark { @if let Some(remark) = &anchor.remark { (remark) } }
        }
    }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_stands_beside_its_score_and_hidden_eyes_have_none() {
        let anchor = |attribute: &str, score: Option<f32>, remark: Option<&str>| AnchorScore {
            attribute: attribute.into(),
            expected: "<left>".into(),
            seen: None,
            score,
            weight: 1.0,
            remark: remark.map(str::to_owned),
        };
        let anchors = vec![anchor("scar", Some(0.12), Some("scar missing")), anchor("eye_colour", None, None)];
        let page = table(&StyleScore { character: "MARA".into(), score: Some(0.12), anchors }).into_string();
        assert!(page.contains("&lt;left&gt;") && page.contains("0.12") && page.contains("scar missing"), "{page}");
        assert!(page.contains("<td>eye colour</td>") && page.contains("hidden"), "{page}");
    }
}
