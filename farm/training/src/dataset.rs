//! Training pictures to cached latents: cropped around the face, in buckets of equal shape, without doubles.

mod crop;
mod likeness;
mod view;

use candle_core::Tensor;
use greenroom_diffusion::{GenerateError, StableDiffusion};
use image::RgbImage;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

use crate::recipe::Recipe;
pub use crop::{Crop, Face};
use likeness::Looks;
pub use likeness::look_alike;
pub use view::View;

/// From so many real pictures on, at most half may be generated.
const REAL_ENOUGH: usize = 10;
/// Why those that are more are left out.
const TOO_MANY: &str = "more than half would be generated";

/// A picture to train on.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Decoded, sRGB.
    pub image: RgbImage,
    /// What it shows.
    pub caption: String,
    /// Whether a camera or an artist made it, or a model.
    pub origin: Origin,
    /// Whom: the character, or somebody of its class whose looks are to be kept.
    pub kind: Kind,
    /// Where the face is.
    pub face: Option<Face>,
    /// A face embedding of length 1, for training beside an IP-Adapter.
    pub identity: Option<Vec<f32>>,
    /// Frames that it is set into, each an example of its own; none: it is cropped, around its face if that is known.
    pub views: Vec<View>,
}

/// Where a picture comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A reference.
    Real,
    /// An accepted take.
    Generated,
}

/// Whom a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The character.
    Character,
    /// Somebody of its class, so that the model does not make everybody the character (prior preservation).
    Class,
}

/// A picture as it is trained on.
#[derive(Clone, Debug)]
pub struct Example {
    /// (1, C, h, w), unit variance, without a graph.
    pub latent: Tensor,
    /// What it shows.
    pub caption: String,
    /// Where it comes from.
    pub origin: Origin,
    /// SHA-256 of the picture's pixels, hex.
    pub digest: String,
    /// Height and width of the picture it was, top and left of the crop, height and width of the crop.
    pub sizes: [f32; 6],
    /// A face embedding of length 1.
    pub identity: Option<Vec<f32>>,
}

/// Everything that a training sees, and what was left out of it.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// Of the character, by the shape of their latents (height, width).
    pub character: Buckets,
    /// Of its class.
    pub class: Buckets,
    /// What was left out, with the reason.
    pub left_out: Vec<LeftOut>,
    /// SHA-256 over all that is in it, hex.
    pub digest: String,
}

/// Examples by the height and width of their latents.
pub type Buckets = BTreeMap<(usize, usize), Vec<Example>>;

/// A picture that is not trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// SHA-256 of its pixels, hex.
    pub digest: String,
    /// Why.
    pub reason: String,
}

/// Why there is no dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Too few pictures.
    #[error(
        "{usable} of {given} pictures of the character can be trained on, {needed} are needed{}; add pictures that differ, or \
         choose a lower tier",
        reasons(left_out)
    )]
    TooFew {
        /// Of the character.
        given: usize,
        /// What is left of them.
        usable: usize,
        /// By the recipe.
        needed: usize,
        /// The others.
        left_out: Vec<LeftOut>,
    },
    /// A picture that cannot be encoded.
    #[error("cannot encode picture {digest}")]
    Encode {
        /// SHA-256 of its pixels, hex.
        digest: String,
        /// What the model said.
        source: Box<GenerateError>,
    },
}

/// What is left, and what is not with the reason.
pub type Sifted<T> = (Vec<(Picture, T)>, Vec<(T, String)>);

/// Leaves out what is too small, looks like one before it, or would make more than half of the pictures generated ones where there
/// are ten real ones; what is left stands in the order in which it came. Each picture comes with whatever names it to the caller.
pub fn sift<T>(pictures: impl IntoIterator<Item = (Picture, T)>) -> Sifted<T> {
    let (mut kept, mut left_out, mut looks) = (Vec::new(), Vec::new(), Looks::default());
    for (picture, name) in pictures {
        match worthless(&picture, &digest_of(&picture.image), &mut looks, &mut |_| None) {
            Some(reason) => left_out.push((name, reason)),
            None => kept.push((picture, name)),
        }
    }
    let real = kept.iter().filter(|(picture, _)| picture.origin == Origin::Real).count();
    let mut left = if real < REAL_ENOUGH { usize::MAX } else { real };
    let (kept, too_many): (Vec<_>, Vec<_>) = kept.into_iter().partition(|(picture, _)| {
        let fits = picture.origin == Origin::Real || left > 0;
        left -= usize::from(picture.origin == Origin::Generated && fits);
        fits
    });
    left_out.extend(too_many.into_iter().map(|(_, name)| (name, TOO_MANY.to_owned())));
    (kept, left_out)
}

/// Why a picture is not to be trained on; one that is adds its looks to those that were seen.
fn worthless(
    picture: &Picture,
    digest: &str,
    looks: &mut Looks,
    refuse: &mut dyn FnMut(&Picture) -> Option<String>,
) -> Option<String> {
    let reason = too_small(&picture.image).or_else(|| looks.double(digest, &picture.image)).or_else(|| refuse(picture));
    if reason.is_none() {
        looks.add(digest, &picture.image);
    }
    reason
}

impl Dataset {
    /// Takes pictures one by one, encodes those that are worth it, and forgets their pixels. Of doubles the first stays, so
    /// real pictures come first. `refuse` may tell why one is not to be trained on (somebody else, a blurred face).
    ///
    /// # Errors
    /// Where fewer pictures of the character are left than the recipe needs, and where encoding failed.
    pub fn build(
        model: &StableDiffusion,
        recipe: &Recipe,
        pictures: impl IntoIterator<Item = Picture>,
        refuse: &mut dyn FnMut(&Picture) -> Option<String>,
    ) -> Result<Self, DatasetError> {
        let (mut this, mut looks, mut given) = (Self::default(), Looks::default(), 0);
        for picture in pictures {
            given += usize::from(picture.kind == Kind::Character);
            let digest = digest_of(&picture.image);
            match worthless(&picture, &digest, &mut looks, refuse) {
                Some(reason) => this.left_out.push(LeftOut { digest, reason }),
                None => this.add(model, recipe, &picture, &digest)?,
            }
        }
        this.limit_generated();
        let usable = count(&this.character);
        if usable < recipe.references.max(1) {
            let (needed, left_out) = (recipe.references.max(1), this.left_out);
            return Err(DatasetError::TooFew { given, usable, needed, left_out });
        }
        this.digest = this.digest_of_all(recipe);
        Ok(this)
    }

    /// Pictures of the character, and of its class.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (count(&self.character), count(&self.class))
    }

    fn add(
        &mut self,
        model: &StableDiffusion,
        recipe: &Recipe,
        picture: &Picture,
        digest: &str,
    ) -> Result<(), DatasetError> {
        let Picture { image, caption, views, .. } = picture;
        if views.is_empty() {
            let crop = Crop::choose(image.dimensions(), picture.face, recipe);
            return self.encode(model, picture, (crop.cut(image), caption, crop.sizes(image.dimensions())), digest);
        }
        views.iter().try_for_each(|view| {
            let (width, height) = (view.frame.0 as f32, view.frame.1 as f32);
            let sizes = [height, width, 0.0, 0.0, height, width];
            self.encode(model, picture, (view.show(image), &view.caption, sizes), digest)
        })
    }

    /// Adds what a picture is trained as: pixels, caption, and where they lay in it.
    fn encode(
        &mut self,
        model: &StableDiffusion,
        picture: &Picture,
        (pixels, caption, sizes): (RgbImage, &str, [f32; 6]),
        digest: &str,
    ) -> Result<(), DatasetError> {
        let failed = |source| DatasetError::Encode { digest: digest.to_owned(), source: Box::new(source) };
        let latent = model.encode(&pixels).map_err(failed)?.tensor().detach();
        let buckets = if picture.kind == Kind::Character { &mut self.character } else { &mut self.class };
        let shape = (latent.dims()[2], latent.dims()[3]);
        let (caption, digest, identity) = (caption.to_owned(), digest.to_owned(), picture.identity.clone());
        let example = Example { latent, caption, origin: picture.origin, sizes, identity, digest };
        buckets.entry(shape).or_default().push(example);
        Ok(())
    }

    /// From ten real pictures on, no more generated than real ones; those that came last go.
    fn limit_generated(&mut self) {
        let of = |origin| move |example: &&Example| example.origin == origin;
        let real: BTreeSet<&str> =
            self.character.values().flatten().filter(of(Origin::Real)).map(|example| &example.digest[..]).collect();
        let real = real.len();
        if real < REAL_ENOUGH {
            return;
        }
        let mut left = real;
        for examples in self.character.values_mut() {
            let fits = |example: &Example| {
                if example.origin == Origin::Real {
                    return true;
                }
                let fits = left > 0;
                left = left.saturating_sub(1);
                fits
            };
            let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(examples).into_iter().partition(fits);
            *examples = stay;
            self.left_out.extend(go.into_iter().map(|e| LeftOut { digest: e.digest, reason: TOO_MANY.to_owned() }));
        }
        self.character.retain(|_, examples| !examples.is_empty());
    }

    fn digest_of_all(&self, recipe: &Recipe) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{} {}\n", recipe.resolution, recipe.bucket_step));
        for (kind, buckets) in [("character", &self.character), ("class", &self.class)] {
            for example in buckets.values().flatten() {
                hash.update(format!("{kind} {} {:?} {:?}\n", example.digest, example.caption, example.sizes));
            }
        }
        hex::encode(hash.finalize())
    }
}

/// Pictures, each once in however many frames it stands.
fn count(buckets: &Buckets) -> usize {
    buckets.values().flatten().map(|example| &example.digest).collect::<BTreeSet<_>>().len()
}

fn digest_of(image: &RgbImage) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{} {}\n", image.width(), image.height()));
    hash.update(image.as_raw());
    hex::encode(hash.finalize())
}

fn too_small(image: &RgbImage) -> Option<String> {
    let (width, height) = image.dimensions();
    (width < 16 || height < 16).then(|| format!("has {width} × {height} pixels only"))
}

/// How many were left out for what, for an error.
fn reasons(left_out: &[LeftOut]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    left_out.iter().for_each(|out| *counts.entry(out.reason.split(':').next().unwrap_or_default()).or_default() += 1);
    let told: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if told.is_empty() { String::new() } else { format!(" (left out: {})", told.join(", ")) }
}
