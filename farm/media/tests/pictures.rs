//! Reference pictures as people bring them.
#![allow(clippy::unwrap_used, missing_docs)] // tests

use greenroom_media::load_picture;
use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageEncoder as _, ImageFormat, Rgb, RgbImage, Rgba, codecs,
};
use std::io::Cursor;

fn sample() -> RgbImage {
    RgbImage::from_fn(40, 24, |x, y| Rgb([(x * 6) as u8, (y * 10) as u8, 60]))
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn message(bytes: &[u8]) -> String {
    load_picture(bytes, "mara.png").unwrap_err().to_string()
}

#[test]
fn png_and_webp_come_back_exactly_and_jpeg_nearly() {
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        assert_eq!(load_picture(&encoded(sample(), format), "mara").unwrap(), sample());
    }
    let jpeg = load_picture(&encoded(sample(), ImageFormat::Jpeg), "mara.jpg").unwrap();
    assert!(jpeg.iter().zip(sample().iter()).all(|(a, b)| a.abs_diff(*b) < 40));
}

#[test]
fn sixteen_bits_are_rounded_and_transparency_lies_on_white() {
    let deep = ImageBuffer::<Rgb<u16>, _>::from_pixel(4, 4, Rgb([65_535, 32_896, 0]));
    let picture = load_picture(&encoded(deep, ImageFormat::Png), "deep.png").unwrap();
    assert_eq!(*picture.get_pixel(1, 1), Rgb([255, 128, 0]));
    let clear = ImageBuffer::from_pixel(4, 4, Rgba([0_u8, 0, 0, 51]));
    let picture = load_picture(&encoded(clear, ImageFormat::Png), "clear.png").unwrap();
    assert_eq!(*picture.get_pixel(1, 1), Rgb([204; 3]));
}

#[test]
fn a_photo_taken_sideways_is_turned_upright() {
    let mut bytes = Vec::new();
    let mut encoder = codecs::png::PngEncoder::new(&mut bytes);
    // A TIFF header and one entry: orientation (0x0112), short, 1, value 6 (turn a quarter clockwise).
    encoder.set_exif_metadata(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec()).unwrap();
    encoder.write_image(&sample(), 40, 24, ExtendedColorType::Rgb8).unwrap();
    let picture = load_picture(&bytes, "sideways.png").unwrap();
    assert_eq!(picture.dimensions(), (24, 40));
    assert_eq!(picture.get_pixel(23, 0), sample().get_pixel(0, 0));
}

#[test]
fn a_picture_cut_off_anywhere_is_refused() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let whole = encoded(sample(), format);
        for part in [whole.len() / 3, whole.len() * 2 / 3, whole.len() - 14] {
            let text = message(&whole[..part]);
            assert!(text.starts_with("read picture: mara.png: "), "{format:?}: {text}");
        }
    }
    let jpeg = encoded(sample(), ImageFormat::Jpeg);
    assert_eq!(message(&jpeg[..jpeg.len() - 30]), "read picture: mara.png: the file is cut off");
}

#[test]
fn what_is_no_picture_is_refused() {
    assert_eq!(message(b""), "read picture: mara.png: the file is empty");
    for bytes in [&b"FADE IN:"[..], b"%PDF-1.7"] {
        assert_eq!(message(bytes), "read picture: mara.png: not a PNG, JPEG or WebP picture");
    }
}

#[test]
fn a_picture_with_too_many_pixels_is_refused_by_its_header() {
    for (width, height) in [(20_000_u32, 10_u32), (9_000, 9_000)] {
        let mut header = encoded(sample(), ImageFormat::Png);
        header[16..20].copy_from_slice(&width.to_be_bytes());
        header[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc32(&header[12..29]);
        header[29..33].copy_from_slice(&sum.to_be_bytes());
        let text = message(&header);
        assert_eq!(
            text,
            format!(
                "read picture: mara.png: {width}×{height} pixels are too many (at most 16384 on a side and 64 million in all)"
            )
        );
    }
}

/// PNG's checksum, so that the header's size can be changed.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |s, _| if s & 1 == 1 { s >> 1 ^ 0xEDB8_8320 } else { s >> 1 })
    })
}

#[test]
fn a_picture_for_print_comes_out_in_its_colours() {
    // Red beside a cyan with a fifth of black, by Pillow, with Adobe's inverted values.
    let picture = load_picture(include_bytes!("pictures/cmyk.jpg"), "print.jpg").unwrap();
    let near = |x: u32, wanted: [u8; 3]| picture.get_pixel(x, 8).0.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 6);
    assert!(
        near(6, [255, 0, 0]) && near(26, [0, 204, 204]),
        "{:?} {:?}",
        picture.get_pixel(6, 8),
        picture.get_pixel(26, 8)
    );
}

#[test]
fn a_jpeg_taken_sideways_is_turned_upright() {
    let plain = encoded(sample(), ImageFormat::Jpeg);
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let bytes = [&plain[..2], &[0xFF, 0xE1], &length, exif, &plain[2..]].concat();
    let (lying, upright) = (load_picture(&plain, "p.jpg").unwrap(), load_picture(&bytes, "p.jpg").unwrap());
    assert_eq!(upright, image::imageops::rotate90(&lying));
}

#[test]
fn other_kinds_of_pictures_are_named_and_come_with_a_remedy() {
    let cases: [(&[u8], &str); 6] = [
        (b"GIF89a\x01\0\x01\0", "GIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"BM\x46\0\0\0", "BMP"),
    ];
    for (bytes, kind) in cases {
        let problem = load_picture(bytes, "mara.png").unwrap_err().problem();
        let text = format!("read picture: mara.png: a {kind} picture; only PNG, JPEG and WebP are read");
        assert_eq!(
            (problem.to_string(), problem.remedy.as_str()),
            (text, "save the picture as PNG or JPEG and give that")
        );
    }
}
