//! Reference pictures as people have them: PNG, JPEG, WebP, any orientation, with or without alpha.

use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, RgbImage, error::ImageFormatHint};
use std::io::Cursor;

use crate::{MediaError, PictureFault};

/// Longest side that is decoded, pixels: past any camera, short of what a hostile file needs.
pub(crate) const MAX_SIDE: u32 = 16_384;

/// Most pixels that are decoded: 64 million are 192 MB.
pub(crate) const MAX_PIXELS: u64 = 64_000_000;

/// Decodes a picture to 8-bit sRGB, upright. Sixteen bits are rounded to eight, transparency lies on white. Size limits are
/// checked on the header, before anything is allocated. `name` is for messages.
///
/// # Errors
/// If the bytes are no whole PNG, JPEG or WebP picture, or too many pixels.
pub fn load_picture(bytes: &[u8], name: &str) -> Result<RgbImage, MediaError> {
    decode(bytes).map_err(|fault| MediaError::Picture { name: name.to_owned(), fault })
}

fn decode(bytes: &[u8]) -> Result<RgbImage, PictureFault> {
    if bytes.is_empty() {
        return Err(PictureFault::Empty);
    }
    let format = image::guess_format(bytes).map_err(|_| PictureFault::Unknown)?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
        return Err(PictureFault::Unknown);
    }
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(fault)?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureFault::TooLarge { width, height });
    }
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(PictureFault::Truncated);
    }
    let orientation = decoder.orientation().map_err(fault)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(fault)?;
    picture.apply_orientation(orientation);
    Ok(if picture.color().has_alpha() { on_white(&picture) } else { picture.into_rgb8() })
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    let mut flat = RgbImage::new(picture.width(), picture.height());
    for (out, from) in flat.pixels_mut().zip(picture.pixels()) {
        let [.., alpha] = from.0;
        let over = |c: u8| ((u32::from(c) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
        out.0 = [over(from.0[0]), over(from.0[1]), over(from.0[2])];
    }
    flat
}

/// Whether the last scan of a JPEG has an end: its decoder fills what is missing with grey instead of refusing.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let marker = |code: u8| bytes.windows(2).rposition(|pair| pair == [0xFF, code]);
    match (marker(0xDA), marker(0xD9)) {
        (Some(scan), Some(end)) => end > scan,
        _ => false,
    }
}

fn fault(error: ImageError) -> PictureFault {
    match error {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => PictureFault::Truncated,
        ImageError::Unsupported(e) if matches!(e.format_hint(), ImageFormatHint::Unknown) => PictureFault::Unknown,
        other => {
            let text = other.to_string();
            if text.contains("end of") || text.contains("EOF") || text.contains("xhausted") {
                return PictureFault::Truncated;
            }
            PictureFault::Damaged(text)
        }
    }
}
