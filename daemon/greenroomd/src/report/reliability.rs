//! How a character's cosines are read: its curve with the anchors, where strangers and its own references lie, and where the
//! faces of this job do. An inline SVG for each character.

use greenroom_domain::{Calibration, Distribution};
use maud::{Markup, PreEscaped, html};
use std::fmt::Write as _;

use super::{CastUsed, Report};

/// Ends of the plot, pixels: the curve above, the distributions below it.
const LEFT: f32 = 44.0;
const RIGHT: f32 = 628.0;
const CURVE: (f32, f32) = (22.0, 174.0);
const COUNTS: (f32, f32) = (188.0, 268.0);

/// The section of all characters; `curves` gives the pack's curve where a character has none of its own.
pub(super) fn section(report: &Report, default: &Calibration) -> Markup {
    html! {
        section {
            h2 { "How alike counts as how much" }
            p.small {
                "Raw cosines are read as IDR by each character's curve. One stranger in a hundred reaches 0.50, one in a thousand \
                 0.75, and 0.85 is as alike as the character's own references are. Only the gate decides, and on the clip."
            }
            div.reliability { @for member in &report.cast { (figure(report, member, default)) } }
        }
    }
}

fn figure(report: &Report, member: &CastUsed, default: &Calibration) -> Markup {
    let faces = Distribution::of(&cosines(report, &member.character));
    let own = member.curve.as_ref();
    let none = Distribution::of(&[]);
    let distributions = [
        ("impostors", own.map_or(&none, |own| &own.impostors)),
        ("genuine", own.map_or(&none, |own| &own.genuine)),
        ("faces", &faces),
    ];
    let curve = own.map_or(default, |own| &own.curve);
    html! {
        figure {
            figcaption {
                b { (member.character) } " "
                @match (&member.calibration, own) {
                    (Some(used), Some(own)) => {
                        "calibration " (used.number) " (" (own.pack) ")"
                    }
                    _ => { (default.name) ", uncalibrated" }
                }
            }
            (PreEscaped(plot(curve, &distributions, report.settings.gate)))
            p.small.legend {
                @if let Some(own) = own {
                    span.impostors { (own.impostors.total()) " impostors" }
                    @if own.others > 0 { " (" (own.others) " of other characters)" }
                    ", " span.genuine { (own.genuine.total()) " references, each against the others" } ", "
                }
                span.faces { (faces.total()) " faces of this job" }
            }
        }
    }
}

/// Of every face in every take that was assigned to the character.
fn cosines(report: &Report, character: &str) -> Vec<f32> {
    let takes = report.shots.iter().flat_map(|shot| &shot.takes);
    let faces = takes.flat_map(|take| &take.verdict.frames).flat_map(|frame| &frame.faces);
    let its = faces.filter(|face| face.character.as_deref() == Some(character));
    its.filter_map(|face| Some(face.cosine?.0)).collect()
}

/// 640 × 300. Each distribution is drawn to its own height: they count different things.
fn plot(curve: &Calibration, distributions: &[(&str, &Distribution)], gate: f32) -> String {
    let lowest = lowest(curve, distributions);
    let x = |cosine: f32| LEFT + (RIGHT - LEFT) * (cosine - lowest) / (1.0 - lowest);
    let y = |idr: f32| CURVE.1 - (CURVE.1 - CURVE.0) * idr;
    let mut svg = String::from(r#"<svg viewBox="0 0 640 300" role="img" aria-label="IDR by cosine">"#);
    for (band, from, to) in [("work", 0.0, 0.7), ("good", 0.7, 0.85), ("excellent", 0.85, 1.0)] {
        let (top, height, width) = (y(to), y(from) - y(to), RIGHT - LEFT);
        let _ =
            write!(svg, r#"<rect class="band {band}" x="{LEFT}" y="{top:.1}" width="{width}" height="{height:.1}"/>"#);
    }
    for idr in [0.0, 0.5, 0.7, 0.85, 1.0] {
        let _ = write!(svg, r#"<text class="scale" x="{}" y="{:.1}">{idr:.2}</text>"#, LEFT - 4.0, y(idr) + 3.0);
    }
    let _ = write!(svg, r#"<line class="gate" x1="{LEFT}" x2="{RIGHT}" y1="{0:.1}" y2="{0:.1}"/>"#, y(gate));
    let passing = x(curve.lowest_cosine(gate).min(1.0));
    let _ =
        write!(svg, r#"<line class="gate" x1="{passing:.1}" x2="{passing:.1}" y1="{}" y2="{}"/>"#, y(gate), COUNTS.1);
    for (name, distribution) in distributions {
        svg.push_str(&area(name, distribution, x));
    }
    let last = curve.anchors.last().map_or(0.0, |anchor| anchor.1);
    let ends = [(lowest, curve.idr(greenroom_domain::Cosine(lowest)).0), (1.0, last)];
    let mut points: Vec<_> = curve.anchors.iter().copied().filter(|(cosine, _)| *cosine > lowest).collect();
    points.insert(0, ends[0]);
    points.push(ends[1]);
    let path: Vec<_> = points.iter().map(|(cosine, idr)| format!("{:.1},{:.1}", x(*cosine), y(*idr))).collect();
    let _ = write!(svg, r#"<polyline class="curve" points="{}"/>"#, path.join(" "));
    for (cosine, idr) in curve.anchors.iter().filter(|(cosine, _)| *cosine >= lowest) {
        let (at, up) = (x(*cosine), y(*idr));
        let _ = write!(svg, r#"<circle class="anchor" cx="{at:.1}" cy="{up:.1}" r="3"/>"#);
        if (0.01..0.99).contains(idr) {
            let _ = write!(svg, r#"<text class="at" x="{:.1}" y="{:.1}">{cosine:.2}</text>"#, at - 6.0, up - 5.0);
        }
    }
    axis(&mut svg, lowest, x);
    svg.push_str("</svg>");
    svg
}

/// The lowest cosine worth showing, a multiple of a fifth.
fn lowest(curve: &Calibration, distributions: &[(&str, &Distribution)]) -> f32 {
    let first = |d: &Distribution| d.shares().find(|(_, share)| *share > 0.0).map(|(cosine, _)| cosine);
    let lowest = distributions.iter().filter_map(|(_, d)| first(d)).fold(0.0, f32::min);
    let anchored = curve.anchors.iter().map(|a| a.0).find(|cosine| *cosine > -0.5).unwrap_or(0.0);
    ((lowest.min(anchored) * 5.0).floor() / 5.0).max(-1.0)
}

/// A distribution as a filled step line; nothing where nothing was counted.
fn area(name: &str, distribution: &Distribution, x: impl Fn(f32) -> f32) -> String {
    let most = distribution.shares().map(|(_, share)| share).fold(0.0, f32::max);
    if most <= 0.0 {
        return String::new();
    }
    let half = 1.0 / Distribution::BINS as f32;
    let height = |share: f32| COUNTS.1 - (COUNTS.1 - COUNTS.0) * share / most;
    let seen: Vec<_> = distribution.shares().collect();
    let first = seen.iter().position(|(_, share)| *share > 0.0).unwrap_or(0);
    let last = seen.iter().rposition(|(_, share)| *share > 0.0).unwrap_or(0);
    let mut path = format!("M{:.1},{}", x(seen[first].0 - half), COUNTS.1);
    for (cosine, share) in &seen[first..=last] {
        let up = height(*share);
        let _ = write!(path, "L{:.1},{up:.1}L{:.1},{up:.1}", x(cosine - half), x(cosine + half));
    }
    let _ = write!(path, "L{:.1},{}Z", x(seen[last].0 + half), COUNTS.1);
    format!(r#"<path class="{name}" d="{path}"/>"#)
}

fn axis(svg: &mut String, lowest: f32, x: impl Fn(f32) -> f32) {
    let _ = write!(svg, r#"<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{0}" y2="{0}"/>"#, COUNTS.1);
    let steps = ((1.0 - lowest) * 5.0).round() as u32;
    for step in 0..=steps {
        let cosine = lowest + step as f32 / 5.0;
        let _ = write!(svg, r#"<text class="tick" x="{:.1}" y="282">{:.1}</text>"#, x(cosine), cosine + 0.0);
    }
    let _ = write!(svg, r#"<text class="tick" x="{}" y="296">cosine</text>"#, f32::midpoint(LEFT, RIGHT));
    let _ = write!(svg, r#"<text class="scale" x="{}" y="{}">IDR</text>"#, LEFT - 4.0, CURVE.0 - 11.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Calibration {
        let anchors = vec![(-0.02, 0.0), (0.5, 0.5), (0.62, 0.75), (0.86, 0.85), (1.0, 1.0)];
        Calibration { name: "MARA (puppet 4)".into(), anchors }
    }

    #[test]
    fn everything_lies_inside_the_drawing() {
        let spread: Vec<f32> = (0..200).map(|i| i as f32 / 100.0 - 1.0).collect();
        let all = Distribution::of(&spread);
        let svg = plot(&curve(), &[("impostors", &all), ("faces", &all)], 0.75);
        let numbers =
            svg.split([' ', ',', 'L', 'M', 'Z', '"', '<', '>', '/']).filter_map(|part| part.parse::<f32>().ok());
        assert!(numbers.clone().count() > 400);
        assert!(numbers.into_iter().all(|n| (-1.0..=640.0).contains(&n)), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 5);
    }

    #[test]
    fn a_distribution_of_nothing_is_not_drawn() {
        let svg = plot(&curve(), &[("impostors", &Distribution::of(&[])), ("faces", &Distribution::of(&[0.7]))], 0.75);
        assert!(svg.contains(r#"class="faces""#) && !svg.contains(r#"class="impostors""#));
    }
}
