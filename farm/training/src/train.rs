//! The training itself: one [`step`](Trainer::step) at a time, so that a caller pauses, cancels and reports when it likes.
//!
//! All chance derives from the recipe's seed and the step's number, so a trainer that was stored and resumed goes on to the bit
//! as one that was never stopped, and several trainers that share a training draw what one alone would have drawn.

mod checkpoint;
mod draw;
mod memory;
mod optimizer;
mod order;
#[cfg(test)]
mod parity;
mod reduce;
mod step;

use candle_core::{Device, Tensor, Var};
use greenroom_diffusion::{
    Adapter, AdapterError, Factors, GenerateError, Generated, Part, Place, Request, Site, StableDiffusion, StepDone,
    Texts,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::dataset::Dataset;
use crate::file::FileError;
use crate::recipe::{Recipe, RecipeError};
pub use checkpoint::ResumeError;
use draw::Draw;
pub use memory::Relief;
use optimizer::Moments;
use order::Order;
pub use reduce::{Alone, Lost, Member, Reducer, meeting};

/// A training under way. While it lives, the model carries the adapter that is being trained; afterwards it carries none.
pub struct Trainer<'m> {
    model: &'m mut StableDiffusion,
    recipe: Recipe,
    dataset: Arc<Dataset>,
    order: Order,
    values: Vec<Value>,
    step: usize,
    losses: Vec<f32>,
    relief: Relief,
    reducer: Box<dyn Reducer>,
    /// Texts are the same every time where their encoders are not trained.
    texts: BTreeMap<String, Texts>,
}

/// One factor of one layer.
struct Value {
    /// The layer, and `down` or `up`.
    name: String,
    place: Place,
    var: Var,
    moments: Moments,
    average: Option<Vec<f32>>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// 1 for the first.
    pub step: usize,
    /// Steps of the whole training.
    pub of: usize,
    /// Mean loss, weighted as the recipe says.
    pub loss: f32,
    /// Learning rate of the UNet's layers.
    pub rate: f64,
    /// Length of the gradient over all layers, before it was shortened.
    pub gradient: f32,
    /// How often the character's pictures have all been seen.
    pub epoch: usize,
    /// What was done for want of memory.
    pub relief: Relief,
}

/// Why a training stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Nothing to train on.
    #[error("the dataset holds no picture of the character")]
    NoPictures,
    /// The model has no layer that the recipe trains.
    #[error("the model has no layer that this recipe trains")]
    NoLayers,
    /// A loss or a gradient is no number. Nothing was changed by this step.
    #[error(
        "the {what} of step {step} is not a number: training stops, and the last checkpoint is the last good state; a lower \
         learning rate or a shorter clip mostly helps"
    )]
    NotFinite {
        /// Which step, 1 for the first.
        step: usize,
        /// `loss` or `gradient`.
        what: &'static str,
    },
    /// Memory does not suffice, whatever was tried.
    #[error("out of memory in step {step}, one picture at a time and with blocks computed again: {advice}")]
    Memory {
        /// Which step, 1 for the first.
        step: usize,
        /// What would fit.
        advice: String,
    },
    /// The model refused or failed.
    #[error("step {step} failed")]
    Model {
        /// Which step, 1 for the first.
        step: usize,
        /// What it said.
        source: GenerateError,
    },
    /// Computing failed.
    #[error("step {step} failed")]
    Compute {
        /// Which step, 1 for the first.
        step: usize,
        /// What candle said.
        source: candle_core::Error,
    },
    /// The adapter does not fit the model, which a trainer of it rules out.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// Another trainer of the same training is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A checkpoint cannot be written; the one before is kept.
    #[error("cannot store the training after step {step}: make room, or choose another folder")]
    Store {
        /// The step.
        step: usize,
        /// What the system said.
        source: FileError,
    },
}

impl<'m> Trainer<'m> {
    /// Puts a new adapter on the model: what it adds is nothing at first.
    ///
    /// # Errors
    /// Where the recipe cannot be followed, and where there is nothing to train or to train on.
    pub fn new(model: &'m mut StableDiffusion, recipe: Recipe, dataset: Dataset) -> Result<Self, TrainError> {
        Self::shared(model, recipe, dataset, Box::new(Alone))
    }

    /// The same as one of several trainers, each with a model of its own, which average their gradients in every step. Each
    /// takes `batch` pictures of every batch that they share.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn shared(
        model: &'m mut StableDiffusion,
        recipe: Recipe,
        dataset: Dataset,
        reducer: Box<dyn Reducer>,
    ) -> Result<Self, TrainError> {
        recipe.check()?;
        if dataset.counts().0 == 0 {
            return Err(TrainError::NoPictures);
        }
        let device = model.device().clone();
        let fresh = |source| TrainError::Compute { step: 0, source };
        let mut values = Vec::new();
        for (number, site) in trained(&model.sites(), &recipe).into_iter().enumerate() {
            values.extend(layer(site, number as u64, &recipe, &device).map_err(fresh)?);
        }
        if values.is_empty() {
            return Err(TrainError::NoLayers);
        }
        let order = Order::new(&dataset, recipe.seed, recipe.batch * reducer.members());
        let relief = Relief { rows: recipe.batch, recompute: recipe.recompute };
        model.recompute_blocks(relief.recompute);
        let texts = BTreeMap::new();
        let dataset = Arc::new(dataset);
        let mut this =
            Self { model, recipe, dataset, order, values, step: 0, losses: Vec::new(), relief, reducer, texts };
        this.put_on(false)?;
        Ok(this)
    }

    /// Steps done so far.
    #[must_use]
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Whether all steps of the recipe are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.step >= self.recipe.steps
    }

    /// The loss of every step so far.
    #[must_use]
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// The recipe that it follows.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The adapter as it is now: the moving average of all steps where the recipe keeps one.
    ///
    /// # Errors
    /// Where computing failed.
    pub fn adapter(&self) -> Result<Adapter, TrainError> {
        self.snapshot(true).map_err(|source| self.failed(source))
    }

    /// A picture with the adapter as it is now; chance and training are not touched.
    ///
    /// # Errors
    /// Where the request does not fit the model, and where computing failed.
    pub fn sample(&mut self, request: &Request) -> Result<Generated, TrainError> {
        self.put_on(true)?;
        let made = self.model.generate(request, &mut |_: StepDone| ControlFlow::Continue(()));
        self.put_on(false)?;
        made.map_err(|source| TrainError::Model { step: self.step, source })
    }

    /// Puts the values that are being trained on the model, or their average.
    fn put_on(&mut self, average: bool) -> Result<(), TrainError> {
        let adapter = if average { self.adapter()? } else { self.tracked() };
        Ok(self.model.set_adapters(&[(&adapter, 1.0)])?)
    }

    /// The adapter whose factors ask for gradients.
    fn tracked(&self) -> Adapter {
        self.assembled(|value| Ok(value.var.as_tensor().clone())).unwrap_or_default()
    }

    fn snapshot(&self, average: bool) -> candle_core::Result<Adapter> {
        self.assembled(|value| match &value.average {
            Some(values) if average => Tensor::from_slice(values, value.var.shape(), value.var.device()),
            _ => value.var.as_tensor().detach().copy(),
        })
    }

    fn assembled(&self, of: impl Fn(&Value) -> candle_core::Result<Tensor>) -> candle_core::Result<Adapter> {
        let mut adapter = Adapter { begin: self.recipe.begin, ..Adapter::default() };
        // A layer's factors follow one another, down and up.
        for pair in self.values.chunks_exact(2) {
            let (down, up) = (of(&pair[0])?, of(&pair[1])?);
            let factors = Factors { down, mid: None, up, alpha: self.recipe.alpha, magnitude: None };
            adapter.modules.insert(pair[0].place.clone(), factors);
        }
        Ok(adapter)
    }

    fn failed(&self, source: candle_core::Error) -> TrainError {
        TrainError::Compute { step: self.step, source }
    }
}

impl Drop for Trainer<'_> {
    fn drop(&mut self) {
        self.model.recompute_blocks(false);
        // Taking all adapters off cannot fail: nothing is there that might not fit.
        let _ = self.model.set_adapters(&[]);
    }
}

impl std::fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("step", &self.step).field("recipe", &self.recipe).finish_non_exhaustive()
    }
}

/// The layers that a recipe trains.
fn trained<'s>(sites: &'s [Site], recipe: &Recipe) -> Vec<&'s Site> {
    let xl = crate::lora::is_xl(sites);
    let ends = |path: &str, names: &[&str]| names.iter().any(|name| path.ends_with(name));
    let layers =
        |part| sites.iter().filter(move |site| site.place.part == part).filter_map(|site| number(&site.place.path));
    // SDXL looks beneath the last layer of its first encoder.
    let unseen = if xl { layers(Part::Text).max() } else { None };
    let wanted = |site: &&Site| {
        let path = &site.place.path;
        match site.place.part {
            Part::Unet if path.contains(".attentions.") => ends(path, ATTENTION),
            Part::Unet => recipe.convolutions && ends(path, CONVOLUTIONS),
            _ if recipe.text_rate == 0.0 || !ends(path, TEXT) => false,
            Part::Text => unseen.is_none() || number(path) != unseen,
            Part::Text2 => true,
        }
    };
    sites.iter().filter(wanted).collect()
}

/// The number of a text encoder's layer.
fn number(path: &str) -> Option<usize> {
    path.split_once("layers.")?.1.split('.').next()?.parse().ok()
}

const ATTENTION: &[&str] =
    &[".to_q", ".to_k", ".to_v", ".to_out.0", ".ff.net.0.proj", ".ff.net.2", ".proj_in", ".proj_out"];
const CONVOLUTIONS: &[&str] = &[".conv1", ".conv2", ".conv_shortcut", ".downsamplers.0.conv", ".upsamplers.0.conv"];
const TEXT: &[&str] = &[".q_proj", ".k_proj", ".v_proj", ".out_proj", ".fc1", ".fc2"];

/// The two factors of a layer: chance within 1/√input (He et al. 2015 with a = √5), and zeros.
fn layer(site: &Site, number: u64, recipe: &Recipe, device: &Device) -> candle_core::Result<[Value; 2]> {
    let (output, inside) = site.shape.split_first().unwrap_or((&0, &[]));
    let down = [&[recipe.rank], inside].concat();
    let up = [vec![*output, recipe.rank], vec![1; inside.len().saturating_sub(1)]].concat();
    let bound = 1.0 / (inside.iter().product::<usize>() as f32).sqrt();
    let first = Draw::new(recipe.seed, Draw::START, number).uniform(down.iter().product(), bound);
    let value = |which: &str, data: Vec<f32>, dims: Vec<usize>| {
        Ok::<_, candle_core::Error>(Value {
            name: format!("{}.{which}", site.place),
            place: site.place.clone(),
            moments: Moments::new(data.len()),
            average: (recipe.average > 0.0).then(|| data.clone()),
            var: Var::from_vec(data, dims, device)?,
        })
    };
    let nothing = vec![0.0; up.iter().product()];
    Ok([value("down", first, down)?, value("up", nothing, up)?])
}
