//! Detects, aligns and embeds the faces of a stream of pictures on all cores, in bounded memory.
//!
//! Whoever has the pictures (a decoder) hands them over one by one; the caller's thread does nothing else. They go in groups
//! to *lanes*, each a thread with a detector and an embedder of its own: one lane works on one group, so that cores wait for
//! each other only when there is nothing left to do. The faces of a group are embedded together. What comes back is in the
//! order of the pictures, and, because groups are made by counting and a lane's models always have the same threads, the same
//! bytes on every run.
//!
//! *Memory.* Besides the models, of each lane one, there are at most lanes + 2 groups: one in each lane, one waiting, one being
//! filled. A group is closed by its number of pictures or once it has 8 million pixels (24 MB), so it has at most 24 MB
//! and a picture: with four lanes, 200 MB of HD and 750 MB of 8K.

use greenroom_domain::{AttributeDefaults, DetectorInput, EmbedderInput};
use image::RgbImage;
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
};

use crate::{Compute, Detector, Embedder, Embedding, Face, ModelError, Patch, align, distinct, face_square};

/// More lanes hold more models than the memory of a small machine has room for; more cores make each lane faster.
const MOST_LANES: usize = 4;
/// A group with so many pixels is full.
const PIXELS_TOGETHER: u64 = 8_000_000;

/// Which models, and how they want their pictures.
#[derive(Clone, Debug)]
pub struct FaceModels {
    /// The detector's file.
    pub detector: PathBuf,
    /// Side of its square input, pixels, where the model leaves that open.
    pub detect_size: u32,
    /// How it wants its pixels.
    pub detector_input: DetectorInput,
    /// The embedder's file.
    pub embedder: PathBuf,
    /// How it wants its pixels.
    pub embedder_input: EmbedderInput,
    /// Cuts what an attribute classifier wants to see of each face; none where nobody will ask one.
    pub squares: Option<AttributeDefaults>,
}

/// What counts as a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// The least score, 0 to 1.
    pub score: f32,
    /// Shorter side of the box, pixels: smaller faces are found, and not embedded.
    pub embedded_from: f32,
}

/// A face of a picture.
#[derive(Clone, Debug)]
pub struct FoundFace {
    /// Where it is.
    pub face: Face,
    /// None where it is too small.
    pub embedding: Option<Embedding>,
    /// How it looks; none where it is too small.
    pub patch: Option<Patch>,
    /// What the classifier would see; none where it is too small, or nobody will ask.
    pub square: Option<RgbImage>,
}

/// Detectors and embedders on all cores, open and ready.
#[derive(Debug)]
pub struct FacePipeline {
    first: Lane,
    more: Vec<Lane>,
    lanes: usize,
    models: FaceModels,
    compute: Compute,
}

#[derive(Debug)]
struct Lane {
    detector: Detector,
    embedder: Embedder,
    squares: Option<AttributeDefaults>,
}

/// Pictures that are looked at together, and the number of the first.
struct Group {
    first: usize,
    pictures: Vec<RgbImage>,
}

/// What a lane made of a group that began with this picture.
type Told = (usize, Result<Vec<Vec<FoundFace>>, ModelError>);

impl FacePipeline {
    /// Opens the models once; [`look`](Self::look) opens them again for the other lanes when it is first called.
    ///
    /// `compute.threads` are shared out among at most four lanes.
    ///
    /// # Errors
    /// Those of [`Detector::open`] and [`Embedder::open`].
    pub fn open(models: FaceModels, compute: impl Into<Compute>) -> Result<Self, ModelError> {
        let compute = compute.into();
        let lanes = compute.threads.clamp(1, MOST_LANES);
        let compute = Compute { threads: compute.threads / lanes, ..compute };
        let first = Lane::open(&models, compute)?;
        Ok(Self { first, more: Vec::new(), lanes, models, compute })
    }

    /// For single pictures: one lane's detector and embedder.
    pub const fn one(&mut self) -> (&mut Detector, &mut Embedder) {
        (&mut self.first.detector, &mut self.first.embedder)
    }

    /// Looks at every picture that `next` gives, until it gives none: for each, in order, its distinct faces, best first.
    ///
    /// # Errors
    /// What `next` says, at once after what is being looked at; else if a model fails, for the earliest picture.
    pub fn look<E: From<ModelError>>(
        &mut self,
        wanted: Wanted,
        next: impl FnMut() -> Result<Option<RgbImage>, E>,
    ) -> Result<Vec<Vec<FoundFace>>, E> {
        while self.more.len() + 1 < self.lanes {
            self.more.push(Lane::open(&self.models, self.compute)?);
        }
        let together = self.first.embedder.provider().pictures_together();
        let failed = AtomicBool::new(false);
        let (feed, groups) = sync_channel(1);
        let (tell, told) = channel();
        let fed = std::thread::scope(|scope| {
            // Only lanes hold the receiving end: should all of them end, the feeder learns of it.
            let groups = Arc::new(Mutex::new(groups));
            for lane in std::iter::once(&mut self.first).chain(&mut self.more) {
                let (groups, tell, failed) = (Arc::clone(&groups), tell.clone(), &failed);
                scope.spawn(move || lane.work(wanted, &groups, &tell, failed));
            }
            drop((groups, tell));
            let fed = fill(together, next, &feed, &failed);
            // Lanes end when nothing can come any more.
            drop(feed);
            fed
        });
        fed?;
        in_order(told.into_iter().collect())
    }
}

impl Lane {
    fn open(models: &FaceModels, compute: Compute) -> Result<Self, ModelError> {
        let detector = Detector::open(&models.detector, models.detect_size, &models.detector_input, compute)?;
        let embedder = Embedder::open(&models.embedder, &models.embedder_input, compute)?;
        Ok(Self { detector, embedder, squares: models.squares.clone() })
    }

    /// Until there are no more groups, or one cannot be looked at.
    fn work(&mut self, wanted: Wanted, groups: &Mutex<Receiver<Group>>, tell: &Sender<Told>, failed: &AtomicBool) {
        loop {
            let next = groups.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Group { first, pictures }) = next else { return };
            let found = self.look(wanted, pictures);
            let stop = found.is_err();
            failed.fetch_or(stop, Ordering::Relaxed);
            if tell.send((first, found)).is_err() || stop {
                return;
            }
        }
    }

    fn look(&mut self, wanted: Wanted, pictures: Vec<RgbImage>) -> Result<Vec<Vec<FoundFace>>, ModelError> {
        let (mut found, mut aligned) = (Vec::with_capacity(pictures.len()), Vec::new());
        for picture in pictures {
            let faces = distinct(&self.detector.detect(&picture, wanted.score)?);
            let seen = faces.into_iter().map(|face| {
                if face.short_side() < wanted.embedded_from {
                    return FoundFace { face, embedding: None, patch: None, square: None };
                }
                let upright = align(&picture, &face.landmarks, self.embedder.size());
                let patch = Some(Patch::of(&upright));
                let square = self.squares.as_ref().and_then(|how| face_square(&picture, &face.bbox, how));
                aligned.push(upright);
                FoundFace { face, embedding: None, patch, square }
            });
            found.push(seen.collect::<Vec<_>>());
        }
        let large = found.iter_mut().flatten().filter(|face| face.patch.is_some());
        for (face, embedding) in large.zip(self.embedder.embed(&aligned)?) {
            face.embedding = Some(embedding);
        }
        Ok(found)
    }
}

/// Makes groups of what `next` gives, until it ends or a lane failed.
fn fill<E>(
    together: usize,
    mut next: impl FnMut() -> Result<Option<RgbImage>, E>,
    feed: &SyncSender<Group>,
    failed: &AtomicBool,
) -> Result<(), E> {
    let mut group = Group { first: 0, pictures: Vec::new() };
    loop {
        let picture = if failed.load(Ordering::Relaxed) { None } else { next()? };
        let over = picture.is_none();
        group.pictures.extend(picture);
        let pixels: u64 = group.pictures.iter().map(|p| u64::from(p.width()) * u64::from(p.height())).sum();
        let full = group.pictures.len() >= together || pixels >= PIXELS_TOGETHER;
        if !group.pictures.is_empty() && (over || full) {
            let then = Group { first: group.first + group.pictures.len(), pictures: Vec::new() };
            // No lane is left to take it when all of them failed: they have told why.
            if feed.send(std::mem::replace(&mut group, then)).is_err() {
                return Ok(());
            }
        }
        if over {
            return Ok(());
        }
    }
}

fn in_order<E: From<ModelError>>(mut told: Vec<Told>) -> Result<Vec<Vec<FoundFace>>, E> {
    told.sort_by_key(|(first, _)| *first);
    let mut all = Vec::new();
    for (_, found) in told {
        all.extend(found?);
    }
    Ok(all)
}
