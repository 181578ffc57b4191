//! Figures of the ControlNet: whether a face comes where a depth picture asks for it, beside the same picture without.

use greenroom_diffusion::{Control, IdentityTokens, Request};
use greenroom_domain::{Box2, Seed};
use image::RgbImage;
use std::{ops::ControlFlow, path::Path, sync::Arc};

use crate::{
    Fault,
    cast::Cast,
    models::{Models, framed},
    progress, say,
    statistics::mean,
    truth::{Guide, Truth},
};

/// Measures and prints; nothing where the pack has no ControlNet.
pub(crate) fn measure(models: &mut Models, truth: &Truth, cast: &Cast, drawings: &Path) -> Result<(), Fault> {
    let diffusion = models.diffusion()?;
    let Some(net) = models.control(&diffusion)? else { return Ok(()) };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (i, guide) in truth.guides.iter().enumerate() {
        let file = drawings.join(&guide.file);
        let picture = image::open(&file).map_err(|e| format!("read drawings: {}: {e}", file.display()))?.to_rgb8();
        let wanted = framed(&picture).1;
        let embedding = cast.profile(models, guide.identity)?.centroid.as_slice().to_vec();
        let plain = request(models, guide, i, embedding, &picture);
        let control = Control { net: Arc::clone(&net), picture, scale: 1.0 };
        let steered = Request { control: Some(control), ..plain.clone() };
        for (request, shares) in [(&plain, &mut without), (&steered, &mut with)] {
            let made = diffusion.generate(request, &mut |_| ControlFlow::Continue(()))?;
            let found = models.find(&framed(&made.picture).0)?;
            let [x0, y0, x1, y1] = guide.bbox.map(|v| v * wanted);
            let wanted = Box2 { x0, y0, x1, y1 };
            shares.push(found.first().map_or(0.0, |face| f64::from(overlap(&face.bbox, &wanted))));
        }
        progress("steered pair of pictures", i + 1, truth.guides.len(), 4);
    }
    say("control_box_iou", mean(&with), "1");
    say("control_box_iou_without", mean(&without), "1");
    Ok(())
}

fn request(models: &Models, guide: &Guide, number: usize, embedding: Vec<f32>, picture: &RgbImage) -> Request {
    let pack = &models.pack.diffusion;
    Request {
        negative: pack.negative.clone(),
        guidance: pack.guidance,
        identity: Some(IdentityTokens { embedding, scale: pack.identity_scale }),
        ..Request::new(&guide.text, Seed(number as u64).derive("guide", 0).0, picture.dimensions(), pack.steps)
    }
}

/// Intersection over union of two boxes, 0 to 1.
fn overlap(a: &Box2, b: &Box2) -> f32 {
    let side = |low: f32, high: f32| (high - low).max(0.0);
    let shared = side(a.x0.max(b.x0), a.x1.min(b.x1)) * side(a.y0.max(b.y0), a.y1.min(b.y1));
    let area = |b: &Box2| side(b.x0, b.x1) * side(b.y0, b.y1);
    shared / (area(a) + area(b) - shared).max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_box_is_half_of_what_both_cover() {
        let a = Box2 { x0: 0.0, y0: 0.0, x1: 2.0, y1: 2.0 };
        let half = Box2 { y1: 1.0, ..a };
        assert!((overlap(&a, &half) - 0.5).abs() < 1e-6 && (overlap(&a, &a) - 1.0).abs() < 1e-6);
        assert!(overlap(&a, &Box2 { x0: 3.0, x1: 4.0, ..a }) < 1e-6);
    }
}
