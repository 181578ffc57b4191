//! IP-Adapter in the layout of IP-Adapter-FaceID files (Ye et al. 2023, arXiv:2308.06721): a face embedding becomes a few
//! tokens, which every cross-attention of the UNet sees beside the text.

use candle_core::{Device, Tensor};
use std::path::{Path, PathBuf};

use crate::attention::IdentityInput;
use crate::layers::{LayerNorm, Linear};
use crate::unet::Sizes;
use crate::weights::WeightFile;
use crate::{GenerateError, LoadError};

/// The image projection, and a pair of key and value matrices for each cross-attention.
pub(crate) struct IpAdapter {
    proj0: Linear,
    proj2: Linear,
    norm: LayerNorm,
    pairs: Vec<(Linear, Linear)>,
    embedding: usize,
    tokens: usize,
    context: usize,
}

impl IpAdapter {
    /// Reads a file for a UNet whose cross-attentions have these widths, in diffusers' order.
    pub(crate) fn open(path: &Path, unet: &Sizes, widths: &[usize], device: &Device) -> Result<Self, LoadError> {
        let file = WeightFile::open(path, device)?;
        let (weights, context) = (file.root(), unet.context);
        let image = weights.at("image_proj");
        let sizes = |name: &str| image.shape(name).and_then(|s| <[usize; 2]>::try_from(s).ok());
        let missing = |name: &str, expected: &[usize]| LoadError::MissingTensor {
            file: PathBuf::from(path),
            tensor: format!("image_proj.{name}"),
            expected: expected.into(),
        };
        let [inner, embedding] = sizes("proj.0.weight").ok_or_else(|| missing("proj.0.weight", &[1024, 512]))?;
        let [rows, _] = sizes("proj.2.weight").ok_or_else(|| missing("proj.2.weight", &[4 * context, inner]))?;
        // A row count that is no multiple of the context is refused below, as a wrong shape.
        let tokens = (rows / context).max(1);
        // diffusers counts self-attentions too, so the cross-attentions have the odd numbers.
        let pair = |(i, &width): (usize, &usize)| {
            let weights = weights.at("ip_adapter").at(2 * i + 1);
            let matrix = |name| Linear::load_without_bias(&weights.at(name), context, width);
            Ok((matrix("to_k_ip")?, matrix("to_v_ip")?))
        };
        let adapter = Self {
            proj0: Linear::load(&image.at("proj.0"), embedding, inner)?,
            proj2: Linear::load(&image.at("proj.2"), inner, tokens * context)?,
            norm: LayerNorm::load(&image.at("norm"), context, 1e-5)?,
            pairs: widths.iter().enumerate().map(pair).collect::<Result<_, _>>()?,
            embedding,
            tokens,
            context,
        };
        file.finish(&[])?;
        Ok(adapter)
    }

    /// A face embedding of length 1 → (1, tokens, context).
    pub(crate) fn tokens(&self, embedding: &[f32], device: &Device) -> candle_core::Result<Tensor> {
        let x = Tensor::new(embedding, device)?.unsqueeze(0)?;
        let x = self.proj2.forward(&self.proj0.forward(&x)?.gelu_erf()?)?;
        self.norm.forward(&x.reshape((1, self.tokens, self.context))?)
    }

    /// Refuses an embedding of another length than the adapter takes, or one that is not of length 1.
    pub(crate) fn check(&self, embedding: &[f32]) -> Result<(), GenerateError> {
        if embedding.len() != self.embedding {
            return Err(GenerateError::Embedding { found: embedding.len(), expected: self.embedding });
        }
        let value = embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
        // Not `> 0.01`, so that a NaN is refused too.
        if (value - 1.0).abs() <= 0.01 {
            return Ok(());
        }
        Err(GenerateError::Number { name: "the face embedding's length", value, expected: "1" })
    }

    /// What each cross-attention sees of the tokens (N, tokens, context); `on` (N, 1, 1) weighs them per picture.
    pub(crate) fn inputs<'a>(&'a self, tokens: &'a Tensor, on: &'a Tensor) -> Vec<IdentityInput<'a>> {
        self.pairs.iter().map(|(to_k, to_v)| IdentityInput { to_k, to_v, tokens, on }).collect()
    }
}
