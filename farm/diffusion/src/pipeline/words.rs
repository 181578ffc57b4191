//! Textual inversion (Gal et al. 2022, arXiv:2208.01618): a new word that stands for a few learned vectors.

use candle_core::Tensor;
use std::path::Path;

use super::StableDiffusion;
use crate::LoadError;
use crate::text::TextEncoder;
use crate::weights::WeightFile;

impl StableDiffusion {
    /// Loads the vectors of a word: a safetensors file with one tensor (count, width) of any name, or of SDXL with `clip_l` and
    /// `clip_g` for its two encoders. The word then stands for them in every prompt. Gives their number.
    ///
    /// # Errors
    /// Where the file is damaged, its vectors are of another model's width, or the word is empty or known already. The model
    /// is not changed then.
    pub fn add_word(&mut self, word: &str, path: &Path) -> Result<usize, LoadError> {
        let file = WeightFile::open(path, &self.device)?;
        let first = rows(&file, "clip_l", self.text.width(), path)?;
        let second = self.second.as_ref().map(|second| rows(&file, "clip_g", second.text.width(), path)).transpose()?;
        file.finish(&[])?;
        let device = |source| LoadError::Device { file: path.into(), source };
        let known = || LoadError::Tokenizer {
            file: path.into(),
            problem: format!("the word `{word}` is empty or stands for something already; choose another"),
        };
        let count = first.dim(0).map_err(device)?;
        let add = |text: &mut TextEncoder, tokenizer: &mut crate::tokenizer::Tokenizer, rows: &Tensor| {
            let next = text.known().map_err(device)? as u32;
            if !tokenizer.add(word, (next..next + rows.dim(0).map_err(device)? as u32).collect()) {
                return Err(known());
            }
            text.add(rows).map_err(device)
        };
        add(&mut self.text, &mut self.tokenizer, &first)?;
        if let (Some(second), Some(rows)) = (&mut self.second, &second) {
            add(&mut second.text, &mut second.tokenizer, rows)?;
        }
        Ok(count)
    }
}

/// The vectors for an encoder: by its name, or the only tensor that there is.
fn rows(file: &WeightFile, name: &str, width: usize, path: &Path) -> Result<Tensor, LoadError> {
    let names: Vec<&str> = file.names().collect();
    let name = match names[..] {
        [only] => only,
        _ => name,
    };
    let shape = file.root().shape(name).unwrap_or_default().to_vec();
    // One vector may be stored without its count.
    let count = if shape.len() == 2 { shape[0] } else { 1 };
    if count == 0 || shape.len() > 2 {
        let (file, tensor) = (path.into(), name.into());
        return Err(LoadError::TensorShape { file, tensor, expected: vec![1, width], found: shape });
    }
    let expected: Vec<usize> = if shape.len() == 1 { vec![width] } else { vec![count, width] };
    let read = file.root().get(name, &expected)?;
    read.reshape((count, width)).map_err(|source| LoadError::Device { file: path.into(), source })
}
