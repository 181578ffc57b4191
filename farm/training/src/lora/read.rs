//! Reads a LoRA file and checks every key, every shape and the header against a model.

use candle_core::Tensor;
use greenroom_diffusion::{Adapter, Factors, Place, Site};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

use super::names::Names;
use super::{File, LoraError, header};
use crate::file;

impl File {
    /// Reads a file for a model with these layers.
    ///
    /// # Errors
    /// Where the file is damaged, where a key matches nothing (with all such keys), where a layer is incomplete, where header
    /// or shapes say that it was made for another base model, and where a value is no number.
    pub fn read(path: &Path, sites: &[Site]) -> Result<Self, LoraError> {
        let file::Tensors { tensors, header } = file::read(path)?;
        let all = tensors.len();
        if all == 0 {
            return Err(LoraError::Empty { file: path.into() });
        }
        header::check(path, &header, sites)?;
        let names = Names::new(sites);
        let mut parts: BTreeMap<&Place, Parts> = BTreeMap::new();
        let mut unmatched = Vec::new();
        for (key, tensor) in tensors {
            let known = |(ending, piece): &(&str, Piece)| Some((names.find(key.strip_suffix(ending)?)?, *piece));
            let Some((site, piece)) = ENDINGS.iter().find_map(known) else {
                unmatched.push(key);
                continue;
            };
            if !is_finite(&tensor)? {
                return Err(LoraError::NotFinite { file: path.into(), key });
            }
            parts.entry(&site.place).or_default().put(piece, tensor);
        }
        if !unmatched.is_empty() {
            return Err(LoraError::Unmatched { file: path.into(), keys: unmatched, all });
        }
        let alphas = Alphas::read(&header);
        let mut adapter = Adapter { begin: header::begin(&header), ..Adapter::default() };
        for (place, parts) in parts {
            let incomplete = |problem| LoraError::Incomplete { file: path.into(), place: place.clone(), problem };
            adapter.modules.insert(place.clone(), parts.whole(place, &alphas).map_err(incomplete)?);
        }
        adapter.check(sites).map_err(|misfit| LoraError::Misfit { file: path.into(), misfit: Box::new(misfit) })?;
        Ok(Self { adapter, header })
    }
}

#[derive(Clone, Copy)]
enum Piece {
    Down,
    Mid,
    Up,
    Alpha,
    /// As LyCORIS stores it: (output, 1) or (1, input).
    Scale,
    /// As peft stores it: (output), or (1, output, 1, 1).
    Magnitude,
}

/// Endings of keys; the shorter ones come after those that end in them.
const ENDINGS: &[(&str, Piece)] = &[
    (".lora_down.weight", Piece::Down),
    (".lora_up.weight", Piece::Up),
    (".lora_mid.weight", Piece::Mid),
    (".lora_A.default.weight", Piece::Down),
    (".lora_B.default.weight", Piece::Up),
    (".lora_A.weight", Piece::Down),
    (".lora_B.weight", Piece::Up),
    (".lora.down.weight", Piece::Down),
    (".lora.up.weight", Piece::Up),
    (".lora_linear_layer.down.weight", Piece::Down),
    (".lora_linear_layer.up.weight", Piece::Up),
    (".down.weight", Piece::Down),
    (".up.weight", Piece::Up),
    (".alpha", Piece::Alpha),
    (".dora_scale", Piece::Scale),
    (".lora_magnitude_vector.default.weight", Piece::Magnitude),
    (".lora_magnitude_vector.weight", Piece::Magnitude),
    (".lora_magnitude_vector", Piece::Magnitude),
];

#[derive(Default)]
struct Parts {
    down: Option<Tensor>,
    mid: Option<Tensor>,
    up: Option<Tensor>,
    alpha: Option<Tensor>,
    scale: Option<Tensor>,
    magnitude: Option<Tensor>,
}

impl Parts {
    fn put(&mut self, piece: Piece, tensor: Tensor) {
        let place = match piece {
            Piece::Down => &mut self.down,
            Piece::Mid => &mut self.mid,
            Piece::Up => &mut self.up,
            Piece::Alpha => &mut self.alpha,
            Piece::Scale => &mut self.scale,
            Piece::Magnitude => &mut self.magnitude,
        };
        *place = Some(tensor);
    }

    fn whole(self, place: &Place, alphas: &Alphas) -> Result<Factors, String> {
        let down = self.down.ok_or("its down factor is missing")?;
        let up = self.up.ok_or("its up factor is missing")?;
        if down.rank() < 2 || up.rank() < 2 {
            return Err("a factor is no matrix".into());
        }
        if up.elem_count() == 0 || down.elem_count() == 0 {
            return Err("its rank is 0".into());
        }
        let rank = down.dims()[0];
        let said = |e: candle_core::Error| e.to_string();
        let first = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>().map(|v| v.first().copied().map(f64::from));
        let stored = self.alpha.as_ref().map(first).transpose().map_err(said)?.flatten();
        // 0 and nothing both mean the rank.
        let alpha = stored.or_else(|| alphas.of(place)).filter(|a| *a != 0.0).unwrap_or(rank as f64);
        let rows = |m: Tensor| {
            let mut dims = vec![1; down.rank()];
            dims[0] = m.elem_count();
            m.reshape(dims).map_err(said)
        };
        let magnitude = match (self.scale, self.magnitude) {
            (Some(scale), _) => Some(scale),
            (None, magnitude) => magnitude.map(rows).transpose()?,
        };
        Ok(Factors { mid: self.mid, up, alpha, magnitude, down })
    }
}

/// What peft's header says of alphas.
struct Alphas(Option<Value>);

impl Alphas {
    fn read(header: &BTreeMap<String, String>) -> Self {
        Self(header.get("lora_adapter_metadata").and_then(|text| serde_json::from_str(text).ok()))
    }

    fn of(&self, place: &Place) -> Option<f64> {
        let of = |key: &str| self.0.as_ref()?.get(format!("{}.{key}", place.part));
        let short = place.path.strip_prefix("text_model.").unwrap_or(&place.path);
        let named = of("alpha_pattern").and_then(Value::as_object).into_iter().flatten();
        let matching = |name: &str| short == name || place.path == name || short.ends_with(&format!(".{name}"));
        let own = named.filter(|(name, _)| matching(name)).find_map(|(_, alpha)| alpha.as_f64());
        own.or_else(|| of("lora_alpha")?.as_f64())
    }
}

fn is_finite(tensor: &Tensor) -> candle_core::Result<bool> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|v| v.is_finite()))
}
