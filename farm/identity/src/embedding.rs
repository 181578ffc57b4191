//! A face as a direction in an embedder's space.

use greenroom_domain::Cosine;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A unit vector. It means something only next to another one of the same embedder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f32>", into = "Vec<f32>")]
pub struct Embedding(Vec<f32>);

/// Numbers that are no direction.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EmbeddingError {
    /// Not a number, infinite, empty, or all zero.
    #[error("an embedding of {0} numbers has no direction (zero or not finite)")]
    NoDirection(usize),
    /// Stored embeddings are unit vectors; another length says that the file was changed.
    #[error("a stored embedding is not of unit length")]
    NotUnit,
}

impl Embedding {
    /// Scales a vector to unit length.
    ///
    /// # Errors
    /// If it is empty, zero or not finite.
    pub fn try_new(mut values: Vec<f32>) -> Result<Self, EmbeddingError> {
        let length = length(&values);
        if !length.is_finite() || length < 1e-12 {
            return Err(EmbeddingError::NoDirection(values.len()));
        }
        for value in &mut values {
            *value = (f64::from(*value) / length) as f32;
        }
        Ok(Self(values))
    }

    /// The numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Cosine of the angle between the two, −1 to 1. Embeddings of different lengths come from different embedders and have
    /// nothing in common: 0.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> Cosine {
        if self.0.len() != other.0.len() {
            return Cosine(0.0);
        }
        let dot: f64 = self.0.iter().zip(&other.0).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        Cosine(dot.clamp(-1.0, 1.0) as f32)
    }
}

impl TryFrom<Vec<f32>> for Embedding {
    type Error = EmbeddingError;

    /// Keeps the bits: for embeddings that were stored.
    fn try_from(values: Vec<f32>) -> Result<Self, EmbeddingError> {
        let length = length(&values);
        if (length - 1.0).abs() < 1e-3 { Ok(Self(values)) } else { Err(EmbeddingError::NotUnit) }
    }
}

impl From<Embedding> for Vec<f32> {
    fn from(embedding: Embedding) -> Self {
        embedding.0
    }
}

fn length(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_embedding_comes_back_bit_by_bit() {
        let one = Embedding::try_new(vec![0.3, -4.0, 1.7]).unwrap();
        let back: Embedding = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
        assert_eq!(one, back);
        assert!((one.cosine(&back).0 - 1.0).abs() < 1e-6);
        assert!(serde_json::from_str::<Embedding>("[0.5, 0.5]").is_err());
    }

    #[test]
    fn zero_and_infinity_have_no_direction() {
        for values in [vec![], vec![0.0; 4], vec![1.0, f32::NAN], vec![f32::INFINITY, 1.0]] {
            assert_eq!(Embedding::try_new(values.clone()), Err(EmbeddingError::NoDirection(values.len())));
        }
    }
}
