//! Where the time goes: each stage alone, one lane, one frame at a time.

use greenroom_identity::{FacePipeline, align, distinct};
use greenroom_media::VideoReader;
use serde_json::{Value, json};
use std::{path::Path, time::Instant};

use crate::{Fault, WANTED};

/// Frames that are looked at.
const FRAMES: u32 = 24;

/// Milliseconds of one lane for a frame, and for a face.
pub(crate) fn milliseconds(pipeline: &mut FacePipeline, clip: &Path) -> Result<Value, Fault> {
    let mut reader = VideoReader::open(clip)?;
    let (detector, embedder) = pipeline.one();
    let (mut decode, mut detect, mut crop, mut embed, mut faces) = (0.0, 0.0, 0.0, 0.0, 0);
    let mut clock = Instant::now();
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed().as_secs_f64() * 1e3;
    for _ in 0..FRAMES {
        let Some((_, picture)) = reader.next_frame()? else { break };
        decode += lap();
        let found = distinct(&detector.detect(&picture, WANTED.score)?);
        detect += lap();
        let aligned: Vec<_> = found.iter().map(|face| align(&picture, &face.landmarks, embedder.size())).collect();
        crop += lap();
        embedder.embed(&aligned)?;
        embed += lap();
        faces += found.len();
    }
    let (frames, faces) = (f64::from(FRAMES), faces.max(1) as f64);
    Ok(json!({
        "decode_ms": decode / frames, "detect_ms": detect / frames,
        "align_face_ms": crop / faces, "embed_face_ms": embed / faces,
    }))
}
