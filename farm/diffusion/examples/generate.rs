//! Renders a prompt to a PNG and tells how long it took:
//! `generate FOLDER PROMPT OUT.png [--size 192x112] [--seed 1] [--steps 20] [--guidance 3] [--negative TEXT]
//! [--identity FACE.json] [--repeat 1]`.
//!
//! FACE.json is a list of 512 numbers, a face embedding of length 1. FOLDER/ip_adapter/ip-adapter-faceid.safetensors is
//! used where an identity is given.
#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]
#![expect(clippy::disallowed_methods, reason = "it measures by the wall clock")]

use greenroom_diffusion::{Device, IdentityTokens, Request, StableDiffusion};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().ok_or(format!("missing: {what}"));
    let (folder, prompt, out) = (next("FOLDER")?, next("PROMPT")?, next("OUT.png")?);
    let mut request = Request { guidance: 3.0, ..Request::new(prompt, 1, (192, 112), 20) };
    let mut repeat = 1;
    while let Ok(option) = next("an option") {
        let value = next(&option)?;
        match option.as_str() {
            "--size" => {
                let (width, height) = value.split_once('x').ok_or("--size is WIDTHxHEIGHT")?;
                (request.width, request.height) = (width.parse()?, height.parse()?);
            }
            "--seed" => request.seed = value.parse()?,
            "--steps" => request.steps = value.parse()?,
            "--guidance" => request.guidance = value.parse()?,
            "--negative" => request.negative = value,
            "--repeat" => repeat = value.parse()?,
            "--identity" => {
                let embedding = serde_json::from_slice(&std::fs::read(value)?)?;
                request.identity = Some(IdentityTokens { embedding, scale: 1.0 });
            }
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let started = Instant::now();
    let adapter = Path::new(&folder).join("ip_adapter/ip-adapter-faceid.safetensors");
    let adapter = request.identity.is_some().then_some(adapter.as_path());
    let model = StableDiffusion::open(Path::new(&folder), adapter, &Device::Cpu)?;
    println!("loaded in {:.2} s", started.elapsed().as_secs_f64());
    for _ in 0..repeat {
        let started = Instant::now();
        let made = model.generate(&request, &mut |_| ControlFlow::Continue(()))?;
        println!("made in {:.2} s", started.elapsed().as_secs_f64());
        made.picture.save(&out)?;
    }
    Ok(())
}
