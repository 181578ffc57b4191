//! sRGB pictures ↔ libav frames: BGR0 for takes, BT.709 4:2:0 for clips.
//!
//! Both directions for BGR0 and the way to 4:2:0 are done here in integers, so that bytes depend on no library version;
//! only foreign videos are read through swscale.

use ffmpeg_next::{Error, color, ffi, format::Pixel, frame::Video, software::scaling};
use image::RgbImage;

/// Copies a picture into a BGR0 frame of the same size.
pub(crate) fn rgb_to_bgr0(picture: &RgbImage, frame: &mut Video) {
    let (width, stride) = (picture.width() as usize, frame.stride(0));
    let data = frame.data_mut(0);
    for (row, pixels) in data.chunks_mut(stride).zip(picture.as_raw().chunks(width * 3)) {
        for (out, rgb) in row.chunks_exact_mut(4).zip(pixels.chunks_exact(3)) {
            out.copy_from_slice(&[rgb[2], rgb[1], rgb[0], 0]);
        }
    }
}

/// Reads a BGR0 frame.
pub(crate) fn bgr0_to_rgb(frame: &Video) -> RgbImage {
    let mut picture = RgbImage::new(frame.width(), frame.height());
    let width = frame.width() as usize;
    for (row, pixels) in frame.data(0).chunks(frame.stride(0)).zip(picture.chunks_mut(width * 3)) {
        for (bgr, out) in row.chunks_exact(4).zip(pixels.chunks_exact_mut(3)) {
            out.copy_from_slice(&[bgr[2], bgr[1], bgr[0]]);
        }
    }
    picture
}

/// Reads an RGB24 frame.
pub(crate) fn rgb24_to_rgb(frame: &Video) -> RgbImage {
    let mut picture = RgbImage::new(frame.width(), frame.height());
    let width = frame.width() as usize * 3;
    for (row, out) in frame.data(0).chunks(frame.stride(0)).zip(picture.chunks_mut(width)) {
        out.copy_from_slice(&row[..width]);
    }
    picture
}

/// Reads an RGBA frame; what is transparent lies on white.
pub(crate) fn rgba_to_rgb(frame: &Video) -> RgbImage {
    let mut picture = RgbImage::new(frame.width(), frame.height());
    let width = frame.width() as usize;
    for (row, pixels) in frame.data(0).chunks(frame.stride(0)).zip(picture.chunks_mut(width * 3)) {
        for (rgba, out) in row.chunks_exact(4).zip(pixels.chunks_exact_mut(3)) {
            out.copy_from_slice(&on_white([rgba[0], rgba[1], rgba[2], rgba[3]]));
        }
    }
    picture
}

/// Red, green and blue of a pixel with alpha before white, rounded.
pub(crate) fn on_white([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    let over = |c: u8| ((u32::from(c) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
    [over(red), over(green), over(blue)]
}

/// Whether pixels of this format may be transparent: those with a second or a fourth component, and palettes.
pub(crate) fn has_alpha(format: Pixel) -> bool {
    let components = format.descriptor().map_or(0, |descriptor| descriptor.nb_components());
    matches!(components, 2 | 4) || format == Pixel::PAL8
}

/// A converter from a frame's pixel format to another one of the same size, with the matrix and range that the frame says.
pub(crate) fn converter(frame: &Video, to: Pixel) -> Result<scaling::Context, Error> {
    let (width, height) = (frame.width(), frame.height());
    let exact = scaling::Flags::BICUBIC
        | scaling::Flags::ACCURATE_RND
        | scaling::Flags::FULL_CHR_H_INT
        | scaling::Flags::BITEXACT;
    let mut scaler = scaling::Context::get(frame.format(), width, height, to, width, height, exact)?;
    let matrix = match frame.color_space() {
        color::Space::BT470BG | color::Space::SMPTE170M => ffi::SWS_CS_ITU601,
        // Untagged pictures as small as ours are more often ours than old television.
        _ => ffi::SWS_CS_ITU709,
    };
    let full = i32::from(frame.color_range() == color::Range::JPEG);
    #[expect(unsafe_code, reason = "the binding has no call for the colour matrix, and swscale's default is BT.601")]
    // SAFETY: the context is valid and owned here; sws_getCoefficients gives a static table of four for any number.
    unsafe {
        let table = ffi::sws_getCoefficients(matrix);
        ffi::sws_setColorspaceDetails(scaler.as_mut_ptr(), table, full, table, 1, 0, 1 << 16, 1 << 16);
    }
    Ok(scaler)
}

// BT.709 (ITU-R BT.709-6, item 3) for full-range RGB to studio-range Y'CbCr, times 2^16.
const Y: [i32; 3] = [11_966, 40_254, 4_064];
const CB: [i32; 3] = [-6_596, -22_188, 28_784];
const CR: [i32; 3] = [28_784, -26_145, -2_639];

/// Converts a picture of even size into a 4:2:0 frame, studio range, chroma sited left as H.264 assumes.
pub(crate) fn rgb_to_yuv420(picture: &RgbImage, frame: &mut Video) {
    debug_assert_eq!(frame.format(), Pixel::YUV420P);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = picture.as_raw();
    let strides = [frame.stride(0), frame.stride(1), frame.stride(2)];
    for (row, rgb) in frame.data_mut(0).chunks_mut(strides[0]).zip(pixels.chunks(width * 3)) {
        for (out, p) in row.iter_mut().zip(rgb.chunks_exact(3)) {
            *out = mix(Y, [i32::from(p[0]), i32::from(p[1]), i32::from(p[2])], 16, 16);
        }
    }
    let mut chroma = vec![[0_u8; 2]; width / 2];
    for y in 0..height / 2 {
        let top = &pixels[y * 2 * width * 3..][..width * 3];
        let bottom = &pixels[(y * 2 + 1) * width * 3..][..width * 3];
        for (x, out) in chroma.iter_mut().enumerate() {
            let (left, right) = ((x * 2).saturating_sub(1) * 3, (x * 2 + 1) * 3);
            let sum: [i32; 3] = std::array::from_fn(|c| {
                let column = |at: usize| i32::from(top[at + c]) + i32::from(bottom[at + c]);
                column(left) + 2 * column(x * 6) + column(right)
            });
            // Eight samples: three more bits.
            *out = [mix(CB, sum, 128, 19), mix(CR, sum, 128, 19)];
        }
        for plane in [1, 2] {
            let row = &mut frame.data_mut(plane)[y * strides[plane]..][..width / 2];
            row.iter_mut().zip(&chroma).for_each(|(out, c)| *out = c[plane - 1]);
        }
    }
}

fn mix(by: [i32; 3], rgb: [i32; 3], offset: i32, bits: u32) -> u8 {
    let sum = by[0] * rgb[0] + by[1] * rgb[1] + by[2] * rgb[2] + (1 << (bits - 1));
    ((sum >> bits) + offset).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn converted(rgb: [u8; 3]) -> [u8; 3] {
        let mut frame = Video::new(Pixel::YUV420P, 4, 2);
        rgb_to_yuv420(&RgbImage::from_pixel(4, 2, Rgb(rgb)), &mut frame);
        [frame.data(0)[1], frame.data(1)[1], frame.data(2)[1]]
    }

    #[test]
    fn known_colours_have_their_bt709_codes() {
        assert_eq!(converted([255, 255, 255]), [235, 128, 128]);
        assert_eq!(converted([0, 0, 0]), [16, 128, 128]);
        assert_eq!(converted([255, 0, 0]), [63, 102, 240]);
        assert_eq!(converted([0, 255, 0]), [173, 42, 26]);
        assert_eq!(converted([0, 0, 255]), [32, 240, 118]);
    }

    #[test]
    fn a_picture_survives_a_bgr0_frame() {
        let picture = RgbImage::from_fn(6, 3, |x, y| Rgb([x as u8 * 40, y as u8 * 80, 7]));
        let mut frame = Video::new(Pixel::BGRZ, 6, 3);
        rgb_to_bgr0(&picture, &mut frame);
        assert_eq!(bgr0_to_rgb(&frame), picture);
    }
}
