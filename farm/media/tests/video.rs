//! Takes, clips and episodes as files.
#![allow(clippy::unwrap_used, missing_docs)] // tests

use greenroom_domain::{Digest, Fps, Frames, Pixels};
use greenroom_media::{Cue, EpisodeClip, MediaError, TakeWriter, VideoReader, plan_episode, write_clip, write_episode};
use image::{Rgb, RgbImage};
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

const SIZE: Pixels = Pixels { width: 96, height: 56 };

/// A picture with every kind of sample, different for each number.
fn picture(number: u64, tint: u8) -> RgbImage {
    RgbImage::from_fn(SIZE.width, SIZE.height, |x, y| {
        Rgb([tint, (x * 2 + y + number as u32 * 3) as u8, (y * 4) as u8 ^ number as u8])
    })
}

fn take(folder: &Path, name: &str, frames: u64, tint: u8) -> PathBuf {
    let path = folder.join(name);
    let mut writer = TakeWriter::create(&path, SIZE, Fps::FILM).unwrap();
    (0..frames).for_each(|i| writer.write(&picture(i, tint)).unwrap());
    assert_eq!(writer.finish().unwrap(), Frames(frames));
    path
}

fn flat(folder: &Path, name: &str, frames: u64, colour: [u8; 3]) -> PathBuf {
    let path = folder.join(name);
    let mut writer = TakeWriter::create(&path, SIZE, Fps::FILM).unwrap();
    let picture = RgbImage::from_pixel(SIZE.width, SIZE.height, Rgb(colour));
    (0..frames).for_each(|_| writer.write(&picture).unwrap());
    writer.finish().unwrap();
    path
}

fn frames(path: &Path) -> Vec<RgbImage> {
    let mut reader = VideoReader::open(path).unwrap();
    std::iter::from_fn(|| reader.next_frame().unwrap().map(|(_, picture)| picture)).collect()
}

fn clip(take: &Path) -> EpisodeClip<'_> {
    EpisodeClip { take, draft: None, subtitles: Vec::new() }
}

fn episode(clips: &[EpisodeClip<'_>], out: &Path) -> Result<Frames, MediaError> {
    let go_on = &mut |_, _| ControlFlow::Continue(());
    write_episode(clips, out, SIZE, Fps::FILM, Frames(12), go_on).map(|plan| plan.total)
}

fn digest(path: &Path) -> Digest {
    Digest::of(&fs::read(path).unwrap())
}

#[test]
fn a_take_gives_back_every_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let path = take(folder.path(), "take.mkv", 30, 7);
    let mut reader = VideoReader::open(&path).unwrap();
    let info = reader.info().clone();
    assert_eq!((info.size, info.fps, info.frames, info.codec.as_str()), (SIZE, Fps::FILM, Some(Frames(30)), "ffv1"));
    for i in 0..30 {
        assert_eq!(reader.next_frame().unwrap(), Some((i, picture(i, 7))));
    }
    assert_eq!(reader.next_frame().unwrap(), None);
}

#[test]
fn two_runs_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["a", "b"].map(|run| {
        let take = take(folder.path(), &format!("{run}.mkv"), 40, 9);
        let [clip, out] = ["clip", "episode"].map(|kind| folder.path().join(format!("{run}-{kind}.mp4")));
        write_clip(&take, &clip, Some("DRAFT – identity below gate")).unwrap();
        let cue = Cue { start: Frames(3), end: Frames(20), text: "Who is there?".into() };
        episode(&[EpisodeClip { take: &take, draft: None, subtitles: vec![cue] }, self::clip(&take)], &out).unwrap();
        [digest(&take), digest(&clip), digest(&out)]
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn ntsc_rates_survive_both_containers() {
    let folder = tempfile::tempdir().unwrap();
    for (num, den) in [(30_000, 1001), (60_000, 1001), (24_000, 1001), (25, 1), (12, 1)] {
        let [take, clip] = ["take.mkv", "clip.mp4"].map(|name| folder.path().join(name));
        let mut writer = TakeWriter::create(&take, SIZE, Fps { num, den }).unwrap();
        (0..31).for_each(|i| writer.write(&picture(i, 1)).unwrap());
        writer.finish().unwrap();
        assert_eq!(write_clip(&take, &clip, None).unwrap(), Frames(31));
        assert_eq!(VideoReader::open(&clip).unwrap().info().fps, Fps { num, den });
    }
}

#[test]
fn a_clip_keeps_its_colours() {
    let folder = tempfile::tempdir().unwrap();
    let colour = [200, 60, 90];
    let take = flat(folder.path(), "take.mkv", 24, colour);
    let out = folder.path().join("clip.mp4");
    assert_eq!(write_clip(&take, &out, None).unwrap(), Frames(24));
    let shown = frames(&out);
    assert_eq!(shown.len(), 24);
    for picture in [&shown[0], &shown[23]] {
        let Rgb(seen) = picture.get_pixel(50, 30);
        assert!(seen.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 4), "{seen:?}");
    }
}

#[test]
fn clips_fade_into_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let dark = flat(folder.path(), "dark.mkv", 36, [20; 3]);
    let light = flat(folder.path(), "light.mkv", 30, [220; 3]);
    let out = folder.path().join("episode.mp4");
    assert_eq!(episode(&[clip(&dark), clip(&light)], &out).unwrap(), Frames(36 + 30 - 12));
    let level = |picture: &RgbImage| picture.get_pixel(48, 28).0[1];
    let levels: Vec<u8> = frames(&out).iter().map(level).collect();
    assert!(levels[..24].iter().all(|l| l.abs_diff(20) < 4), "{levels:?}");
    assert!(levels[24..36].windows(2).all(|pair| pair[0] < pair[1]), "{levels:?}");
    assert!(levels[36..].iter().all(|l| l.abs_diff(220) < 4), "{levels:?}");
}

#[test]
fn only_a_draft_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let take = flat(folder.path(), "take.mkv", 12, [90; 3]);
    let out = folder.path().join("clip.mp4");
    let brightest = |draft| {
        write_clip(&take, &out, draft).unwrap();
        frames(&out)[6].iter().copied().max().unwrap()
    };
    assert!(brightest(None) < 100);
    assert!(brightest(Some("DRAFT – identity below gate")) > 150);
}

#[test]
fn dialogue_becomes_a_subtitle_track_at_its_place_in_the_episode() {
    let folder = tempfile::tempdir().unwrap();
    let take = take(folder.path(), "take.mkv", 48, 3);
    let cue = |text: &str| vec![Cue { start: Frames(12), end: Frames(36), text: text.into() }];
    let clips = ["First line", "Second line"].map(|t| EpisodeClip { take: &take, draft: None, subtitles: cue(t) });
    let out = folder.path().join("episode.mp4");
    episode(&clips, &out).unwrap();
    let mut input = ffmpeg_next::format::input(&out).unwrap();
    let mut seen = Vec::new();
    for (stream, packet) in input.packets() {
        let text = String::from_utf8_lossy(packet.data().unwrap_or_default().get(2..).unwrap_or_default()).into_owned();
        if stream.parameters().medium() == ffmpeg_next::media::Type::Subtitle && !text.is_empty() {
            let seconds = packet.pts().unwrap() as f64 * f64::from(stream.time_base());
            seen.push(((seconds * 24.0).round() as u64, text));
        }
    }
    let second = plan_episode(&[Frames(48), Frames(48)], Frames(12)).starts[1].0 + 12;
    assert_eq!(seen, [(12, "First line".to_owned()), (second, "Second line".to_owned())]);
}

#[test]
fn what_is_no_video_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("empty.mkv", &b""[..]), ("text.mkv", &b"INT. LAB - NIGHT\n".repeat(99)[..])] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = VideoReader::open(&path).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!("read video: {}: not a video, or damaged at its beginning", path.display())
        );
    }
    let error = VideoReader::open(&folder.path().join("none.mkv")).err().unwrap();
    assert!(error.to_string().ends_with("none.mkv: No such file or directory (os error 2)"));
}

#[test]
fn a_truncated_take_is_noticed_and_leaves_no_clip() {
    let folder = tempfile::tempdir().unwrap();
    let path = take(folder.path(), "take.mkv", 40, 7);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let out = folder.path().join("clip.mp4");
    let error = write_clip(&path, &out, None).unwrap_err();
    assert!(matches!(error, MediaError::Truncated { announced: 40, .. } | MediaError::Libav { .. }), "{error}");
    assert!(!out.exists());
}

#[test]
fn a_picture_of_another_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = TakeWriter::create(&folder.path().join("take.mkv"), SIZE, Fps::FILM).unwrap();
    let error = writer.write(&RgbImage::new(96, 58)).unwrap_err();
    assert!(error.to_string().ends_with("take.mkv: is 96×58, expected 96×56"), "{error}");
}

#[test]
fn odd_sizes_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("take.mkv");
    let error = TakeWriter::create(&path, Pixels { width: 95, height: 56 }, Fps::FILM).err().unwrap();
    assert!(error.to_string().contains("95×56 cannot be encoded (both sides must be even"), "{error}");
    assert!(!path.exists());
}

#[test]
fn an_unfinished_or_empty_take_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("take.mkv");
    let mut writer = TakeWriter::create(&path, SIZE, Fps::FILM).unwrap();
    writer.write(&picture(0, 0)).unwrap();
    drop(writer);
    assert!(!path.exists());
    let empty = TakeWriter::create(&path, SIZE, Fps::FILM).unwrap().finish().unwrap_err();
    assert!(matches!(empty, MediaError::Empty { .. }));
    assert!(!path.exists());
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("take.mkv");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let written = TakeWriter::create(&path, SIZE, Fps::FILM).and_then(|mut writer| {
        (0..60).try_for_each(|i| writer.write(&picture(i, 0)))?;
        writer.finish()
    });
    let error = written.unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert_eq!(error.remedy(), "free some disk space");
}

#[test]
fn an_episode_without_clips_or_of_unlike_takes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("episode.mp4");
    assert!(matches!(episode(&[], &out), Err(MediaError::Empty { .. })));
    let take = take(folder.path(), "take.mkv", 12, 0);
    let go_on = &mut |_, _| ControlFlow::Continue(());
    let slower = write_episode(&[clip(&take)], &out, SIZE, Fps { num: 12, den: 1 }, Frames(0), go_on);
    assert!(matches!(slower, Err(MediaError::Rate { .. })));
    let larger = Pixels { width: 192, height: 112 };
    let larger = write_episode(&[clip(&take)], &out, larger, Fps::FILM, Frames(0), go_on);
    assert!(matches!(larger, Err(MediaError::Size { .. })));
    assert!(!out.exists());
}

#[test]
fn a_stopped_episode_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let take = take(folder.path(), "take.mkv", 24, 0);
    let out = folder.path().join("episode.mp4");
    let mut told = Vec::new();
    let stopped = write_episode(&[clip(&take)], &out, SIZE, Fps::FILM, Frames(12), &mut |done, of| {
        told.push((done, of));
        if done == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(MediaError::Stopped { .. })));
    assert_eq!(told.last(), Some(&(5, 24)));
    assert!(!out.exists());
}
