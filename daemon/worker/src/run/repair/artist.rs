//! What is made anew in a frame: where it is cut out, from what it is painted, how it is put back.

use greenroom_diffusion::{Inpaint, Request, StableDiffusion, Start, StepDone};
use greenroom_domain::{Box2, FaceAt, FaceRepair, FigureRemoval, Pixels, Prompt, RepairSpec, Seed};
use greenroom_media::{Oval, Window};
use image::{GrayImage, Luma, RgbImage};
use std::ops::ControlFlow;

use super::super::{Bench, generate};
use super::track::Place;
use crate::fault::Fault;

/// The oval of a face that is made anew, in halves of its box: from the brow to the chin a box holds neither forehead nor ears,
/// and a new face in an old outline shows a seam.
const OVAL: (f32, f32) = (1.25, 1.35);
/// The oval's centre lies higher than the box's by this share of the box's height, for the forehead.
const RAISED: f32 = 0.08;
/// The soft edge ends at so many radii of the oval.
const EDGE: f32 = 1.3;
/// A figure is covered by half an oval that stands on the picture's lower edge: so many of its face's widths to either side at
/// the bottom, where shoulders are, and so many of its heights above its box, for the hair.
const FIGURE: (f32, f32) = (1.7, 0.9);
/// A figure's soft edge is narrower: what is beyond it is somebody else, or the wall.
const FIGURE_EDGE: f32 = 1.12;
/// So much of a box's width beside it is hair, and the figure of whoever stays is not touched there.
const HAIR: f32 = 0.3;

/// What is made anew.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    /// A face, to be the character's.
    Face(&'a FaceRepair),
    /// A figure, to be gone.
    Figure(&'a FigureRemoval),
}

impl<'a> Subject<'a> {
    /// Everything in the order in which it is done: who is to go may stand before a face.
    pub(super) fn all(spec: &'a RepairSpec) -> Vec<Self> {
        spec.figures.iter().map(Subject::Figure).chain(spec.faces.iter().map(Subject::Face)).collect()
    }

    pub(super) fn character(self) -> &'a str {
        match self {
            Self::Face(face) => &face.character,
            Self::Figure(figure) => &figure.character,
        }
    }

    pub(super) fn seen(self) -> &'a [FaceAt] {
        match self {
            Self::Face(face) => &face.seen,
            Self::Figure(figure) => &figure.seen,
        }
    }

    pub(super) fn beside(self) -> &'a [FaceAt] {
        match self {
            Self::Face(_) => &[],
            Self::Figure(figure) => &figure.beside,
        }
    }

    fn prompt(self) -> &'a Prompt {
        match self {
            Self::Face(face) => &face.prompt,
            Self::Figure(figure) => &figure.prompt,
        }
    }
}

/// Makes one subject anew.
pub(super) struct Artist<'a> {
    pub(super) spec: &'a RepairSpec,
    subject: Subject<'a>,
    diffusion: &'a StableDiffusion,
    /// Without a start: that is each picture's own.
    request: Request,
}

impl<'a> Artist<'a> {
    pub(super) fn new(
        bench: &'a mut Bench,
        spec: &'a RepairSpec,
        subject: Subject<'a>,
        seed: Seed,
    ) -> Result<Self, Fault> {
        let who = if let Subject::Face(face) = subject { face.identity.as_ref() } else { None };
        let identity = who.map(|who| generate::tokens(bench, who)).transpose()?.flatten();
        let Pixels { width, height } =
            generate::nearest_shape(&bench.models.pack.diffusion.native_sizes, Pixels { width: 1, height: 1 });
        let (size, prompt) = (width.min(height), subject.prompt());
        let request = Request {
            negative: prompt.negative.clone(),
            guidance: spec.guidance,
            identity,
            ..Request::new(&prompt.positive, seed.0, (size, size), spec.steps)
        };
        let lora = if let Subject::Face(face) = subject { face.lora.as_ref() } else { None };
        Ok(Self { spec, subject, request, diffusion: bench.generator(lora)? })
    }

    /// The square around the subject, made anew.
    pub(super) fn paint(
        &self,
        frame: &RgbImage,
        place: &Place,
        step: &mut dyn FnMut(StepDone) -> ControlFlow<()>,
    ) -> Result<RgbImage, Fault> {
        let (window, oval) = self.area(place, frame.dimensions());
        let size = self.request.width;
        let picture = window.cut(frame, size);
        let inside = |pixel: u32| (pixel as f32 + 0.5) / size as f32;
        let edge = if let Subject::Figure(_) = self.subject { oval.edge } else { 1.0 };
        let mask = GrayImage::from_fn(size, size, |x, y| {
            Luma([if oval.distance(inside(x), inside(y)) <= edge { u8::MAX } else { 0 }])
        });
        let strength = if let Subject::Figure(_) = self.subject { 1.0 } else { self.spec.strength };
        let start = Start { latent: self.diffusion.encode(&picture)?, strength };
        let inpaint = Some(Inpaint { picture, mask });
        let request = Request { start: Some(start), inpaint, ..self.request.clone() };
        Ok(self.diffusion.generate(&request, step)?.picture)
    }

    pub(super) fn put_back(&self, frame: &mut RgbImage, place: &Place, painted: &RgbImage, share: f32) {
        let (window, oval) = self.area(place, frame.dimensions());
        window.paste(frame, painted, &oval, share);
    }

    /// What is cut out, and what of it is made anew.
    fn area(&self, place: &Place, size: (u32, u32)) -> (Window, Oval) {
        match self.subject {
            Subject::Face(_) => around_face(&place.face, self.spec.crop, size),
            Subject::Figure(_) => around_figure(place, size),
        }
    }
}

fn around_face(face: &Box2, crop: f32, size: (u32, u32)) -> (Window, Oval) {
    let (width, height) = (face.x1 - face.x0, face.y1 - face.y0);
    let centre = ((face.x0 + face.x1) / 2.0, (face.y0 + face.y1) / 2.0 - RAISED * height);
    let window = Window::inside(wide(centre), f64::from(crop * width.max(height)), size);
    (window, oval(&window, centre, (OVAL.0 * width / 2.0, OVAL.1 * height / 2.0), EDGE))
}

/// From the hair to the picture's lower edge, as far to the sides as whoever stays leaves room.
fn around_figure(place: &Place, (width, height): (u32, u32)) -> (Window, Oval) {
    let face = &place.face;
    let (wide_, tall) = (face.x1 - face.x0, face.y1 - face.y0);
    let middle = (face.x0 + face.x1) / 2.0;
    let (mut left, mut right) = (middle - FIGURE.0 * wide_, middle + FIGURE.0 * wide_);
    if let Some(stays) = &place.beside {
        let hair = HAIR * (stays.x1 - stays.x0);
        if (stays.x0 + stays.x1) / 2.0 > middle {
            right = right.min((stays.x0 - hair).max(face.x1));
        } else {
            left = left.max((stays.x1 + hair).min(face.x0));
        }
    }
    let bottom = height as f32;
    let top = (face.y0 - FIGURE.1 * tall).max(-tall);
    let (centre, radii) = (((left + right) / 2.0, bottom), ((right - left) / 2.0, bottom - top));
    let window = Window::inside(wide((centre.0, bottom / 2.0)), f64::from(height), (width, height));
    let inner = (radii.0 / FIGURE_EDGE, radii.1 / FIGURE_EDGE);
    (window, oval(&window, centre, inner, FIGURE_EDGE))
}

fn oval(window: &Window, centre: (f32, f32), radii: (f32, f32), edge: f32) -> Oval {
    let share = |length: f32| length / window.side as f32;
    Oval {
        centre: (share(centre.0 - window.left as f32), share(centre.1 - window.top as f32)),
        radii: (share(radii.0), share(radii.1)),
        edge,
    }
}

fn wide((x, y): (f32, f32)) -> (f64, f64) {
    (f64::from(x), f64::from(y))
}
