//! A strip of a take's frames: every face in its box, with name and score.

use greenroom_domain::Box2;
use image::{RgbImage, imageops};

use crate::draw::{Area, Style, outline, plate};

/// One frame on the strip.
#[derive(Clone, Debug)]
pub struct StripFrame {
    /// Its number in the take.
    pub number: u64,
    /// The frame made small by [`small`].
    pub picture: RgbImage,
    /// Its width and height before that, pixels: boxes are in these.
    pub size: (u32, u32),
    /// Who is in it.
    pub faces: Vec<StripFace>,
    /// The earlier frame that it repeats, if it does.
    pub repeats: Option<u64>,
}

/// One face on the strip.
#[derive(Clone, Debug)]
pub struct StripFace {
    /// Where, in pixels of the frame.
    pub bbox: Box2,
    /// Whose; none is nobody's.
    pub name: Option<String>,
    /// IDR, 0 to 1; none where it could not be scored.
    pub score: Option<f32>,
    /// Whether that is enough.
    pub passes: bool,
}

const GROUND: [u8; 3] = [18, 19, 23];
const BRIGHT: [u8; 3] = [236, 238, 242];
const DIM: [u8; 3] = [150, 156, 168];
const GREEN: [u8; 3] = [46, 174, 96];
const RED: [u8; 3] = [218, 62, 62];
const GREY: [u8; 3] = [108, 114, 126];

/// Height of a frame on the strip, pixels. Its width follows, up to twice that.
const HEIGHT: u32 = 144;
const WIDEST: u32 = 2 * HEIGHT;
const CAPTION: u32 = 22;
const GAP: u32 = 4;

/// A frame at the strip's size, for those who keep many until they are drawn.
#[must_use]
pub fn small(frame: &RgbImage) -> RgbImage {
    let width = (f64::from(HEIGHT) * f64::from(frame.width()) / f64::from(frame.height().max(1))).round() as u32;
    imageops::thumbnail(frame, width.clamp(HEIGHT / 2, WIDEST), HEIGHT)
}

/// Draws the strip, all frames in one line: up to 24 of 288 × 144 pixels.
#[must_use]
pub fn strip(frames: &[StripFrame]) -> RgbImage {
    let width: u32 = frames.iter().map(|frame| frame.picture.width() + GAP).sum::<u32>().saturating_sub(GAP).max(1);
    let mut sheet = RgbImage::from_pixel(width, HEIGHT + CAPTION, image::Rgb(GROUND));
    let mut x = 0;
    for frame in frames {
        imageops::replace(&mut sheet, &drawn(frame), i64::from(x), 0);
        let (style, middle) = (Style::new(13.0, DIM), HEIGHT as f32 + CAPTION as f32 / 2.0);
        let repeats = frame.repeats.map(|of| format!(", repeats {of}")).unwrap_or_default();
        let text = style.fit(&format!("frame {}{repeats}", frame.number), frame.picture.width() as f32 - 4.0);
        style.draw(&mut sheet, x as f32 + 3.0, middle, &text);
        x += frame.picture.width() + GAP;
    }
    sheet
}

/// The frame with its faces marked.
fn drawn(frame: &StripFrame) -> RgbImage {
    let mut picture = frame.picture.clone();
    let (sx, sy) =
        (picture.width() as f32 / frame.size.0.max(1) as f32, picture.height() as f32 / frame.size.1.max(1) as f32);
    for (number, face) in frame.faces.iter().enumerate() {
        let (x, y) = (face.bbox.x0 * sx, face.bbox.y0 * sy);
        let area = Area { x, y, width: face.bbox.x1 * sx - x, height: face.bbox.y1 * sy - y };
        let colour = match (&face.name, face.score) {
            (_, None) => GREY,
            (Some(_), Some(_)) if face.passes => GREEN,
            _ => RED,
        };
        outline(&mut picture, area, 2.0, colour);
        label(&mut picture, face, area, colour, number % 2 == 1);
    }
    picture
}

/// Name and score above the box, or in its upper edge where there is no room; of every other face below it, so that neighbours
/// do not cover each other's.
fn label(picture: &mut RgbImage, face: &StripFace, area: Area, colour: [u8; 3], below: bool) {
    let style = Style::new(12.0, BRIGHT).bold();
    let name = face.name.as_deref().unwrap_or("unknown");
    let text = face.score.map_or_else(|| name.to_owned(), |score| format!("{name} {score:.2}"));
    let text = style.fit(&text, picture.width() as f32 - 6.0);
    let width = style.width(&text) + 6.0;
    let x = area.x.min(picture.width() as f32 - width).max(0.0);
    let y = if below {
        (area.y + area.height).min(picture.height() as f32 - 15.0)
    } else if area.y >= 15.0 {
        area.y - 15.0
    } else {
        area.y.max(0.0)
    };
    plate(picture, Area { x, y, width, height: 15.0 }, 2.0, colour, 0.9);
    style.draw(picture, x + 3.0, y + 7.5, &text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn frame(number: u64, name: Option<&str>, score: Option<f32>, passes: bool) -> StripFrame {
        let large = RgbImage::from_pixel(768, 448, Rgb([90; 3]));
        let bbox = Box2 { x0: 200.0, y0: 150.0, x1: 400.0, y1: 350.0 };
        let face = StripFace { bbox, name: name.map(str::to_owned), score, passes };
        StripFrame { number, picture: small(&large), size: large.dimensions(), faces: vec![face], repeats: None }
    }

    #[test]
    fn a_face_has_a_box_in_the_colour_of_its_score_where_it_stands() {
        let edge = |frame: StripFrame| {
            let middle = (250.0 * 144.0 / 448.0) as u32;
            strip(&[frame]).get_pixel((200.0_f32 * 247.0 / 768.0).ceil() as u32, middle).0
        };
        assert_eq!(edge(frame(0, Some("MARA"), Some(0.9), true)), GREEN);
        assert_eq!(edge(frame(0, Some("MARA"), Some(0.4), false)), RED);
        assert_eq!(edge(frame(0, None, Some(0.9), true)), RED, "however alike a stranger is");
        assert_eq!(edge(frame(0, None, None, false)), GREY);
    }

    #[test]
    fn frames_stand_side_by_side_and_a_strip_has_a_bounded_size() {
        let many: Vec<_> = (0..24).map(|n| frame(n, Some("MARA"), Some(0.9), true)).collect();
        assert_eq!(strip(&many).dimensions(), (24 * (247 + GAP) - GAP, HEIGHT + CAPTION));
        assert_eq!(small(&RgbImage::new(8000, 10)).dimensions(), (WIDEST, HEIGHT));
        assert_eq!(strip(&[]).dimensions(), (1, HEIGHT + CAPTION));
    }
}
