//! Text, plates and blends on pictures. The letters are DejaVu Sans, which may be embedded freely.

use ab_glyph::{Font as _, FontRef, ScaleFont as _, point};
use image::{Rgb, RgbImage};
use std::sync::LazyLock;

/// A position and a size in pixels, origin at the top left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

/// How letters look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) size: f32,
    pub(crate) bold: bool,
    pub(crate) colour: [u8; 3],
}

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| font(dejavu::sans::regular()));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| font(dejavu::sans::bold()));

fn font(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("the bundled font is whole")
}

impl Style {
    pub(crate) const fn new(size: f32, colour: [u8; 3]) -> Self {
        Self { size, bold: false, colour }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    fn font(self) -> &'static FontRef<'static> {
        if self.bold { &BOLD } else { &REGULAR }
    }

    /// Width of a line, pixels.
    pub(crate) fn width(self, text: &str) -> f32 {
        let font = self.font().as_scaled(self.size);
        text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
    }

    /// The text, or as much of it as fits a width, ending in an ellipsis.
    pub(crate) fn fit(self, text: &str, width: f32) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let mut short = text.to_owned();
        while short.pop().is_some() {
            let end = format!("{}…", short.trim_end());
            if self.width(&end) <= width {
                return end;
            }
        }
        String::new()
    }

    /// Draws a line whose left end is at `x` and whose capitals are centred on `middle`.
    pub(crate) fn draw(self, picture: &mut RgbImage, x: f32, middle: f32, text: &str) {
        let font = self.font().as_scaled(self.size);
        // DejaVu's capitals are 0.73 em high; ab_glyph's size is ascent to descent, 1.164 em.
        let baseline = middle + self.size * 0.73 / 1.164 / 2.0;
        let mut at = x;
        for c in text.chars() {
            let glyph = font.glyph_id(c).with_scale_and_position(self.size, point(at, baseline));
            at += font.h_advance(glyph.id);
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            outline.draw(|gx, gy, cover| {
                mix(picture, corner.x as i64 + i64::from(gx), corner.y as i64 + i64::from(gy), self.colour, cover);
            });
        }
    }
}

/// A filled rectangle with round corners and soft edges; `alpha` 0 to 1.
pub(crate) fn plate(picture: &mut RgbImage, area: Area, radius: f32, colour: [u8; 3], alpha: f32) {
    let (cx, cy) = (area.x + area.width / 2.0, area.y + area.height / 2.0);
    let (hx, hy) = (area.width / 2.0 - radius, area.height / 2.0 - radius);
    for y in area.y.floor() as i64..=(area.y + area.height).ceil() as i64 {
        for x in area.x.floor() as i64..=(area.x + area.width).ceil() as i64 {
            let dx = ((x as f32 + 0.5 - cx).abs() - hx).max(0.0);
            let dy = ((y as f32 + 0.5 - cy).abs() - hy).max(0.0);
            let cover = (radius + 0.5 - dx.hypot(dy)).clamp(0.0, 1.0);
            mix(picture, x, y, colour, cover * alpha);
        }
    }
}

/// The edge of a rectangle, so many pixels wide, inside it.
pub(crate) fn outline(picture: &mut RgbImage, area: Area, width: f32, colour: [u8; 3]) {
    let Area { x, y, width: across, height: down } = area;
    let inner = (down - 2.0 * width).max(0.0);
    for edge in [
        Area { height: width, ..area },
        Area { y: y + down - width, height: width, ..area },
        Area { y: y + width, width, height: inner, ..area },
        Area { x: x + across - width, y: y + width, width, height: inner },
    ] {
        plate(picture, edge, width / 2.0, colour, 1.0);
    }
}

/// `a` going over into `b`: 0 is `a`, 1 is `b`. Both have one size.
pub(crate) fn blend(a: &RgbImage, b: &RgbImage, t: f32) -> RgbImage {
    let weight = (t.clamp(0.0, 1.0) * 256.0).round() as u32;
    let mut mixed = a.clone();
    for (out, &to) in mixed.iter_mut().zip(b.iter()) {
        *out = ((u32::from(*out) * (256 - weight) + u32::from(to) * weight + 128) >> 8) as u8;
    }
    mixed
}

/// Marks a draft: one line on a dark plate in the upper left corner, where faces seldom are.
pub(crate) fn banner(picture: &mut RgbImage, text: &str) {
    const AMBER: [u8; 3] = [255, 186, 60];
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let mut style = Style::new((height * 0.047).max(9.0), AMBER).bold();
    let (margin, padding) = (height * 0.025, style.size * 0.55);
    let room = width - 2.0 * (margin + padding);
    let natural = style.width(text);
    if natural > room {
        style.size = (style.size * room / natural).max(8.0);
    }
    let text = style.fit(text, room);
    let area = Area { x: margin, y: margin, width: style.width(&text) + 2.0 * padding, height: style.size * 1.55 };
    plate(picture, area, style.size * 0.3, [16, 16, 20], 0.78);
    style.draw(picture, area.x + padding, area.y + area.height / 2.0, &text);
}

fn mix(picture: &mut RgbImage, x: i64, y: i64, colour: [u8; 3], cover: f32) {
    let inside = (0..i64::from(picture.width())).contains(&x) && (0..i64::from(picture.height())).contains(&y);
    if !inside || cover <= 0.0 {
        return;
    }
    let Rgb(pixel) = picture.get_pixel_mut(x as u32, y as u32);
    for (old, new) in pixel.iter_mut().zip(colour) {
        *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * cover.min(1.0)).round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_marks_the_corner_and_leaves_the_middle_alone() {
        let grey = RgbImage::from_pixel(768, 448, Rgb([128; 3]));
        let mut marked = grey.clone();
        banner(&mut marked, "DRAFT – identity below gate");
        let changed: Vec<_> = marked.enumerate_pixels().filter(|(x, y, p)| grey.get_pixel(*x, *y) != *p).collect();
        assert!(changed.len() > 5_000);
        assert!(changed.iter().all(|(x, y, _)| *x < 500 && *y < 50));
    }

    #[test]
    fn a_long_banner_stays_inside_a_small_picture() {
        let mut small = RgbImage::new(64, 48);
        banner(&mut small, &"DRAFT – identity below gate ".repeat(4));
        assert!(small.pixels().any(|p| p.0[0] > 100));
        assert_eq!(*small.get_pixel(63, 3), Rgb([0; 3]));
    }

    #[test]
    fn text_is_cut_to_its_room() {
        let style = Style::new(16.0, [255; 3]);
        let short = style.fit("a rather long sentence", 80.0);
        assert!(short.ends_with('…') && style.width(&short) <= 80.0);
        assert_eq!(style.fit("short", 80.0), "short");
    }
}
