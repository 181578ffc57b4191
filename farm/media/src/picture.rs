//! Reference pictures as people have them: PNG, JPEG, WebP, any orientation, with or without alpha.

use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, RgbImage, error::ImageFormatHint};
use std::io::Cursor;

use crate::{MediaError, PictureFault, colour};

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
    if let Some(kind) = foreign(bytes) {
        return Err(PictureFault::Foreign(kind));
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
        out.0 = colour::on_white(from.0);
    }
    flat
}

/// Kinds of pictures that people have and that are not read here, by their first bytes.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let brand = bytes.get(4..12).unwrap_or_default();
    match brand {
        [b'f', b't', b'y', b'p', b'a', b'v', b'i', ..] => return Some("AVIF"),
        [b'f', b't', b'y', b'p', kind @ ..]
            if [*b"heic", *b"heix", *b"hevc", *b"mif1", *b"msf1"].iter().any(|k| k == kind) =>
        {
            return Some("HEIC");
        }
        _ => {}
    }
    let starts: [(&[u8], &str); 5] =
        [(b"GIF8", "GIF"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"BM", "BMP"), (b"8BPS", "Photoshop")];
    starts.into_iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, kind)| kind)
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
