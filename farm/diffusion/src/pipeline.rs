//! Text to picture: tokens, text encoder, a guided sampler over the UNet, VAE.

mod adapted;
mod conditions;
mod inpaint;
mod texts;
mod training;
mod words;

use candle_core::{Device, Tensor};
use image::RgbImage;
use std::ops::ControlFlow;
use std::path::Path;

use crate::attention::Attention;
use crate::config::Config;
use crate::error::Stage;
use crate::ip_adapter::IpAdapter;
use crate::latent::{noise, noise_of};
use crate::scheduler::{Scheduler, Walk};
use crate::text::TextEncoder;
use crate::tokenizer::Tokenizer;
use crate::unet::Unet;
use crate::vae::Vae;
use crate::{
    Control, ControlNet, GenerateError, Generated, Inpaint, Latent, LoadError, Person, Request, Sampler, StepDone,
};
use texts::Second;

pub use texts::Texts;
pub use training::Noisy;

/// The longest side of a picture, pixels: larger ones take more memory than any model here was trained for.
const LONGEST_SIDE: u32 = 2048;

/// A loaded model folder.
pub struct StableDiffusion {
    device: Device,
    tokenizer: Tokenizer,
    text: TextEncoder,
    second: Option<Second>,
    unet: Unet,
    vae: Vae,
    scheduler: Scheduler,
    adapter: Option<IpAdapter>,
}

impl StableDiffusion {
    /// Loads a folder in diffusers' layout, and an IP-Adapter file in the layout of IP-Adapter-FaceID.
    ///
    /// # Errors
    /// One that names the file, and the field or tensor: missing, cut short, of another shape, or of a kind not built.
    pub fn open(folder: &Path, ip_adapter: Option<&Path>, device: &Device) -> Result<Self, LoadError> {
        let index = Config::open(&folder.join("model_index.json"))?;
        let is_xl = check_index(&index)?;
        let (tokenizer, text) = texts::open(folder, "", device)?;
        let second = is_xl.then(|| Second::open(folder, &index, device)).transpose()?;
        let unet = Unet::open(&folder.join("unet"), device)?;
        let vae = Vae::open(&folder.join("vae"), device)?;
        let scheduler = Scheduler::open(&folder.join("scheduler/scheduler_config.json"))?;
        let agree = |field: &str, found: usize, expected: usize| LoadError::Config {
            file: folder.join("unet/config.json"),
            field: field.into(),
            problem: format!("is {found}, the other parts of the model have {expected}"),
        };
        let width = text.width() + second.as_ref().map_or(0, |s| s.text.width());
        if unet.sizes().context != width {
            return Err(agree("cross_attention_dim", unet.sizes().context, width));
        }
        let pooled = second.as_ref().and_then(|s| s.text.pooled_width()).unwrap_or(0);
        let told = unet.sizes().added.map_or(0, |added| added.pooled);
        if told != pooled {
            return Err(agree("projection_class_embeddings_input_dim", told, pooled));
        }
        if unet.sizes().channels != vae.channels() {
            return Err(agree("out_channels", unet.sizes().channels, vae.channels()));
        }
        let widths: Vec<usize> = unet.cross_attentions().map(Attention::width).collect();
        let adapter = ip_adapter.map(|path| IpAdapter::open(path, unet.sizes(), &widths, device)).transpose()?;
        Ok(Self { device: device.clone(), tokenizer, text, second, unet, vae, scheduler, adapter })
    }

    /// Loads a `controlnet` folder in diffusers' layout, for requests to this model.
    ///
    /// # Errors
    /// One that names the file, and the field or tensor, where it is damaged, not built, or does not fit this model's UNet.
    pub fn open_control(&self, folder: &Path) -> Result<ControlNet, LoadError> {
        ControlNet::open(folder, self.unet.sizes(), self.vae.factor(), &self.device)
    }

    /// Makes a picture. `progress` hears of every step and may break off.
    ///
    /// # Errors
    /// Where the request does not fit the model, where `progress` broke off, and where computing failed.
    pub fn generate(
        &self,
        request: &Request,
        progress: &mut dyn FnMut(StepDone) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        self.check(request)?;
        let noise = noise(request.seed, self.latent_shape(request.width, request.height)?, &self.device)
            .stage("drawing noise")?;
        let latent = self.denoise(request, &noise, progress)?;
        Ok(Generated { picture: self.decode(&latent)?, latent })
    }

    /// From noise (1, C, h, w) to a latent, by a request that fits.
    fn denoise(
        &self,
        request: &Request,
        noise: &Tensor,
        progress: &mut dyn FnMut(StepDone) -> ControlFlow<()>,
    ) -> Result<Latent, GenerateError> {
        let count = request.steps as usize;
        let run = self.scheduler.run(self.sampler(request), count);
        let (mut latent, first) = match &request.start {
            None if run.first() == 1.0 => (noise.clone(), 0),
            None => ((noise * run.first()).stage("drawing noise")?, 0),
            Some(start) => {
                start.latent.same_shape(noise)?;
                let steps = (f64::from(start.strength) * count as f64).round() as usize;
                let clean = &start.latent.tensor;
                let first = count - steps.min(count);
                let noised = if first < count { run.add_noise(clean, noise, first) } else { Ok(clean.clone()) };
                (noised.stage("noising the start")?, first)
            }
        };
        let kept = self.kept(request)?;
        let mut walk = Walk::default();
        // Noise for a step; the picture's own is stream 0.
        let fresh = |i: usize| noise_of(request.seed, i as u64 + 1, noise.dims4()?, &self.device);
        let (sampling, share) = (self.progress(), |i: usize| i as f64 / count.max(1) as f64);
        sampling.is(share(first));
        let mut conditions = self.conditions(request, &run.times()[first..])?;
        for i in first..count {
            if sampling.is(share(i)) {
                conditions = self.conditions(request, &run.times()[first..])?;
            }
            let mut step = || {
                let prediction = self.predict(&latent, &conditions, i - first, request.guidance)?;
                let next = run.step(i, &prediction, &latent, &mut walk, &fresh)?;
                kept.as_ref().map_or(Ok(next.clone()), |kept| kept.put_back(&next, &run, noise, i + 1))
            };
            latent = step().stage("denoising")?;
            let done = StepDone { step: (i - first) as u32 + 1, of: (count - first) as u32 };
            if progress(done).is_break() {
                return Err(GenerateError::Cancelled);
            }
        }
        Ok(Latent { tensor: latent })
    }

    /// Turns a latent into its picture.
    ///
    /// # Errors
    /// Where the latent is of another model or is not a number somewhere, and where computing failed.
    pub fn decode(&self, latent: &Latent) -> Result<RgbImage, GenerateError> {
        let stage = "decoding a latent";
        let (batch, _, height, width) = latent.tensor.dims4().stage(stage)?;
        let shape = (batch, self.vae.channels(), height, width);
        if latent.tensor.dims4().stage(stage)? != shape {
            let right = vec![self.vae.channels(), height, width];
            return Err(GenerateError::LatentShape { left: latent.tensor.dims()[1..].to_vec(), right });
        }
        let decoded = || self.vae.decode(&latent.tensor)?.squeeze(0)?.permute((1, 2, 0))?.contiguous();
        let decoded = decoded().stage(stage)?;
        let (height, width, _) = decoded.dims3().stage(stage)?;
        let values: Vec<f32> = decoded.flatten_all().and_then(|t| t.to_vec1()).stage(stage)?;
        if !values.iter().all(|v| v.is_finite()) {
            return Err(GenerateError::NotFinite { stage });
        }
        let bytes = values.iter().map(|v| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8).collect();
        let wrong = || GenerateError::NotFinite { stage };
        RgbImage::from_raw(width as u32, height as u32, bytes).ok_or_else(wrong)
    }

    /// Turns a picture into its latent: the mean of what the VAE gives, scaled.
    ///
    /// # Errors
    /// Where the picture's sides are not multiples of the VAE's factor (8), and where computing failed.
    pub fn encode(&self, picture: &RgbImage) -> Result<Latent, GenerateError> {
        let values = picture.as_raw().iter().map(|&v| f32::from(v) / 127.5 - 1.0).collect();
        self.encode_values(values, picture.dimensions())
    }

    /// The same for a picture's values from −1 to 1, row by row, red first.
    fn encode_values(&self, values: Vec<f32>, (width, height): (u32, u32)) -> Result<Latent, GenerateError> {
        self.latent_shape(width, height)?;
        let shape = (1, height as usize, width as usize, 3);
        let encoded = || {
            let pixels = Tensor::from_vec(values, shape, &self.device)?.permute((0, 3, 1, 2))?.contiguous()?;
            self.vae.encode(&pixels)
        };
        Ok(Latent { tensor: encoded().stage("encoding a picture")? })
    }

    fn sampler(&self, request: &Request) -> Sampler {
        request.sampler.unwrap_or(self.scheduler.sampler())
    }

    fn check(&self, request: &Request) -> Result<(), GenerateError> {
        let limit = self.scheduler.longest_run(self.sampler(request)) as u32;
        if !(1..=limit).contains(&request.steps) {
            return Err(GenerateError::Steps { steps: request.steps, limit });
        }
        let finite = |name, value: f32| {
            if value.is_finite() { Ok(()) } else { Err(GenerateError::Number { name, value, expected: "a number" }) }
        };
        finite("guidance", request.guidance)?;
        if let Some(start) = &request.start
            && !(0.0..=1.0).contains(&start.strength)
        {
            return Err(GenerateError::Number { name: "strength", value: start.strength, expected: "0 to 1" });
        }
        if let Some(Control { net, picture, scale }) = &request.control {
            finite("the control's scale", *scale)?;
            if let Some((field, problem)) = net.misfit(self.unet.sizes(), self.vae.factor()) {
                return Err(GenerateError::ControlNet { field, problem });
            }
            let (found, expected) = (picture.dimensions(), (request.width, request.height));
            if found != expected {
                return Err(GenerateError::ControlSize { found, expected });
            }
        }
        if let Some(Inpaint { picture, mask }) = &request.inpaint {
            let expected = (request.width, request.height);
            for (what, found) in [("picture to paint in", picture.dimensions()), ("mask", mask.dimensions())] {
                if found != expected {
                    return Err(GenerateError::InpaintSize { what, found, expected });
                }
            }
        }
        for (person, Person { region, .. }) in (1..).zip(&request.people) {
            if !region.is_valid() {
                return Err(GenerateError::Region { person, region: *region });
            }
        }
        for identity in request.people.iter().filter_map(|p| p.identity.as_ref()).chain(&request.identity) {
            finite("the identity's scale", identity.scale)?;
            self.adapter.as_ref().ok_or(GenerateError::NoAdapter)?.check(&identity.embedding)?;
        }
        Ok(())
    }

    /// (1, channels, height, width) of the latent of a picture this large.
    fn latent_shape(&self, width: u32, height: u32) -> Result<(usize, usize, usize, usize), GenerateError> {
        let multiple = self.vae.factor() as u32;
        let fits = |side: u32| side > 0 && side <= LONGEST_SIDE && side.is_multiple_of(multiple);
        if !fits(width) || !fits(height) {
            return Err(GenerateError::Size { width, height, multiple, limit: LONGEST_SIDE });
        }
        Ok((1, self.vae.channels(), (height / multiple) as usize, (width / multiple) as usize))
    }
}

fn guided(guidance: f32) -> bool {
    guidance > 1.0
}

/// The pipelines whose folders hold these parts; the parts themselves say what they can do.
const PIPELINES: [&str; 6] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
];

/// Refuses folders of other pipelines, whose parts would be misread. True where there are two text encoders.
fn check_index(index: &Config) -> Result<bool, LoadError> {
    let class = index.text_or("_class_name", PIPELINES[0])?;
    if !PIPELINES.contains(&class) {
        let problem = format!("is {class:?}; only {PIPELINES:?} are supported");
        return Err(index.error("_class_name", problem));
    }
    let is_xl = class.starts_with("StableDiffusionXL");
    let parts = [
        ("unet", "UNet2DConditionModel"),
        ("vae", "AutoencoderKL"),
        ("text_encoder", "CLIPTextModel"),
        ("tokenizer", "CLIPTokenizer"),
        ("text_encoder_2", "CLIPTextModelWithProjection"),
        ("tokenizer_2", "CLIPTokenizer"),
    ];
    for (part, class) in parts.into_iter().take(if is_xl { 6 } else { 4 }) {
        let found = index.get(part).and_then(|v| v.get(1)).and_then(|v| v.as_str());
        if found != Some(class) && !(part.starts_with("tokenizer") && found == Some("CLIPTokenizerFast")) {
            let problem = format!("names {}; only {class} is supported", found.unwrap_or("nothing"));
            return Err(index.error(part, problem));
        }
    }
    Ok(is_xl)
}

#[cfg(test)]
mod parity;
