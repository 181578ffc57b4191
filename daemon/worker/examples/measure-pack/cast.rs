//! Characters as the farm knows them: profiles of their references.

use greenroom_domain::{ModelRole, ReferenceQuality};
use greenroom_identity::{Embedding, Profile, quality};
use image::RgbImage;
use std::collections::BTreeMap;

use crate::{Fault, models::Models};

/// By identity the profile that a profile task would make.
#[derive(Default)]
pub(crate) struct Cast {
    references: BTreeMap<u64, Vec<(Embedding, ReferenceQuality)>>,
}

impl Cast {
    /// Takes the best face of a reference, if it has one. (A task refuses pictures with none or several; a person would then
    /// give another.)
    pub(crate) fn add(&mut self, models: &mut Models, identity: u64, picture: &RgbImage) -> Result<(), Fault> {
        let found = models.find(picture)?;
        let Some(face) = found.first().filter(|f| f.short_side() >= models.pack.identity.smallest_face) else {
            return Ok(());
        };
        let aligned = models.aligned(picture, &face.landmarks);
        let measured = quality(picture, face, &aligned);
        self.references.entry(identity).or_default().push((models.embed(aligned)?, measured));
        Ok(())
    }

    pub(crate) fn profile(&self, models: &Models, identity: u64) -> Result<Profile, Fault> {
        let references = self.references.get(&identity).cloned().unwrap_or_default();
        let embedder = models.pack.files(ModelRole::Embedder).next().map(|file| file.sha256);
        let embedder = embedder.ok_or("profile character: the pack has no embedder")?;
        let pack = models.used()?.pack;
        Ok(Profile::build(&identity.to_string(), &pack, embedder, references)?.0)
    }
}
