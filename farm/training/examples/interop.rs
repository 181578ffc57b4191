//! Writes what `tests/golden/load.py` checks in python: a LoRA in kohya's names and in peft's, and the picture of each model with
//! it. `interop FOLDER`.

use candle_core::Device;
use greenroom_diffusion::{Request, StableDiffusion};
use greenroom_training::lora::{File, Naming, Precision};
use std::ops::ControlFlow;
use std::path::Path;

type Fault = Box<dyn std::error::Error>;

fn main() -> Result<(), Fault> {
    let out = std::env::args().nth(1).ok_or("interop FOLDER")?;
    let (out, here) = (Path::new(&out), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    let tiny = here.join("../../../diffusion/tests/golden");
    for (name, folder) in
        [("tiny", tiny.join("tiny")), ("puppet", here.join("puppet")), ("tiny_xl", tiny.join("tiny_xl"))]
    {
        let mut model = StableDiffusion::open(&folder, None, &Device::Cpu)?;
        let sites = model.sites();
        let file = File::read(&here.join(format!("{name}.lora.safetensors")), &sites)?;
        file.write(&out.join(format!("{name}.kohya.safetensors")), Naming::Kohya, Precision::F32, &sites)?;
        file.write(&out.join(format!("{name}.peft.safetensors")), Naming::Peft, Precision::F32, &sites)?;
        model.set_adapters(&[(&file.adapter, 1.0)])?;
        let request = Request { guidance: 3.0, ..Request::new("a man and hair", 5, (80, 48), 6) };
        let made = model.generate(&request, &mut |_| ControlFlow::Continue(()))?;
        made.picture.save(out.join(format!("{name}.png")))?;
        let noise = StableDiffusion::noise(5, made.latent.tensor().dims4()?)?;
        let tensors = [("noise", noise), ("latent", made.latent.tensor().clone())];
        candle_core::safetensors::save(&tensors.into(), out.join(format!("{name}.latents.safetensors")))?;
    }
    Ok(())
}
