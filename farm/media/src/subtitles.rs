//! Dialogue as text: a soft subtitle track in MP4, and SubRip.

use ffmpeg_next::{Error, Packet, Rational, encoder, ffi};
use greenroom_domain::{Fps, Frames};
use std::fmt::Write as _;

use crate::{MediaError, container::Muxer};

/// One subtitle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// First frame that shows it.
    pub start: Frames,
    /// First frame that does not show it any more.
    pub end: Frames,
    /// What is said; line breaks are kept.
    pub text: String,
}

/// The cues as a SubRip file (UTF-8).
#[must_use]
pub fn srt(cues: &[Cue], fps: Fps) -> String {
    let mut text = String::new();
    for (number, cue) in cues.iter().enumerate() {
        let (start, end) = (clock(cue.start, fps), clock(cue.end, fps));
        // Writing into a String cannot fail. An empty line would end the cue.
        let lines: Vec<_> = cue.text.lines().filter(|line| !line.trim().is_empty()).collect();
        let _ = write!(text, "{}\n{start} --> {end}\n{}\n\n", number + 1, lines.join("\n"));
    }
    text
}

/// Puts cues in order and ends each where the next begins: a text track shows one at a time.
pub(crate) fn in_order(mut cues: Vec<Cue>) -> Vec<Cue> {
    cues.sort_by_key(|cue| (cue.start, cue.end));
    for i in 1..cues.len() {
        cues[i - 1].end = cues[i - 1].end.min(cues[i].start);
    }
    cues.retain(|cue| cue.start < cue.end && !cue.text.trim().is_empty());
    cues
}

/// A timed-text track (3GPP TS 26.245, `mov_text` in libav).
pub(crate) struct SubtitleTrack {
    stream: usize,
    cues: std::vec::IntoIter<Cue>,
    waiting: Option<Cue>,
    tick: Rational,
}

impl SubtitleTrack {
    /// Adds the track to a file whose header is not yet written; the cues are in order.
    pub(crate) fn add(muxer: &mut Muxer, cues: Vec<Cue>, fps: Fps) -> Result<Self, Error> {
        let mut stream = muxer.output().add_stream(encoder::find(ffmpeg_next::codec::Id::None))?;
        stream.set_time_base(Rational(1, 48_000));
        #[expect(unsafe_code, reason = "the binding cannot describe a track that no encoder writes")]
        // SAFETY: the stream and its parameters belong to the open context; av_mallocz gives memory that the context
        // frees with the parameters, with the padding that libav asks for.
        unsafe {
            let parameters = (*stream.as_mut_ptr()).codecpar;
            let extra = ffi::av_mallocz(STYLE.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize).cast::<u8>();
            if extra.is_null() {
                return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
            }
            std::ptr::copy_nonoverlapping(STYLE.as_ptr(), extra, STYLE.len());
            (*parameters).codec_type = ffi::AVMediaType::AVMEDIA_TYPE_SUBTITLE;
            (*parameters).codec_id = ffi::AVCodecID::AV_CODEC_ID_MOV_TEXT;
            (*parameters).extradata = extra;
            (*parameters).extradata_size = STYLE.len() as i32;
        }
        let stream = stream.index();
        let mut cues = cues.into_iter();
        let waiting = cues.next();
        Ok(Self { stream, cues, waiting, tick: Rational(fps.den as i32, fps.num as i32) })
    }

    /// Writes every cue that starts before a frame.
    pub(crate) fn write_until(&mut self, muxer: &mut Muxer, frame: u64) -> Result<(), MediaError> {
        while let Some(cue) = self.waiting.take_if(|cue| cue.start.0 < frame) {
            let text = &cue.text.as_bytes()[..cue.text.floor_char_boundary(usize::from(u16::MAX))];
            let mut sample = (text.len() as u16).to_be_bytes().to_vec();
            sample.extend_from_slice(text);
            let mut packet = Packet::copy(&sample);
            packet.set_stream(self.stream);
            packet.set_pts(Some(cue.start.0 as i64));
            packet.set_dts(Some(cue.start.0 as i64));
            packet.set_duration((cue.end.0 - cue.start.0) as i64);
            let base = muxer.output().stream(self.stream).map_or(self.tick, |s| s.time_base());
            packet.rescale_ts(self.tick, base);
            muxer.write(&packet)?;
            self.waiting = self.cues.next();
        }
        Ok(())
    }
}

/// The track's sample entry: white text, centred at the bottom, no background, one font table entry.
#[rustfmt::skip]
const STYLE: [u8; 48] = [
    0, 0, 0, 0,                             // display flags
    1, 0xFF,                                // centred, bottom
    0, 0, 0, 0,                             // background
    0, 0, 0, 0, 0, 0, 0, 0,                 // text box: the player's own
    0, 0, 0, 0, 0, 1, 0, 18,                // style: all characters, font 1, plain, size 18
    255, 255, 255, 255,                     // white
    0, 0, 0, 18, b'f', b't', b'a', b'b',    // font table
    0, 1, 0, 1, 5, b'S', b'e', b'r', b'i', b'f',
];

fn clock(at: Frames, fps: Fps) -> String {
    let ms = (fps.seconds(at) * 1000.0).round() as u64;
    format!("{:02}:{:02}:{:02},{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start: u64, end: u64, text: &str) -> Cue {
        Cue { start: Frames(start), end: Frames(end), text: text.into() }
    }

    #[test]
    fn subrip_has_numbers_times_and_text() {
        let text = srt(&[cue(0, 36, "Who is there?"), cue(24 * 61, 24 * 62, "Nobody.\n\nReally.")], Fps::FILM);
        let expected = "1\n00:00:00,000 --> 00:00:01,500\nWho is there?\n\n\
                        2\n00:01:01,000 --> 00:01:02,000\nNobody.\nReally.\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn overlapping_cues_give_way_to_the_next() {
        let cues = in_order(vec![cue(30, 60, "b"), cue(0, 40, "a"), cue(60, 60, "never"), cue(70, 80, " ")]);
        assert_eq!(cues, [cue(0, 30, "a"), cue(30, 60, "b")]);
    }
}
