//! Writes a LoRA file with kohya's names or with peft's.

use candle_core::{Device, Tensor};
use greenroom_diffusion::{Factors, Part, Site};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

use super::{File, LoraError, Naming, Precision, names};
use crate::file;

impl File {
    /// The file's bytes, the same for equal contents. `sites` are the layers of the model that it is for.
    ///
    /// # Errors
    /// Where a tensor cannot be brought from its device.
    pub fn to_bytes(&self, naming: Naming, precision: Precision, sites: &[Site]) -> Result<Vec<u8>, LoraError> {
        let mut tensors = BTreeMap::new();
        for (place, factors) in &self.adapter.modules {
            match naming {
                Naming::Kohya => put_kohya(&mut tensors, &names::kohya(place, sites), factors)?,
                Naming::Peft => put_peft(&mut tensors, &place.to_string(), factors)?,
            }
        }
        let mut header = self.header.clone();
        header.remove("lora_adapter_metadata");
        header.insert("format".into(), "pt".into());
        if naming == Naming::Peft {
            header.insert("lora_adapter_metadata".into(), self.peft_header().to_string());
        }
        Ok(file::bytes(&tensors, &header, precision)?)
    }

    /// Writes the file aside and renames it.
    ///
    /// # Errors
    /// Where the disk is full or the folder refuses; what was there before is kept.
    pub fn write(&self, path: &Path, naming: Naming, precision: Precision, sites: &[Site]) -> Result<(), LoraError> {
        Ok(file::write(path, &self.to_bytes(naming, precision, sites)?)?)
    }

    /// The configuration that peft makes its layers from.
    fn peft_header(&self) -> Value {
        type Told = fn(&Factors) -> Value;
        let (rank, alpha): (Told, Told) = (|f| json!(f.rank()), |f| json!(f.alpha));
        let mut out = serde_json::Map::new();
        for part in [Part::Unet, Part::Text, Part::Text2] {
            let own: Vec<(&str, &Factors)> = self
                .adapter
                .modules
                .iter()
                .filter(|(place, _)| place.part == part)
                // Without the text encoder's outer name, which newer versions leave out: peft compares endings.
                .map(|(place, factors)| (place.path.strip_prefix("text_model.").unwrap_or(&place.path), factors))
                .collect();
            let Some((_, first)) = own.first() else { continue };
            let others = |value: Told| -> Value {
                let pairs = own.iter().map(|(path, f)| ((*path).to_owned(), value(f)));
                pairs.filter(|(_, found)| *found != value(first)).collect::<serde_json::Map<_, _>>().into()
            };
            let fields = [
                ("peft_type", json!("LORA")),
                ("r", rank(first)),
                ("lora_alpha", alpha(first)),
                ("rank_pattern", others(rank)),
                ("alpha_pattern", others(alpha)),
                ("target_modules", own.iter().map(|(path, _)| *path).collect()),
                ("use_dora", own.iter().any(|(_, f)| f.magnitude.is_some()).into()),
                ("lora_bias", false.into()),
                ("bias", json!("none")),
            ];
            out.extend(fields.map(|(key, value)| (format!("{part}.{key}"), value)));
        }
        Value::Object(out)
    }
}

fn put_kohya(tensors: &mut BTreeMap<String, Tensor>, name: &str, factors: &Factors) -> candle_core::Result<()> {
    tensors.insert(format!("{name}.lora_down.weight"), factors.down.clone());
    tensors.insert(format!("{name}.lora_up.weight"), factors.up.clone());
    tensors.insert(format!("{name}.alpha"), Tensor::new(factors.alpha as f32, &Device::Cpu)?);
    if let Some(mid) = &factors.mid {
        tensors.insert(format!("{name}.lora_mid.weight"), mid.clone());
    }
    if let Some(magnitude) = &factors.magnitude {
        tensors.insert(format!("{name}.dora_scale"), magnitude.clone());
    }
    Ok(())
}

/// peft knows nothing between the factors: it goes into the first of them.
fn put_peft(tensors: &mut BTreeMap<String, Tensor>, name: &str, factors: &Factors) -> candle_core::Result<()> {
    let down = match &factors.mid {
        None => factors.down.clone(),
        Some(mid) => {
            let (rank, _, k, _) = mid.dims4()?;
            factors.flat()?.1.reshape((rank, (), k, k))?
        }
    };
    tensors.insert(format!("{name}.lora_A.weight"), down);
    tensors.insert(format!("{name}.lora_B.weight"), factors.up.clone());
    if let Some(magnitude) = &factors.magnitude {
        let flat = magnitude.flatten_all()?;
        let vector = if factors.down.rank() == 4 { flat.reshape((1, (), 1, 1))? } else { flat };
        tensors.insert(format!("{name}.lora_magnitude_vector"), vector);
    }
    Ok(())
}
