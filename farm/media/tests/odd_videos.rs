//! Videos as people have them: every case is read rightly, or refused with one error.
#![allow(clippy::unwrap_used, missing_docs)] // tests

mod film;

use ffmpeg_next::format::Pixel;
use film::{Film, quarters, wav};
use greenroom_domain::{Pixels, ProblemKind};
use greenroom_media::{MediaError, Sampling, VideoReader, VideoSampler};
use image::{Rgb, RgbImage, imageops};
use std::{fs, path::Path};

fn pictures(video: &Path) -> Vec<RgbImage> {
    let mut reader = VideoReader::open(video).unwrap();
    std::iter::from_fn(|| reader.next_frame().unwrap().map(|(_, picture)| picture)).collect()
}

/// Whether the middles of the four quarters have the same colours, as far as such a format keeps them.
fn alike(a: &RgbImage, b: &RgbImage, tolerance: u8) -> bool {
    let (w, h) = a.dimensions();
    a.dimensions() == b.dimensions()
        && [(1, 1), (3, 1), (1, 3), (3, 3)].iter().all(|(x, y)| {
            let at = |picture: &RgbImage| picture.get_pixel(x * w / 4, y * h / 4).0;
            at(a).iter().zip(at(b)).all(|(a, b)| a.abs_diff(b) <= tolerance)
        })
}

#[test]
fn deep_and_wide_chroma_come_out_in_the_same_colours() {
    let folder = tempfile::tempdir().unwrap();
    let ways = [
        ("ffv1", "matroska", Pixel::YUV422P10LE),
        ("ffv1", "matroska", Pixel::YUV444P16LE),
        ("prores_ks", "mov", Pixel::YUV422P10LE),
        ("libx264", "mp4", Pixel::YUV420P10LE),
        ("libx264", "mp4", Pixel::YUV422P),
    ];
    for (codec, container, pixel) in ways {
        let file = folder.path().join("film");
        Film::new(codec, container, pixel).write(&file, &[0, 1, 2]);
        let seen = pictures(&file);
        assert_eq!(seen.len(), 3, "{codec} {pixel:?}");
        assert!(seen.iter().all(|picture| alike(picture, &quarters(), 8)), "{codec} {pixel:?}");
    }
}

#[test]
fn what_is_transparent_lies_on_white() {
    let folder = tempfile::tempdir().unwrap();
    for pixel in [Pixel::BGRA, Pixel::YUVA444P] {
        let file = folder.path().join("clear.mkv");
        Film::new("ffv1", "matroska", pixel).with_alpha(51).write(&file, &[0]);
        let white = |rgb: Rgb<u8>| Rgb(rgb.0.map(|c| ((u32::from(c) * 51 + 255 * 204) / 255) as u8));
        let wanted = RgbImage::from_fn(96, 56, |x, y| white(*quarters().get_pixel(x, y)));
        assert!(alike(&pictures(&file)[0], &wanted, 4), "{pixel:?}");
    }
}

#[test]
fn a_video_held_sideways_is_shown_upright_by_reader_and_sampler() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sideways.mp4");
    Film::new("libx264", "mp4", Pixel::YUV444P).write(&file, &[0, 1, 2]);
    film::turn_quarter(&file);
    assert_eq!(VideoReader::open(&file).unwrap().info().size, Pixels { width: 56, height: 96 });
    let upright = imageops::rotate90(&quarters());
    assert!(pictures(&file).iter().all(|picture| alike(picture, &upright, 8)));
    let mut sampler = VideoSampler::open(&file, &Sampling { fewest: 2, per_second: 0, most: 8 }).unwrap();
    assert!(alike(&sampler.next_sample().unwrap().unwrap().picture, &upright, 8));
}

#[test]
fn frames_of_uneven_length_are_chosen_by_their_times() {
    let folder = tempfile::tempdir().unwrap();
    for (codec, container) in [("libx264", "matroska"), ("libx264", "mp4")] {
        let file = folder.path().join("uneven");
        // Ten frames in half a second, then one each second: in ticks of 1/24 s.
        let times: Vec<i64> = (0..10).chain((1..=4).map(|second| 10 + 24 * second)).collect();
        Film::new(codec, container, Pixel::YUV420P).write(&file, &times);
        let mut sampler = VideoSampler::open(&file, &Sampling { fewest: 2, per_second: 1, most: 96 }).unwrap();
        let seen: Vec<_> = std::iter::from_fn(|| sampler.next_sample().unwrap()).collect();
        assert_eq!(seen.last().unwrap().number, 13, "{container}: to the last frame");
        let late = seen.iter().filter(|sample| sample.seconds > 1.0).count();
        assert!(late >= 3 && seen.len() <= 8, "{container}: {:?}", seen.iter().map(|s| s.seconds).collect::<Vec<_>>());
    }
}

#[test]
fn a_single_frame_is_a_video_and_so_is_an_animated_gif() {
    let folder = tempfile::tempdir().unwrap();
    for (codec, container, pixel) in [("libx264", "mp4", Pixel::YUV420P), ("ffv1", "matroska", Pixel::BGRZ)] {
        let file = folder.path().join("one");
        Film::new(codec, container, pixel).write(&file, &[0]);
        assert_eq!(pictures(&file).len(), 1, "{container}");
        let mut sampler = VideoSampler::open(&file, &Sampling { fewest: 16, per_second: 4, most: 96 }).unwrap();
        assert!(sampler.next_sample().unwrap().is_some() && sampler.next_sample().unwrap().is_none());
    }
    let file = folder.path().join("moving.gif");
    Film::new("gif", "gif", Pixel::RGB8).write(&file, &[0, 1, 2]);
    let seen = pictures(&file);
    assert!(seen.len() == 3 && seen.iter().all(|picture| alike(picture, &quarters(), 60)));
}

#[test]
fn eight_thousand_pixels_across_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("8k.mkv");
    Film::new("mjpeg", "matroska", Pixel::YUVJ420P).sized(7680, 4320).write(&file, &[0]);
    let seen = pictures(&file);
    let wanted = imageops::resize(&quarters(), 7680, 4320, imageops::FilterType::Nearest);
    assert!(seen.len() == 1 && alike(&seen[0], &wanted, 40));
}

#[test]
fn what_has_no_picture_to_show_is_refused_with_the_file_the_cause_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = "not a video, or damaged at its beginning";
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".as_slice();
    let cases = [
        ("sound.wav", wav(), "has no picture track", "give a file with a video in it"),
        ("nothing.mp4", Vec::new(), damaged, "make the file again"),
        ("words.mkv", b"FADE IN:\n".repeat(200), damaged, "make the file again"),
        ("photo.heic", heic.repeat(40), damaged, "make the file again"),
    ];
    for (name, bytes, cause, remedy) in cases {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        let error: MediaError = VideoReader::open(&file).err().unwrap();
        assert_eq!(error.to_string(), format!("read video: {}: {cause}", file.display()));
        let problem = error.problem();
        assert_eq!((problem.kind, problem.remedy.as_str()), (ProblemKind::Invalid, remedy), "{name}");
    }
}
