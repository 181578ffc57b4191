//! Adapters (LoRA) on a loaded model: where they can act, and which act now.

use candle_core::{DType, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::StableDiffusion;
use crate::adapter::{Adapter, AdapterError, Factors, Hook, Part, Place, Progress, Site};

impl StableDiffusion {
    /// Every layer that an adapter can act on, by name.
    #[must_use]
    pub fn sites(&self) -> Vec<Site> {
        let site = |(place, hook): (Place, &Arc<Hook>)| Site { place, shape: hook.shape.clone() };
        self.hooks().into_iter().map(site).collect()
    }

    /// From now on exactly these adapters act, each at its weight: 1 as trained, 0 is none; they add up. The base stays loaded
    /// and is not changed. Nothing changes where one of them does not fit.
    ///
    /// # Errors
    /// Where an adapter is for layers that the model does not have, with all of them, or was made for layers of other sizes.
    pub fn set_adapters(&mut self, adapters: &[(&Adapter, f64)]) -> Result<(), AdapterError> {
        let hooks = self.hooks();
        let unmatched: BTreeSet<&Place> =
            adapters.iter().flat_map(|(a, _)| a.modules.keys()).filter(|place| !hooks.contains_key(place)).collect();
        if !unmatched.is_empty() {
            return Err(AdapterError::Unmatched { places: unmatched.into_iter().cloned().collect() });
        }
        let mut patches = Vec::with_capacity(hooks.len());
        for (place, hook) in &hooks {
            let own = adapters.iter().filter(|(_, weight)| *weight != 0.0);
            let own = own.filter_map(|(adapter, weight)| Some((adapter.begin, adapter.modules.get(place)?, *weight)));
            let own = own.map(|(begin, factors, weight)| {
                Ok((begin, hook.patch(place, &self.on_device(place, factors)?, weight)?))
            });
            patches.push(own.collect::<Result<Vec<_>, _>>()?);
        }
        for (hook, patches) in hooks.values().zip(patches) {
            hook.set(patches);
        }
        Ok(())
    }

    /// Tells the UNet's layers how far the sampling is.
    pub(super) fn progress(&self) -> Progress<'_> {
        Progress::of(self.unet.hooks().iter().collect())
    }

    /// Whether a gradient is wanted of it or not, a factor that lies right is handed on as it is.
    fn on_device(&self, place: &Place, factors: &Factors) -> Result<Factors, AdapterError> {
        let here = |t: &Tensor| t.to_dtype(DType::F32)?.to_device(&self.device);
        let moved = || {
            Ok(Factors {
                down: here(&factors.down)?,
                mid: factors.mid.as_ref().map(here).transpose()?,
                up: here(&factors.up)?,
                alpha: factors.alpha,
                magnitude: factors.magnitude.as_ref().map(here).transpose()?,
            })
        };
        moved().map_err(|source| AdapterError::Compute { place: place.clone(), source })
    }

    fn hooks(&self) -> BTreeMap<Place, &Arc<Hook>> {
        let unet = self.unet.hooks().iter().map(|hook| (Place { part: Part::Unet, path: hook.path.clone() }, hook));
        let text = self.text.hooks().map(|(path, hook)| (Place { part: Part::Text, path }, hook));
        let second = self.second.iter().flat_map(|second| second.text.hooks());
        unet.chain(text).chain(second.map(|(path, hook)| (Place { part: Part::Text2, path }, hook))).collect()
    }
}
