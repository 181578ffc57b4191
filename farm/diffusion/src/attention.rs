//! Attention: of a picture to itself, to the text, and beside the text to identity tokens.
//!
//! Decoupled cross-attention is Ye et al. 2023, arXiv:2308.06721.

use candle_core::{D, Tensor};

use crate::LoadError;
use crate::kernels;
use crate::layers::{Linear, add};
use crate::region::{Region, owners};
use crate::weights::Weights;

/// Scores (queries × keys over all heads) that are held at once; longer attentions run in pieces.
const SCORES: usize = 1 << 26;

/// Attention with diffusers' names `to_q`, `to_k`, `to_v`, `to_out.0`.
pub(crate) struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: usize,
}

/// Keys and values of what is attended to, (N, length, width) each.
#[derive(Clone)]
pub(crate) struct KeyValue {
    key: Tensor,
    value: Tensor,
}

/// What one cross-attention attends to. It is the same in every step, so it is made once for each picture.
#[derive(Clone)]
pub(crate) struct Memory {
    base: Seen,
    regions: Vec<Region>,
    /// One for each region.
    people: Vec<Seen>,
}

/// Text and identity as keys and values.
#[derive(Clone)]
struct Seen {
    text: KeyValue,
    identity: Option<(KeyValue, Tensor)>,
}

/// What a part of a picture is told.
pub(crate) struct Sight<'a> {
    /// (N, L, context).
    pub(crate) text: &'a Tensor,
    /// One for each cross-attention of the UNet, or none at all.
    pub(crate) identity: Vec<IdentityInput<'a>>,
}

/// Identity tokens as one cross-attention sees them.
pub(crate) struct IdentityInput<'a> {
    /// `to_k_ip` of this attention.
    pub(crate) to_k: &'a Linear,
    /// `to_v_ip` of this attention.
    pub(crate) to_v: &'a Linear,
    /// (N, tokens, context).
    pub(crate) tokens: &'a Tensor,
    /// (N, 1, 1): how much each picture of the batch listens; 0 is not at all.
    pub(crate) on: &'a Tensor,
}

impl Attention {
    /// Reads the projections. `context` is the width of what is attended to; `heads` divides `width`.
    pub(crate) fn load(
        weights: &Weights<'_>,
        width: usize,
        context: usize,
        heads: usize,
        input_bias: bool,
    ) -> Result<Self, LoadError> {
        let input = if input_bias { Linear::load } else { Linear::load_without_bias };
        Ok(Self {
            to_q: input(&weights.at("to_q"), width, width)?,
            to_k: input(&weights.at("to_k"), context, width)?,
            to_v: input(&weights.at("to_v"), context, width)?,
            to_out: Linear::load(&weights.at("to_out.0"), width, width)?,
            heads,
        })
    }

    /// Assembles an attention from projections that a file names otherwise.
    pub(crate) fn new(to_q: Linear, to_k: Linear, to_v: Linear, to_out: Linear, heads: usize) -> Self {
        Self { to_q, to_k, to_v, to_out, heads }
    }

    /// Width of its queries, over all heads.
    pub(crate) fn width(&self) -> usize {
        self.to_q.output()
    }

    /// (N, L, width) attends to itself; `mask` is added to the scores, (L, L).
    pub(crate) fn to_itself(&self, x: &Tensor, mask: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let own = KeyValue::new(&self.to_k, &self.to_v, x)?;
        self.to_out.forward(&attend(&self.to_q.forward(x)?, &own, self.heads, mask)?)
    }

    /// (N, H · W, width), the cells of an H × W feature map row by row, attends to a memory that [`Self::memory`] made.
    pub(crate) fn to_memory(&self, x: &Tensor, memory: &Memory, grid: (usize, usize)) -> candle_core::Result<Tensor> {
        let query = self.to_q.forward(x)?;
        if memory.people.is_empty() {
            return self.to_out.forward(&self.see(&query, &memory.base)?);
        }
        // Everybody's attention runs over all cells: their number is small, and so is the attention to a text.
        let owners = owners(&memory.regions, grid);
        let people = memory.people.iter().enumerate().map(|(i, seen)| (Some(i), seen));
        let mut out: Option<Tensor> = None;
        for (owner, seen) in std::iter::once((None, &memory.base)).chain(people) {
            if !owners.contains(&owner) {
                continue;
            }
            let own = self.see(&query, seen)?;
            out = Some(match out {
                None => own,
                Some(others) => {
                    let mask: Vec<u8> = owners.iter().map(|&o| u8::from(o == owner)).collect();
                    let mask = Tensor::from_vec(mask, (1, owners.len(), 1), x.device())?.broadcast_as(own.shape())?;
                    mask.where_cond(&own, &others)?
                }
            });
        }
        let Some(out) = out else { candle_core::bail!("a feature map has no cells") };
        self.to_out.forward(&out)
    }

    /// What this attention, the one of a number in the UNet, sees: the base, and in each region its own.
    pub(crate) fn memory(
        &self,
        number: usize,
        base: &Sight<'_>,
        people: &[(Region, Sight<'_>)],
    ) -> candle_core::Result<Memory> {
        let seen = |sight: &Sight<'_>| self.seen(sight.text, sight.identity.get(number));
        Ok(Memory {
            base: seen(base)?,
            regions: people.iter().map(|(region, _)| *region).collect(),
            people: people.iter().map(|(_, sight)| seen(sight)).collect::<candle_core::Result<_>>()?,
        })
    }

    fn see(&self, query: &Tensor, seen: &Seen) -> candle_core::Result<Tensor> {
        let text = attend(query, &seen.text, self.heads, None)?;
        match &seen.identity {
            Some((identity, on)) => add(&text, &attend(query, identity, self.heads, None)?.broadcast_mul(on)?),
            None => Ok(text),
        }
    }

    /// Keys and values of the text (N, L, context), and of identity tokens where there are any.
    fn seen(&self, text: &Tensor, identity: Option<&IdentityInput<'_>>) -> candle_core::Result<Seen> {
        let text = KeyValue::new(&self.to_k, &self.to_v, text)?;
        let Some(IdentityInput { to_k, to_v, tokens, on }) = identity else {
            return Ok(Seen { text, identity: None });
        };
        Ok(Seen { text, identity: Some((KeyValue::new(to_k, to_v, tokens)?, (*on).clone())) })
    }
}

impl Memory {
    /// Key and value of the base's text: what depends on what is trained.
    pub(crate) fn text(&self) -> (&Tensor, &Tensor) {
        (&self.base.text.key, &self.base.text.value)
    }

    /// The same with these instead.
    pub(crate) fn with_text(&self, key: &Tensor, value: &Tensor) -> Self {
        let mut this = self.clone();
        this.base.text = KeyValue { key: key.clone(), value: value.clone() };
        this
    }
}

impl KeyValue {
    fn new(to_k: &Linear, to_v: &Linear, x: &Tensor) -> candle_core::Result<Self> {
        Ok(Self { key: to_k.forward(x)?, value: to_v.forward(x)? })
    }
}

/// softmax(q kᵀ / √d + mask) v for each head: (N, L, heads · d) → the same shape.
fn attend(query: &Tensor, memory: &KeyValue, heads: usize, mask: Option<&Tensor>) -> candle_core::Result<Tensor> {
    if mask.is_none() && kernels::usable(&[query, &memory.key, &memory.value]) {
        return kernels::attention(query, &memory.key, &memory.value, heads);
    }
    let (batch, length, width) = query.dims3()?;
    let query = (split(query, heads)? * ((width / heads) as f64).powf(-0.5))?;
    let (key, value) = (split(&memory.key, heads)?, split(&memory.value, heads)?);
    let piece = (SCORES / (batch * heads * key.dim(2)?)).max(1);
    let run = |start: usize| {
        let count = piece.min(length - start);
        let scores = query.narrow(2, start, count)?.contiguous()?.matmul(&key.t()?)?;
        let scores = match mask {
            Some(mask) => scores.broadcast_add(&mask.narrow(0, start, count)?)?,
            None => scores,
        };
        candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&value)
    };
    let pieces = (0..length).step_by(piece).map(run).collect::<candle_core::Result<Vec<_>>>()?;
    Tensor::cat(&pieces, 2)?.transpose(1, 2)?.contiguous()?.flatten_from(D::Minus2)
}

/// (N, L, heads · d) → (N, heads, L, d).
fn split(x: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let (batch, length, width) = x.dims3()?;
    x.reshape((batch, length, heads, width / heads))?.transpose(1, 2)?.contiguous()
}
