//! LoRA and its relatives: what is added to layers of a loaded model, and the places where it may be.
//!
//! LoRA is Hu et al. 2021, arXiv:2106.09685; with convolutions (LoCon) and a core between the factors it is LyCORIS, Yeh et al.
//! 2023, arXiv:2309.14859; with magnitudes of its own it is DoRA, Liu et al. 2024, arXiv:2402.09353.

use candle_core::Tensor;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The part of a model that a layer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The UNet.
    Unet,
    /// The text encoder, of SDXL the first.
    Text,
    /// The second text encoder of SDXL.
    Text2,
}

/// A layer's name: its part, and its path as diffusers writes it (`mid_block.attentions.0.proj_in`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which network.
    pub part: Part,
    /// Names joined by dots.
    pub path: String,
}

/// A layer that an adapter can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub place: Place,
    /// Its weight's shape: (output, input) of a matrix, (output, input, k, k) of a convolution.
    pub shape: Vec<usize>,
}

/// What is added to one layer's weight: `alpha / rank` · up · down.
#[derive(Clone, Debug)]
pub struct Factors {
    /// (rank, input), of a convolution (rank, input, k, k).
    pub down: Tensor,
    /// (rank, rank, k, k) between the two, where `down` is (rank, input, 1, 1).
    pub mid: Option<Tensor>,
    /// (output, rank), of a convolution (output, rank, 1, 1).
    pub up: Tensor,
    /// Divided by the rank it is the scale.
    pub alpha: f64,
    /// DoRA: the length of each row (output, 1…) or column (1, input…) of the weight with all added.
    pub magnitude: Option<Tensor>,
}

/// Everything that one file adds to a model.
#[derive(Clone, Debug, Default)]
pub struct Adapter {
    /// By layer.
    pub modules: BTreeMap<Place, Factors>,
    /// Share of a sampler's steps that are done before it acts, 0 to 1: 0 is all of them with it. What is where in a picture is
    /// decided in the first steps, what it looks like later.
    pub begin: f64,
}

/// Why an adapter does not fit a model.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// Layers that the model does not have.
    #[error("the adapter is for {} layers that this model does not have: {}", places.len(), listed(places))]
    Unmatched {
        /// All of them.
        places: Vec<Place>,
    },
    /// Factors of another size than the layer.
    #[error(
        "the adapter's `{tensor}` for {place} has shape {found:?}, the layer's weight {layer:?}: it was made for another base model"
    )]
    Shape {
        /// Which layer.
        place: Place,
        /// `down`, `mid`, `up` or `magnitude`.
        tensor: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// Of the layer's weight.
        layer: Vec<usize>,
    },
    /// The device failed.
    #[error("cannot prepare the adapter for {place}")]
    Compute {
        /// Which layer.
        place: Place,
        /// What candle said.
        source: candle_core::Error,
    },
}

impl Adapter {
    /// Refuses an adapter that does not fit these layers.
    ///
    /// # Errors
    /// As [`StableDiffusion::set_adapters`](crate::StableDiffusion::set_adapters).
    pub fn check(&self, sites: &[Site]) -> Result<(), AdapterError> {
        let sites: BTreeMap<&Place, &Site> = sites.iter().map(|site| (&site.place, site)).collect();
        let unmatched: Vec<Place> = self.modules.keys().filter(|place| !sites.contains_key(place)).cloned().collect();
        if !unmatched.is_empty() {
            return Err(AdapterError::Unmatched { places: unmatched });
        }
        let known = self.modules.iter().filter_map(|(place, factors)| Some((factors, sites.get(place)?)));
        known.into_iter().try_for_each(|(factors, site)| factors.check(&site.place, &site.shape))
    }
}

impl Factors {
    /// Length of what lies between the factors.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.down.dims().first().copied().unwrap_or(0)
    }

    /// alpha / rank.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank().max(1) as f64
    }

    /// What is added to a weight of this shape, at weight 1 and without magnitudes.
    ///
    /// # Errors
    /// Where the device failed.
    pub fn delta(&self, shape: &[usize]) -> candle_core::Result<Tensor> {
        let (up, flat) = self.flat()?;
        (up.matmul(&flat)? * self.scale())?.reshape(shape)
    }

    /// The factors as two matrices, (output, rank) and (rank, input · k · k), with what lies between them in the second.
    ///
    /// # Errors
    /// Where the device failed.
    pub fn flat(&self) -> candle_core::Result<(Tensor, Tensor)> {
        let (up, down) = (self.up.flatten_from(1)?, &self.down);
        let Some(mid) = &self.mid else { return Ok((up, down.flatten_from(1)?)) };
        let (rank, inner, k, _) = mid.dims4()?;
        let mid = mid.permute((0, 2, 3, 1))?.contiguous()?.reshape((rank * k * k, inner))?;
        let down = mid.matmul(&down.flatten_from(1)?)?.reshape((rank, k * k, ()))?;
        Ok((up, down.transpose(1, 2)?.contiguous()?.reshape((rank, ()))?))
    }

    fn check(&self, place: &Place, layer: &[usize]) -> Result<(), AdapterError> {
        let rank = self.rank();
        let same = |tensor: &'static str, found: &Tensor, expected: &[usize]| {
            // A 1×1 convolution and a matrix are the same thing.
            let trimmed = |dims: &[usize]| {
                let end = dims.iter().rposition(|&d| d != 1).map_or(0, |i| i + 1);
                dims[..end.max(2.min(dims.len()))].to_vec()
            };
            if trimmed(found.dims()) == trimmed(expected) {
                return Ok(());
            }
            let (place, layer) = (place.clone(), layer.to_vec());
            Err(AdapterError::Shape { place, tensor, found: found.dims().into(), layer })
        };
        let (output, inside) = layer.split_first().unwrap_or((&0, &[]));
        let window = inside.get(1..).unwrap_or(&[]);
        match &self.mid {
            Some(mid) => {
                same("mid", mid, &[&[rank, rank], window].concat())?;
                same("down", &self.down, &[rank, inside[0]])?;
            }
            None => same("down", &self.down, &[&[rank], inside].concat())?,
        }
        same("up", &self.up, &[*output, rank])?;
        match &self.magnitude {
            Some(m) if m.elem_count() != *output && m.elem_count() != inside[0] => {
                let (place, layer) = (place.clone(), layer.to_vec());
                Err(AdapterError::Shape { place, tensor: "magnitude", found: m.dims().into(), layer })
            }
            _ => Ok(()),
        }
    }

    /// What DoRA adds to a weight: (W + Δ), its rows or columns brought to the magnitudes, less W.
    fn dora(&self, magnitude: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
        let whole = (weight + self.delta(weight.dims())?)?;
        let by_row = magnitude.dims().first() == weight.dims().first();
        let flat =
            if by_row { whole.flatten_from(1)? } else { whole.transpose(0, 1)?.contiguous()?.flatten_from(1)? };
        let length = flat.sqr()?.sum(1)?.sqrt()?;
        let ratio = (magnitude.flatten_all()? / (length + f64::from(f32::EPSILON))?)?;
        let mut dims = vec![1; weight.rank()];
        dims[usize::from(!by_row)] = ratio.elem_count();
        whole.broadcast_mul(&ratio.reshape(dims)?)? - weight
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unet => "unet",
            Self::Text => "text_encoder",
            Self::Text2 => "text_encoder_2",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.part, self.path)
    }
}

/// Where a loaded layer asks what is added to it.
pub(crate) struct Hook {
    /// The layer's path in its part.
    pub(crate) path: String,
    /// Its weight's shape in files.
    pub(crate) shape: Vec<usize>,
    weight: Tensor,
    /// Each with the share of the steps from which it acts.
    patches: RwLock<Vec<(f64, Patch)>>,
    /// Share of the steps that are done, as bits; 1 where nothing is sampled.
    done: AtomicU64,
}

/// What is added now.
pub(crate) struct Acting<'h> {
    patches: RwLockReadGuard<'h, Vec<(f64, Patch)>>,
    done: f64,
}

/// Tells layers how far the sampling is, and when this goes, that it is over.
pub(crate) struct Progress<'h>(Vec<&'h Arc<Hook>>);

/// One adapter's share of one layer.
#[derive(Clone)]
pub(crate) enum Patch {
    /// Two or three layers beside it. The factors have the layer's own number of dimensions.
    Beside { down: Tensor, mid: Option<Tensor>, up: Tensor, scale: f64 },
    /// A whole matrix.
    Dense { delta: Tensor },
}

impl Hook {
    /// Of a layer that holds its weight, of this shape in files, in a shape of its own.
    pub(crate) fn new(path: String, shape: Vec<usize>, weight: Tensor) -> Self {
        Self { path, shape, weight, patches: RwLock::default(), done: AtomicU64::new(1f64.to_bits()) }
    }

    /// Factors at a weight, for this layer.
    pub(crate) fn patch(&self, place: &Place, factors: &Factors, weight: f64) -> Result<Patch, AdapterError> {
        factors.check(place, &self.shape)?;
        Patch::new(factors, weight, &self.shape, &self.weight)
            .map_err(|source| AdapterError::Compute { place: place.clone(), source })
    }

    /// What is added now.
    pub(crate) fn acting(&self) -> Acting<'_> {
        let patches = self.patches.read().unwrap_or_else(PoisonError::into_inner);
        Acting { patches, done: f64::from_bits(self.done.load(Relaxed)) }
    }

    pub(crate) fn set(&self, patches: Vec<(f64, Patch)>) {
        *self.patches.write().unwrap_or_else(PoisonError::into_inner) = patches;
    }
}

impl Acting<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Patch> {
        self.patches.iter().filter(|(begin, _)| *begin <= self.done).map(|(_, patch)| patch)
    }
}

impl<'h> Progress<'h> {
    pub(crate) const fn of(hooks: Vec<&'h Arc<Hook>>) -> Self {
        Self(hooks)
    }

    /// Whether others act now than before: what was prepared by these layers is to be prepared again.
    pub(crate) fn is(&self, done: f64) -> bool {
        let mut changed = false;
        for hook in &self.0 {
            let before = hook.acting().iter().count();
            hook.done.store(done.to_bits(), Relaxed);
            changed |= hook.acting().iter().count() != before;
        }
        changed
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.is(1.0);
    }
}

impl Patch {
    /// For a layer whose weight is `base`, of this shape in files.
    fn new(factors: &Factors, weight: f64, shape: &[usize], base: &Tensor) -> candle_core::Result<Self> {
        if let Some(magnitude) = &factors.magnitude {
            let delta = factors.dora(magnitude, &base.reshape(shape)?)?;
            return Ok(Self::Dense { delta: (delta * weight)?.reshape(base.shape())? });
        }
        // The layer may hold a 1×1 convolution as a matrix.
        let as_layer = |t: &Tensor| match (base.rank(), t.rank()) {
            (2, 4) => t.flatten_from(1),
            (4, 2) => t.unsqueeze(2)?.unsqueeze(3),
            _ => Ok(t.clone()),
        };
        Ok(Self::Beside {
            down: as_layer(&factors.down)?,
            mid: factors.mid.as_ref().map(as_layer).transpose()?,
            up: as_layer(&factors.up)?,
            scale: factors.scale() * weight,
        })
    }
}

fn listed(places: &[Place]) -> String {
    places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
