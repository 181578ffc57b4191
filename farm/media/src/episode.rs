//! Takes → clips and the episode: in order, cross-faded, drafts marked.

use greenroom_domain::{Fps, Frames, Pixels};
use image::RgbImage;
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use crate::{Cue, MediaError, VideoInfo, VideoReader, draw, mp4::Mp4Writer, subtitles};

/// One take on its way into an episode.
#[derive(Clone, Debug)]
pub struct EpisodeClip<'a> {
    /// The take.
    pub take: &'a Path,
    /// What the banner of a draft says; none for an accepted take.
    pub draft: Option<String>,
    /// What is said, in frames of the take.
    pub subtitles: Vec<Cue>,
}

/// Where clips lie in an episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpisodePlan {
    /// First frame of each clip (where its fade-in begins).
    pub starts: Vec<Frames>,
    /// Cross-fade between each clip and the next: one fewer than clips.
    pub fades: Vec<Frames>,
    /// Length of the episode: all clips less all fades.
    pub total: Frames,
    /// A sentence for each fade that had to be shorter than asked.
    pub notes: Vec<String>,
}

/// Lays clips after each other, each overlapping the next by the cross-fade. A fade takes at most half of either clip.
#[must_use]
pub fn plan_episode(lengths: &[Frames], crossfade: Frames) -> EpisodePlan {
    let mut plan = EpisodePlan { starts: Vec::new(), fades: Vec::new(), total: Frames(0), notes: Vec::new() };
    let mut at = 0;
    for (i, length) in lengths.iter().enumerate() {
        plan.starts.push(Frames(at));
        at += length.0;
        let Some(next) = lengths.get(i + 1) else { break };
        let fade = crossfade.0.min(length.0 / 2).min(next.0 / 2);
        if fade < crossfade.0 {
            plan.notes.push(format!(
                "the cross-fade between clips {} and {} is {fade} frames instead of {}: a clip is shorter than two fades",
                i + 1,
                i + 2,
                crossfade.0
            ));
        }
        plan.fades.push(Frames(fade));
        at -= fade;
    }
    plan.total = Frames(at);
    plan
}

/// Writes one take as a clip for watching: H.264 and silent AAC in MP4, same size and rate, marked where it is a draft.
///
/// # Errors
/// If the take cannot be read, the clip cannot be written, or their lengths differ.
pub fn write_clip(take: &Path, out: &Path, draft: Option<&str>) -> Result<Frames, MediaError> {
    let info = VideoReader::open(take)?.info().clone();
    let clip = EpisodeClip { take, draft: draft.map(str::to_owned), subtitles: Vec::new() };
    let go_on = &mut |_, _| ControlFlow::Continue(());
    Ok(assemble("write clip", &[clip], out, info.size, info.fps, Frames(0), go_on)?.total)
}

/// Writes takes as one episode. Holds two decoders and one frame of each at a time. `progress` is told (frames done, of
/// all) after each frame and may stop the work; then, as after any error, no file is left.
///
/// # Errors
/// If there is no clip, a take cannot be read or differs in size or rate, the episode cannot be written, or it does not
/// last as long as planned.
pub fn write_episode(
    clips: &[EpisodeClip<'_>],
    out: &Path,
    size: Pixels,
    fps: Fps,
    crossfade: Frames,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<EpisodePlan, MediaError> {
    assemble("write episode", clips, out, size, fps, crossfade, progress)
}

fn assemble(
    step: &'static str,
    clips: &[EpisodeClip<'_>],
    out: &Path,
    size: Pixels,
    fps: Fps,
    crossfade: Frames,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<EpisodePlan, MediaError> {
    if clips.is_empty() {
        return Err(MediaError::Empty { step, file: out.to_owned() });
    }
    let lengths = clips.iter().map(|clip| length(step, clip.take, size, fps)).collect::<Result<Vec<_>, _>>()?;
    let plan = plan_episode(&lengths, crossfade);
    let mut writer = Mp4Writer::create(step, out, size, fps, cues(clips, &lengths, &plan))?;
    let mut done = 0;
    let mut put = |picture: &RgbImage| {
        writer.write(picture)?;
        done += 1;
        match progress(done, plan.total.0) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(MediaError::Stopped { step, file: out.to_owned() }),
        }
    };
    let mut current = Clip::open(&clips[0])?;
    for (i, length) in lengths.iter().enumerate() {
        let fade = plan.fades.get(i).map_or(0, |fade| fade.0);
        while current.at < length.0 - fade {
            put(&current.next()?)?;
        }
        let Some(next) = clips.get(i + 1) else { break };
        let mut next = Clip::open(next)?;
        for k in 0..fade {
            put(&draw::blend(&current.next()?, &next.next()?, (k + 1) as f32 / (fade + 1) as f32))?;
        }
        current = next;
    }
    writer.finish()?;
    Ok(plan)
}

/// A take being read, with its banner.
struct Clip {
    file: PathBuf,
    reader: VideoReader,
    draft: Option<String>,
    at: u64,
}

impl Clip {
    fn open(clip: &EpisodeClip<'_>) -> Result<Self, MediaError> {
        let reader = VideoReader::open(clip.take)?;
        Ok(Self { file: clip.take.to_owned(), reader, draft: clip.draft.clone(), at: 0 })
    }

    fn next(&mut self) -> Result<RgbImage, MediaError> {
        let Some((_, mut picture)) = self.reader.next_frame()? else {
            return Err(MediaError::Truncated { file: self.file.clone(), found: self.at, announced: self.at + 1 });
        };
        self.at += 1;
        if let Some(text) = &self.draft {
            draw::banner(&mut picture, text);
        }
        Ok(picture)
    }
}

fn length(step: &'static str, take: &Path, size: Pixels, fps: Fps) -> Result<Frames, MediaError> {
    let VideoInfo { size: found, fps: rate, frames, .. } = VideoReader::open(take)?.info().clone();
    let file = take.to_owned();
    if found != size {
        return Err(MediaError::Size { step, file, found, wanted: size });
    }
    if rate != fps {
        return Err(MediaError::Rate { step, file, found: rate, wanted: fps });
    }
    frames.ok_or(MediaError::Empty { step, file })
}

fn cues(clips: &[EpisodeClip<'_>], lengths: &[Frames], plan: &EpisodePlan) -> Vec<Cue> {
    let shifted = clips.iter().zip(lengths).zip(&plan.starts).flat_map(|((clip, length), start)| {
        clip.subtitles.iter().map(move |cue| Cue {
            start: Frames(start.0 + cue.start.0.min(length.0)),
            end: Frames(start.0 + cue.end.0.min(length.0)),
            text: cue.text.clone(),
        })
    });
    subtitles::in_order(shifted.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_overlap_by_the_cross_fade() {
        let plan = plan_episode(&[Frames(72), Frames(60), Frames(48)], Frames(12));
        assert_eq!(plan.starts, [Frames(0), Frames(60), Frames(108)]);
        assert_eq!(plan.total, Frames(72 + 60 + 48 - 2 * 12));
        assert!(plan.notes.is_empty());
    }

    #[test]
    fn a_clip_shorter_than_two_fades_shortens_them_and_says_so() {
        let plan = plan_episode(&[Frames(72), Frames(10), Frames(72)], Frames(12));
        assert_eq!(plan.fades, [Frames(5), Frames(5)]);
        assert_eq!(plan.total, Frames(144));
        assert!(plan.notes[0].contains("clips 1 and 2 is 5 frames instead of 12"));
    }

    #[test]
    fn one_clip_is_an_episode_without_fades() {
        let plan = plan_episode(&[Frames(24)], Frames(12));
        assert_eq!((plan.total, plan.fades.len()), (Frames(24), 0));
    }
}
