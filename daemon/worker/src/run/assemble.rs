//! Takes → clips, episode and contact sheet.

use greenroom_domain::{AssembleShot, AssembleSpec, ClipOutput, Decision, FrameScore, Frames, Idr, Line, TaskOutput};
use greenroom_media::{Cue, EpisodeClip, SheetCell, SheetRow, VideoReader, contact_sheet, write_clip, write_episode};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{Bench, Progress, go_on};
use crate::{clock::Timings, fault::Fault};

/// Frames of each shot on the contact sheet.
const CELLS: usize = 6;

pub(super) fn run(
    bench: &Bench,
    spec: &AssembleSpec,
    scratch: &Path,
    progress: &mut Progress<'_>,
) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let (mut takes, mut clips, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let share = 0.5 / spec.shots.len().max(1) as f32;
    for (number, shot) in spec.shots.iter().enumerate() {
        go_on(progress(number as f32 * share, &format!("clip {}", shot.shot)))?;
        let take = scratch.join(format!("{}.mkv", shot.shot));
        bench.fetch(shot.take, &take)?;
        let clip = scratch.join(format!("{}.mp4", shot.shot));
        let frames = timings.of("clips", || write_clip(&take, &clip, draft(shot).as_deref()))?;
        clips.push(ClipOutput { shot: shot.shot, video: bench.keep(&clip)?, draft: shot.is_draft() });
        rows.push(timings.of("contact sheet", || row(shot, &take))?);
        takes.push((take, frames));
    }
    let parts: Vec<_> = spec
        .shots
        .iter()
        .zip(&takes)
        .map(|(shot, (take, frames)): (_, &(PathBuf, Frames))| EpisodeClip {
            take,
            draft: draft(shot),
            subtitles: cues(&shot.dialogue, *frames),
        })
        .collect();
    let episode = scratch.join("episode.mp4");
    let mut frame = |done: u64, of: u64| -> ControlFlow<()> {
        progress(0.5 + 0.5 * done as f32 / of.max(1) as f32, &format!("episode frame {done} of {of}"))
    };
    let plan =
        timings.of("episode", || write_episode(&parts, &episode, spec.size, spec.fps, spec.crossfade, &mut frame))?;
    let sheet = timings.of("contact sheet", || contact_sheet(&spec.title, &rows));
    Ok(TaskOutput::Episode {
        episode: bench.keep(&episode)?,
        clips,
        contact_sheet: bench.keep_png(&sheet)?,
        duration: plan.total,
        timings: timings.seconds(),
    })
}

/// What the banner says; none for an accepted take.
fn draft(shot: &AssembleShot) -> Option<String> {
    match shot.verdict.decision {
        Decision::Accept => None,
        Decision::Reject { .. } => Some("DRAFT – identity below gate".into()),
        Decision::Unscored { .. } => Some("DRAFT – face not found".into()),
    }
}

/// Lines share the clip by their number of words, with a breath before the first and after the last.
fn cues(dialogue: &[Line], length: Frames) -> Vec<Cue> {
    let words: Vec<u64> = dialogue.iter().map(|l| l.text.split_whitespace().count().max(1) as u64).collect();
    let total: u64 = words.iter().sum();
    let breath = length.0 / 20;
    let room = length.0 - 2 * breath;
    let mut said = 0;
    let cue = |(line, words): (&Line, &u64)| {
        let at = |said: u64| Frames(breath + room * said / total);
        let start = at(said);
        said += words;
        Cue { start, end: at(said), text: line.text.clone() }
    };
    dialogue.iter().zip(&words).map(cue).collect()
}

/// The shot on the contact sheet: some of the frames that were scored.
fn row(shot: &AssembleShot, take: &Path) -> Result<SheetRow, Fault> {
    let scored = &shot.verdict.frames;
    let count = CELLS.min(scored.len());
    let chosen: Vec<&FrameScore> = (0..count).map(|i| &scored[i * (scored.len() - 1) / (count - 1).max(1)]).collect();
    let mut reader = VideoReader::open(take)?;
    let mut cells = Vec::with_capacity(count);
    while cells.len() < count {
        let Some((number, picture)) = reader.next_frame()? else { break };
        if let Some(score) = chosen.iter().find(|f| f.frame == number) {
            let score = lowest(shot, score);
            let (label, band) = (format!("frame {number}"), score.map(Idr::band));
            cells.push(SheetCell { picture, label, score: score.map(|idr| idr.0), band });
        }
    }
    let decision = &shot.verdict.decision;
    let verdict = if decision.is_accept() { shot.verdict.to_string() } else { format!("draft: {}", decision.why()) };
    let label = format!("Shot {} · take {}", shot.shot, shot.take_number);
    Ok(SheetRow { label, verdict, accepted: !shot.is_draft(), cells })
}

fn expected(shot: &AssembleShot) -> impl Iterator<Item = &str> {
    shot.verdict.characters.iter().filter(|c| c.expected).map(|c| c.character.as_str())
}

/// The lowest IDR of the expected faces in one frame; none where one of them was not scored.
fn lowest(shot: &AssembleShot, frame: &FrameScore) -> Option<Idr> {
    let of = |name: &str| {
        let faces = frame.faces.iter().filter(|f| f.character.as_deref() == Some(name));
        faces.filter_map(|f| Some(f.idr?.0)).next()
    };
    expected(shot).map(of).reduce(|a, b| Some(a?.min(b?))).flatten().map(Idr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_follow_each_other_and_stay_inside_the_clip() {
        let line = |text: &str| Line { character: "MARA".into(), parenthetical: None, text: text.into() };
        let cues = cues(&[line("Who is there?"), line("Nobody.")], Frames(100));
        assert_eq!(cues[0].end, cues[1].start);
        assert!(cues[0].start.0 == 5 && cues[1].end.0 == 95);
        assert!(cues[0].end.0 - cues[0].start.0 > cues[1].end.0 - cues[1].start.0);
    }
}
