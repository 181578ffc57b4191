//! Which frames of a video are looked at.
#![allow(clippy::unwrap_used, missing_docs)] // tests

use greenroom_domain::{Fps, Frames, Pixels};
use greenroom_media::{Sample, Sampling, TakeWriter, VideoReader, VideoSampler, write_clip};
use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};

const SIZE: Pixels = Pixels { width: 96, height: 56 };

/// A slope in one of four colourings that drifts with the frame's number.
fn picture(number: u64, scene: u8) -> RgbImage {
    let shift = number as u32;
    RgbImage::from_fn(SIZE.width, SIZE.height, |x, y| {
        let slope = (40 + x + y + shift) as u8;
        [Rgb([slope, slope, 60]), Rgb([30, 90, 255 - slope]), Rgb([200, slope, slope]), Rgb([slope, 20, 20])]
            [scene as usize]
    })
}

/// A take whose frames show these scenes.
fn take(folder: &Path, scenes: &[u8]) -> PathBuf {
    let path = folder.join("take.mkv");
    let mut writer = TakeWriter::create(&path, SIZE, Fps::FILM).unwrap();
    (0..).zip(scenes).for_each(|(i, scene)| writer.write(&picture(i, *scene)).unwrap());
    assert_eq!(writer.finish().unwrap(), Frames(scenes.len() as u64));
    path
}

fn samples(video: &Path, fewest: u32) -> Vec<Sample> {
    let mut sampler = VideoSampler::open(video, &Sampling { fewest, per_second: 0, most: 96 }).unwrap();
    std::iter::from_fn(|| sampler.next_sample().unwrap()).collect()
}

fn numbers(samples: &[Sample]) -> Vec<u64> {
    samples.iter().map(|s| s.number).collect()
}

fn scenes(lengths: &[(u8, usize)]) -> Vec<u8> {
    lengths.iter().flat_map(|&(scene, frames)| vec![scene; frames]).collect()
}

#[test]
fn a_take_without_cuts_is_looked_at_at_even_times() {
    let folder = tempfile::tempdir().unwrap();
    let take = take(folder.path(), &[0; 97]);
    let seen = samples(&take, 5);
    assert_eq!(numbers(&seen), [0, 24, 48, 72, 96]);
    for sample in seen {
        assert_eq!(sample.picture, picture(sample.number, 0), "the frame itself, not one near it");
        assert!((sample.seconds - sample.number as f64 / 24.0).abs() < 0.002 && !sample.after_cut);
    }
}

#[test]
fn every_cut_is_looked_at_from_both_sides_in_takes_and_in_clips() {
    let folder = tempfile::tempdir().unwrap();
    let take = take(folder.path(), &scenes(&[(0, 30), (1, 1), (2, 40), (0, 26)]));
    let clip = folder.path().join("clip.mp4");
    write_clip(&take, &clip, None).unwrap();
    for video in [&take, &clip] {
        let seen = samples(video, 2);
        assert_eq!(numbers(&seen), [0, 29, 30, 31, 70, 71, 96], "{video:?}");
        let after: Vec<_> = seen.iter().filter(|s| s.after_cut).map(|s| s.number).collect();
        assert_eq!(after, [30, 31, 71]);
    }
}

#[test]
fn a_face_that_flashes_up_between_two_looks_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let take = take(folder.path(), &scenes(&[(0, 50), (3, 2), (0, 45)]));
    assert_eq!(numbers(&samples(&take, 2)), [0, 49, 50, 51, 52, 96]);
}

#[test]
fn a_cut_in_every_frame_is_no_reason_to_look_at_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let strobe: Vec<u8> = (0..200).map(|i| (i % 2) as u8).collect();
    let seen = samples(&take(folder.path(), &strobe), 2);
    assert!(seen.len() <= 2 * 96 && seen.first().unwrap().number == 0 && seen.last().unwrap().number == 199);
}

#[test]
fn one_frame_is_one_sample() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(numbers(&samples(&take(folder.path(), &[0]), 16)), [0]);
}

#[test]
fn what_is_left_out_changes_nothing_of_what_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let take = take(folder.path(), &scenes(&[(0, 40), (2, 33)]));
    let mut reader = VideoReader::open(&take).unwrap();
    let all: Vec<_> = std::iter::from_fn(|| reader.next_frame().unwrap().map(|(_, picture)| picture)).collect();
    let (seen, again) = (samples(&take, 7), samples(&take, 7));
    assert_eq!(seen, again);
    assert!(seen.len() >= 9 && seen.iter().all(|s| s.picture == all[s.number as usize]));
}
