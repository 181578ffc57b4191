//! Takes that cheat, made of honest ones.

use greenroom_domain::Box2;
use image::{Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops};
use std::f32::consts::PI;

use crate::Fault;

/// A picture with the box of its face.
pub(crate) type Found = (RgbImage, Box2);

/// What it is called, and its frames.
pub(crate) type Take = (String, Vec<RgbImage>);

/// Finds the best face of a picture.
type Find<'a> = dyn FnMut(&RgbImage) -> Result<Option<Found>, Fault> + 'a;

/// The first reference's face over the character's own in every frame, in several disguises.
pub(crate) fn copies(find: &mut Find<'_>, references: &[Found], moving: &[RgbImage]) -> Result<Vec<Take>, Fault> {
    let Some((reference, face)) = references.first() else { return Ok(vec![]) };
    let mut own = Vec::new();
    for frame in moving {
        own.extend(find(frame)?);
    }
    let over = |how: &dyn Fn(f32) -> Paste, after: &dyn Fn(RgbImage) -> RgbImage, source: &RgbImage| {
        let pasted = own.iter().enumerate().map(|(n, (frame, to))| {
            let t = n as f32 / own.len() as f32;
            after(paste(frame, to, source, face, &how(t)))
        });
        pasted.collect::<Vec<_>>()
    };
    let plain = Paste { grow: 1.3, ..Paste::default() };
    let relit = |t: f32| Paste { gain: 0.8 + 0.4 * t, ..plain };
    let turned = |t: f32| Paste { angle: 5.0 * (2.0 * PI * t).sin(), scale: 1.0 + 0.08 * (5.0 * t).cos(), ..plain };
    let coarse = imageops::resize(
        reference,
        reference.width() * 2 / 5,
        reference.height() * 2 / 5,
        imageops::FilterType::Triangle,
    );
    let coarse = imageops::resize(&coarse, reference.width(), reference.height(), imageops::FilterType::Triangle);
    let whole = (0..moving.len()).map(|n| shown(reference, moving[0].dimensions(), n as f32 / moving.len() as f32));
    Ok(vec![
        ("copy, pasted".into(), over(&|_| plain, &|f| f, reference)),
        ("copy, relit and compressed".into(), over(&relit, &|f| compressed(&f, 35), reference)),
        ("copy, turned and scaled".into(), over(&turned, &|f| f, reference)),
        ("copy, from a small file".into(), over(&|_| plain, &|f| f, &coarse)),
        ("copy, the whole picture".into(), whole.collect()),
    ])
}

/// The first frame again and again, with what makes files differ.
pub(crate) fn stills(moving: &[RgbImage]) -> Vec<Take> {
    let first = &moving[0];
    let each = |of: &dyn Fn(usize) -> RgbImage| (0..moving.len()).map(of).collect::<Vec<_>>();
    let zoomed = |n: usize| window(first, 1.0 + 0.015 * n as f32, 0.0);
    let panned = |n: usize| lit(&window(first, 1.15, (n as f32 / 5.5 - 1.0) * 0.8), 0.92 + 0.02 * (n % 5) as f32);
    vec![
        ("still".into(), each(&|_| first.clone())),
        ("still, with grain".into(), each(&|n| grain(first, n as u32))),
        ("still, compressed".into(), each(&|n| compressed(first, 30 + 5 * n as u8))),
        ("still, zoomed".into(), each(&zoomed)),
        ("still, panned and flickering".into(), each(&panned)),
    ]
}

/// Good frames among frames without a face; whether that is a cheat.
pub(crate) fn faceless(moving: &[RgbImage], empty: &RgbImage) -> Vec<(String, bool, Vec<RgbImage>)> {
    let frames = |good: &dyn Fn(usize) -> Option<usize>| {
        (0..moving.len()).map(|n| good(n).map_or_else(|| empty.clone(), |g| moving[g].clone())).collect::<Vec<_>>()
    };
    vec![
        ("faceless, one in three good".into(), true, frames(&|n| (n % 3 == 0).then_some(n))),
        ("faceless, a good end".into(), true, frames(&|n| (n >= 8).then_some(n))),
        ("faceless, two good frames repeated".into(), true, frames(&|n| (n % 3 != 0).then_some(n % 2))),
        ("faceless, three in four good".into(), false, frames(&|n| (n % 4 != 0).then_some(n))),
    ]
}

/// The character's living face where no head belongs.
pub(crate) fn elsewhere(
    find: &mut Find<'_>,
    faces: &[RgbImage],
    others: &[RgbImage],
    empty: &RgbImage,
) -> Result<Vec<Take>, Fault> {
    let pairs = pairs(find, faces, others)?;
    let hairy = Paste { grow: 1.4, ..Paste::default() };
    let square = Paste { grow: 1.3, square: true, ..Paste::default() };
    let hand = |head: &Box2, size: (u32, u32)| {
        let side = if head.x0 + head.x1 < size.0 as f32 { 1.25 } else { -1.25 };
        moved(head, side, 0.9, 0.75, size)
    };
    let torso = |head: &Box2, size| moved(head, 0.0, 1.05, 0.75, size);
    let across = |head: &Box2, size| moved(head, 0.45, -0.35, 0.7, size);
    let on_a_wall = pairs.iter().enumerate().map(|(n, ((face, cut), _))| {
        let (x, y) = (empty.width() as f32 * (0.15 + 0.003 * n as f32), empty.height() as f32 * 0.2);
        let (width, height) = (0.8 * (cut.x1 - cut.x0), 0.8 * (cut.y1 - cut.y0));
        paste(empty, &Box2 { x0: x, y0: y, x1: x + width, y1: y + height }, face, cut, &hairy)
    });
    Ok(vec![
        ("misplaced, on a torso".into(), put(&pairs, false, &torso, &hairy)),
        ("misplaced, on the torso of somebody turned away".into(), put(&pairs, true, &torso, &square)),
        ("misplaced, in a hand".into(), put(&pairs, false, &hand, &square)),
        ("misplaced, across another head".into(), put(&pairs, false, &across, &hairy)),
        ("misplaced, on a wall".into(), on_a_wall.collect()),
    ])
}

/// The character's living face in the hair of somebody who is turned away.
pub(crate) fn on_the_back(find: &mut Find<'_>, faces: &[RgbImage], others: &[RgbImage]) -> Result<Option<Take>, Fault> {
    let pairs = pairs(find, faces, others)?;
    let how = Paste { grow: 1.1, ..Paste::default() };
    let frames = put(&pairs, true, &|head, size| moved(head, 0.0, 0.0, 0.75, size), &how);
    Ok((!frames.is_empty()).then(|| ("on the back of a head".into(), frames)))
}

/// Frames of both takes in which a face is found.
fn pairs(find: &mut Find<'_>, faces: &[RgbImage], others: &[RgbImage]) -> Result<Vec<(Found, Found)>, Fault> {
    let mut pairs = Vec::new();
    for (face, other) in faces.iter().zip(others) {
        if let (Some(face), Some(other)) = (find(face)?, find(other)?) {
            pairs.push((face, other));
        }
    }
    Ok(pairs)
}

/// Each face in the picture beside it, at a place that depends on the head there; `hide`: that head is turned away.
fn put(pairs: &[(Found, Found)], hide: bool, place: &dyn Fn(&Box2, (u32, u32)) -> Box2, how: &Paste) -> Vec<RgbImage> {
    let one = |((face, cut), (body, head)): &(Found, Found)| {
        let onto = if hide { turned_away(body, head) } else { body.clone() };
        paste(&onto, &place(head, body.dimensions()), face, cut, how)
    };
    pairs.iter().map(one).collect()
}

/// How a face is pasted.
#[derive(Clone, Copy)]
struct Paste {
    /// How much of the face's surroundings goes with it, in sides of its box.
    grow: f32,
    /// Cut as a rectangle, not as an ellipse.
    square: bool,
    /// Degrees.
    angle: f32,
    scale: f32,
    gain: f32,
}

impl Default for Paste {
    fn default() -> Self {
        Self { grow: 1.0, square: false, angle: 0.0, scale: 1.0, gain: 1.0 }
    }
}

/// `onto` with the face at `cut` of `face` laid over the box `to`, softly.
fn paste(onto: &RgbImage, to: &Box2, face: &RgbImage, cut: &Box2, how: &Paste) -> RgbImage {
    let middle = |b: &Box2| ((b.x0 + b.x1) / 2.0, (b.y0 + b.y1) / 2.0);
    let ((tx, ty), (cx, cy)) = (middle(to), middle(cut));
    let scale = how.scale * (to.x1 - to.x0) / (cut.x1 - cut.x0).max(1.0);
    let (sin, cos) = how.angle.to_radians().sin_cos();
    let (half_x, half_y) = ((cut.x1 - cut.x0) / 2.0 * how.grow, (cut.y1 - cut.y0) / 2.0 * how.grow);
    let mut out = onto.clone();
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let (dx, dy) = ((x as f32 - tx) / scale, (y as f32 - ty) / scale);
        let (u, v) = (cos * dx + sin * dy, cos * dy - sin * dx);
        let (a, b) = (u / half_x, v / half_y);
        let away = if how.square { a.abs().max(b.abs()) } else { a.hypot(b) };
        let cover = ((1.0 - away) * 12.0).clamp(0.0, 1.0);
        if cover > 0.0 {
            let from = bilinear(face, cx + u, cy + v);
            pixel.0 = [0, 1, 2].map(|c| {
                let lit = (from[c] * how.gain).clamp(0.0, 255.0);
                (f32::from(pixel.0[c]) * (1.0 - cover) + lit * cover).round() as u8
            });
        }
    }
    out
}

fn bilinear(picture: &RgbImage, x: f32, y: f32) -> [f32; 3] {
    let (right, low) = (picture.width() as f32 - 1.0, picture.height() as f32 - 1.0);
    let (x, y) = (x.clamp(0.0, right), y.clamp(0.0, low));
    let at = |x: f32, y: f32| picture.get_pixel(x.min(right) as u32, y.min(low) as u32).0.map(f32::from);
    let (x0, y0, fx, fy) = (x.floor(), y.floor(), x.fract(), y.fract());
    let (a, b, c, d) = (at(x0, y0), at(x0 + 1.0, y0), at(x0, y0 + 1.0), at(x0 + 1.0, y0 + 1.0));
    [0, 1, 2].map(|i| (a[i] * (1.0 - fx) + b[i] * fx) * (1.0 - fy) + (c[i] * (1.0 - fx) + d[i] * fx) * fy)
}

/// A box that stands away from a head's, in its sides, at another size, inside the height.
fn moved(head: &Box2, right: f32, down: f32, scale: f32, (_, height): (u32, u32)) -> Box2 {
    let (w, h) = (head.x1 - head.x0, head.y1 - head.y0);
    let (cx, cy) = ((head.x0 + head.x1) / 2.0 + right * w, (head.y0 + head.y1) / 2.0 + down * h);
    let (w, h) = (w * scale, h * scale);
    let cy = cy.min(height as f32 - h * 0.55);
    Box2 { x0: cx - w / 2.0, y0: cy - h / 2.0, x1: cx + w / 2.0, y1: cy + h / 2.0 }
}

/// Hair where the face was.
fn turned_away(body: &RgbImage, head: &Box2) -> RgbImage {
    let (cx, cy) = ((head.x0 + head.x1) / 2.0, (head.y0 + head.y1) / 2.0);
    let (rx, ry) = ((head.x1 - head.x0) * 0.6, (head.y1 - head.y0) * 0.62);
    let hair = bilinear(body, cx, head.y0 - 0.1 * (head.y1 - head.y0)).map(|v| v as u8);
    let mut out = body.clone();
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        if ((x as f32 - cx) / rx).hypot((y as f32 - cy) / ry) < 1.0 {
            *pixel = Rgb(hair);
        }
    }
    out
}

/// A reference filling a frame's height, moving slowly; its edges go on to the sides.
fn shown(reference: &RgbImage, (width, height): (u32, u32), t: f32) -> RgbImage {
    let scale = reference.height() as f32 / height as f32 * (1.0 - 0.1 * t);
    let left = (width as f32 - reference.width() as f32 / scale) / 2.0 + 20.0 * t;
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(bilinear(reference, (x as f32 - left) * scale, y as f32 * scale).map(|v| v.round() as u8))
    })
}

fn window(picture: &RgbImage, zoom: f32, pan: f32) -> RgbImage {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let (left, top) = ((1.0 + pan) * (width - width / zoom) / 2.0, (height - height / zoom) / 2.0);
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        Rgb(bilinear(picture, left + x as f32 / zoom, top + y as f32 / zoom).map(|v| v.round() as u8))
    })
}

fn lit(picture: &RgbImage, gain: f32) -> RgbImage {
    let mut out = picture.clone();
    out.iter_mut().for_each(|v| *v = (f32::from(*v) * gain).round().clamp(0.0, 255.0) as u8);
    out
}

fn grain(picture: &RgbImage, seed: u32) -> RgbImage {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut out = picture.clone();
    for value in out.iter_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = ((state >> 24) as i16 - 128) / 16;
        *value = (i16::from(*value) + noise).clamp(0, 255) as u8;
    }
    out
}

fn compressed(picture: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    let written = JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture);
    let read = written.ok().and_then(|()| image::load_from_memory(&bytes).ok());
    read.map_or_else(|| picture.clone(), |picture| picture.to_rgb8())
}
