//! How long a frame takes: `cargo run --release -p greenroom-identity --example speed -- LIBRARY PACK PICTURE [THREADS]`.
//!
//! The picture is scaled to 768×448, then detected, aligned and embedded a hundred times.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement reads the clock and prints")]

use greenroom_domain::{DetectorInput, EmbedderInput};
use greenroom_identity::{Detector, Embedder, align, distinct, init_runtime};
use image::imageops::{FilterType, resize};
use std::{path::Path, time::Instant};

const RUNS: u32 = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, pack, picture, rest @ ..] = arguments.as_slice() else {
        return Err("give LIBRARY PACK PICTURE [THREADS]".into());
    };
    let threads = rest.first().map_or(Ok(2), |t| t.parse())?;
    init_runtime(Path::new(library))?;
    let mut detector = Detector::open(&Path::new(pack).join("detector.onnx"), 256, &DetectorInput::default(), threads)?;
    let mut embedder = Embedder::open(&Path::new(pack).join("embedder.onnx"), &EmbedderInput::default(), threads)?;
    let frame = resize(&image::open(picture)?.to_rgb8(), 768, 448, FilterType::CatmullRom);
    let (mut detect, mut cut, mut embed, mut faces) = (0.0, 0.0, 0.0, 0);
    for _ in 0..RUNS {
        let start = Instant::now();
        let found = distinct(&detector.detect(&frame, 0.5)?);
        let detected = Instant::now();
        let aligned: Vec<_> = found.iter().map(|f| align(&frame, &f.landmarks, embedder.size())).collect();
        let cut_out = Instant::now();
        faces += embedder.embed(&aligned)?.len();
        detect += (detected - start).as_secs_f64();
        cut += (cut_out - detected).as_secs_f64();
        embed += cut_out.elapsed().as_secs_f64();
    }
    let ms = |seconds: f64| seconds * 1000.0 / f64::from(RUNS);
    println!("{faces} faces in {RUNS} frames, {threads} threads, ms per frame:");
    println!(
        "detect {:.2}, align {:.2}, embed {:.2}, together {:.2}",
        ms(detect),
        ms(cut),
        ms(embed),
        ms(detect + cut + embed)
    );
    Ok(())
}
