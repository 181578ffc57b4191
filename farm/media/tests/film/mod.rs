//! Makes small videos of any codec, container and pixel format that libav has.
#![allow(dead_code, reason = "not every file of tests needs all of it")]

use ffmpeg_next::{
    Packet, Rational, codec, color, encoder, format,
    format::Pixel,
    frame::Video,
    software::scaling::{self, Flags},
};
use greenroom_media::init;
use image::{Rgb, RgbImage};
use std::path::Path;

/// How a film is made.
pub(crate) struct Film {
    codec: &'static str,
    container: &'static str,
    pixel: Pixel,
    alpha: u8,
    size: (u32, u32),
}

/// A picture whose quarters have four colours.
pub(crate) fn quarters() -> RgbImage {
    RgbImage::from_fn(96, 56, |x, y| {
        [Rgb([200, 60, 50]), Rgb([40, 180, 70]), Rgb([50, 70, 190]), Rgb([210, 200, 90])]
            [(x / 48 + y / 28 * 2) as usize]
    })
}

impl Film {
    pub(crate) const fn new(codec: &'static str, container: &'static str, pixel: Pixel) -> Self {
        Self { codec, container, pixel, alpha: 255, size: (96, 56) }
    }

    /// So much is seen of what is shown, 0 to 255.
    pub(crate) const fn with_alpha(self, alpha: u8) -> Self {
        Self { alpha, ..self }
    }

    /// Pixels across and down.
    pub(crate) const fn sized(self, width: u32, height: u32) -> Self {
        Self { size: (width, height), ..self }
    }

    /// Shows [`quarters`] at these times, in 24ths of a second.
    pub(crate) fn write(&self, file: &Path, times: &[i64]) {
        init();
        let mut output = format::output_as(file, self.container).unwrap();
        let found = encoder::find_by_name(self.codec).unwrap();
        let tick = Rational(1, 24);
        let mut video = codec::context::Context::new_with_codec(found).encoder().video().unwrap();
        let shown = self.frame();
        video.set_width(shown.width());
        video.set_height(shown.height());
        video.set_format(self.pixel);
        video.set_time_base(tick);
        video.set_frame_rate(Some(tick.invert()));
        // What swscale does unless told otherwise.
        video.set_colorspace(color::Space::SMPTE170M);
        if output.format().flags().contains(format::Flags::GLOBAL_HEADER) {
            video.set_flags(codec::Flags::GLOBAL_HEADER);
        }
        let mut encoder = video.open().unwrap();
        let mut stream = output.add_stream(found).unwrap();
        stream.set_parameters(&encoder);
        stream.set_time_base(tick);
        output.write_header().unwrap();
        for time in times.iter().map(Some).chain([None]) {
            match time {
                Some(time) => {
                    let mut frame = shown.clone();
                    frame.set_pts(Some(*time));
                    encoder.send_frame(&frame).unwrap();
                }
                None => encoder.send_eof().unwrap(),
            }
            let mut packet = Packet::empty();
            while encoder.receive_packet(&mut packet).is_ok() {
                packet.set_stream(0);
                packet.set_duration(1);
                packet.rescale_ts(tick, output.stream(0).unwrap().time_base());
                packet.write_interleaved(&mut output).unwrap();
            }
        }
        output.write_trailer().unwrap();
    }

    fn frame(&self) -> Video {
        let picture = quarters();
        let (width, height) = picture.dimensions();
        let mut rgba = Video::new(Pixel::RGBA, width, height);
        let stride = rgba.stride(0);
        for (row, pixels) in rgba.data_mut(0).chunks_mut(stride).zip(picture.as_raw().chunks(width as usize * 3)) {
            for (out, rgb) in row.chunks_exact_mut(4).zip(pixels.chunks_exact(3)) {
                out.copy_from_slice(&[rgb[0], rgb[1], rgb[2], self.alpha]);
            }
        }
        let flags = Flags::BICUBIC | Flags::ACCURATE_RND | Flags::FULL_CHR_H_INT;
        let mut scaler =
            scaling::Context::get(Pixel::RGBA, width, height, self.pixel, self.size.0, self.size.1, flags).unwrap();
        let mut frame = Video::empty();
        scaler.run(&rgba, &mut frame).unwrap();
        frame.set_color_space(color::Space::SMPTE170M);
        frame
    }
}

/// Writes a quarter turn, clockwise, into the track's header of an MP4.
pub(crate) fn turn_quarter(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let header = bytes.windows(4).position(|four| four == b"tkhd").unwrap();
    let matrix = [0, 1 << 16, 0, -(1 << 16), 0, 0, 56 << 16, 0, 1 << 30];
    bytes[header + 44..header + 80].copy_from_slice(&matrix.map(i32::to_be_bytes).concat());
    std::fs::write(file, bytes).unwrap();
}

/// A tenth of a second of silence.
pub(crate) fn wav() -> Vec<u8> {
    let samples = vec![0_u8; 1600];
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data".to_vec();
    bytes.extend((samples.len() as u32).to_le_bytes());
    bytes.extend(samples);
    bytes
}
