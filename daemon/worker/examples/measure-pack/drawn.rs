//! Figures of the models that look at pictures, on drawings with their truth.

use greenroom_identity::Embedding;
use image::RgbImage;
use std::path::Path;

use crate::{
    Fault,
    cast::Cast,
    models::{Models, framed},
    progress, say,
    shown::Answers,
    statistics::{area_under_curve, exceeded_by, landmark_error, matched, mean, share},
    truth::{Picture, Set, Truth},
};

/// Share of strangers that may pass.
const FALSE_ACCEPTS: f64 = 0.001;

/// Measures, prints, and gives the cast back as its references show it.
pub(crate) fn measure(models: &mut Models, truth: &Truth, folder: &Path) -> Result<Cast, Fault> {
    let mut cast = Cast::default();
    let (mut alike, mut seen, mut answers) = (Likeness::default(), Detection::default(), Answers::default());
    for (i, picture) in truth.pictures.iter().enumerate() {
        let file = folder.join(&picture.file);
        let pixels = image::open(&file).map_err(|e| format!("read drawings: {}: {e}", file.display()))?.to_rgb8();
        match (picture.set, picture.faces.as_slice()) {
            (Set::References, [face]) => cast.add(models, face.identity, &pixels)?,
            (Set::Lookalikes, _) => alike.add(models, picture, &pixels)?,
            (Set::Faces, _) => {
                alike.add(models, picture, &pixels)?;
                seen.add(models, picture, &pixels)?;
                read(models, picture, &pixels, &mut answers)?;
            }
            (Set::Scenes, _) => {
                seen.add(models, picture, &pixels)?;
                read(models, picture, &pixels, &mut answers)?;
            }
            (Set::References, _) => return Err(format!("read drawings: {} shows not one face", picture.file).into()),
        }
        progress("drawing", i + 1, truth.pictures.len(), 200);
    }
    alike.say();
    seen.say();
    if models.classifier.is_some() {
        answers.say("attribute_accuracy");
    }
    Ok(cast)
}

/// Embeddings of single faces at their true landmarks.
#[derive(Default)]
struct Likeness {
    faces: Vec<(u64, Embedding)>,
    lookalikes: Vec<(u64, Embedding)>,
}

impl Likeness {
    fn add(&mut self, models: &mut Models, picture: &Picture, pixels: &RgbImage) -> Result<(), Fault> {
        let (frame, scale) = framed(pixels);
        for face in &picture.faces {
            let embedding = models.embed(models.aligned(&frame, &face.found(scale).landmarks))?;
            match face.like {
                Some(original) => self.lookalikes.push((original, embedding)),
                None => self.faces.push((face.identity, embedding)),
            }
        }
        Ok(())
    }

    fn say(&self) {
        let (mut genuine, mut impostors) = (Vec::new(), Vec::new());
        for (i, (who, face)) in self.faces.iter().enumerate() {
            for (other, another) in &self.faces[..i] {
                let pairs = if who == other { &mut genuine } else { &mut impostors };
                pairs.push(face.cosine(another).0);
            }
        }
        let pairs = self.lookalikes.iter().flat_map(|(original, face)| {
            let theirs = self.faces.iter().filter(move |(who, _)| who == original);
            theirs.map(|(_, other)| face.cosine(other).0)
        });
        let lookalikes: Vec<f32> = pairs.collect();
        let limit = exceeded_by(FALSE_ACCEPTS, &impostors);
        let passing = |cosines: &[f32]| limit.and_then(|limit| share(cosines, |cosine| *cosine > limit));
        say("embedder_auc", area_under_curve(&genuine, &impostors), "1");
        say("embedder_tar_at_far_0.001", passing(&genuine), "1");
        say("lookalike_far", passing(&lookalikes), "1");
    }
}

/// What the detector found and what it did not.
#[derive(Default)]
struct Detection {
    pictures: usize,
    faces: usize,
    found: usize,
    wrong: usize,
    errors: Vec<f64>,
}

impl Detection {
    fn add(&mut self, models: &mut Models, picture: &Picture, pixels: &RgbImage) -> Result<(), Fault> {
        let (frame, scale) = framed(pixels);
        let truth: Vec<_> = picture.faces.iter().map(|face| face.found(scale)).collect();
        let found = models.find(&frame)?;
        let matches = matched(&truth, &found);
        let right = truth.iter().zip(&matches).filter_map(|(face, found)| Some((face, (*found)?)));
        let errors: Vec<f64> = right.map(|(face, found)| landmark_error(face, found)).collect();
        self.pictures += 1;
        self.faces += truth.len();
        self.found += errors.len();
        self.wrong += found.len() - errors.len();
        self.errors.extend(errors);
        Ok(())
    }

    fn say(&self) {
        let per = |count: usize, of: usize| (of > 0).then(|| count as f64 / of as f64);
        say("detector_recall", per(self.found, self.faces), "1");
        say("detector_false_per_picture", per(self.wrong, self.pictures), "1");
        say("landmark_error_iod", mean(&self.errors), "1");
    }
}

/// Reads every true face's attributes.
fn read(models: &mut Models, picture: &Picture, pixels: &RgbImage, answers: &mut Answers) -> Result<(), Fault> {
    let Some(classifier) = &mut models.classifier else { return Ok(()) };
    let (frame, scale) = framed(pixels);
    let faces: Vec<_> = picture.faces.iter().map(|face| face.found(scale)).collect();
    for (read, face) in classifier.classify(&frame, &faces)?.iter().zip(&picture.faces) {
        for attribute in read.0.keys() {
            answers.count(attribute, Some(read), picture.shows(face));
        }
    }
    Ok(())
}
