//! The frames of a video that are worth decoding, each with whether its time says to look at it.
//!
//! Every frame of most codecs must be decoded, for the next ones depend on it. In a take every frame stands alone, and
//! decoding is what costs: so of the frames between two that are looked at, only one in [`PROBE`] is decoded, unless two
//! of those look different, or the sizes of the packets between them jump. A lossless packet is as large as its picture
//! is rich, and from one frame to the next that changes little.

use ffmpeg_next::{Packet, frame::Video};
use std::collections::VecDeque;

use crate::{
    MediaError, VideoReader,
    cut::{Signature, Signer},
};

/// The longest run of frames of which only the last is decoded: half a second of film.
const PROBE: usize = 12;
/// Frames this much unlike (see [`Signature::distance`]) may have a cut between them: less than a cut alone makes, for
/// motion may take some of it back.
const SUSPICIOUS: f32 = Signature::CUT * 0.75;
/// So does a packet whose size differs by more than this share from its neighbour's. Within a take it is 1 to 2 %.
const JUMP: f32 = 0.05;

/// A decoded frame.
pub(crate) struct Decoded {
    pub(crate) number: u64,
    /// Seconds from the first frame.
    pub(crate) time: f64,
    pub(crate) frame: Video,
    pub(crate) signature: Signature,
    /// It is the first, the last, or nearest to a time that was asked for.
    pub(crate) wanted: bool,
}

/// Times to look at, evenly spaced from 0.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    step: f64,
    next: u64,
    count: u64,
}

impl Clock {
    /// `count` times over `span` seconds, first and last included; two at least.
    pub(crate) fn new(span: f64, count: u64) -> Self {
        let count = count.max(2);
        Self { step: span / (count - 1) as f64, next: 0, count }
    }

    /// Whether a time lies before `until` that was not yet asked for; it and all before it are then used up.
    fn strikes(&mut self, until: f64) -> bool {
        let first = self.next;
        while self.next < self.count && self.next as f64 * self.step < until {
            self.next += 1;
        }
        self.next > first
    }
}

/// Decodes what is needed, in order.
pub(crate) struct Source {
    pub(crate) reader: VideoReader,
    signer: Signer,
    clock: Clock,
    how: How,
    /// When the first frame is shown, on the stream's own clock.
    start: Option<f64>,
}

enum How {
    /// Every frame, with the one that was decoded last held back until the next one's time is known.
    Every {
        held: Option<(u64, f64, Video)>,
    },
    Alone(Alone),
}

/// Packets that can be decoded one without the other.
#[derive(Default)]
struct Alone {
    /// Read, and its next neighbour not yet.
    held: Option<(u64, f64, Packet)>,
    /// To be decoded in order.
    queue: VecDeque<Waiting>,
    /// Size of the packet before the next window, and what the frame before it looks like.
    last: Option<(usize, Signature)>,
}

struct Waiting {
    number: u64,
    time: f64,
    packet: Packet,
    wanted: bool,
}

impl Source {
    pub(crate) fn new(reader: VideoReader, clock: Clock) -> Self {
        let alone = reader.info().codec == "ffv1";
        let how = if alone { How::Alone(Alone::default()) } else { How::Every { held: None } };
        Self { reader, signer: Signer::default(), clock, how, start: None }
    }

    /// The next frame that was decoded; none after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Decoded>, MediaError> {
        match std::mem::replace(&mut self.how, How::Every { held: None }) {
            How::Every { held } => self.every(held),
            How::Alone(mut alone) => {
                let next = self.alone(&mut alone);
                self.how = How::Alone(alone);
                next
            }
        }
    }

    fn every(&mut self, held: Option<(u64, f64, Video)>) -> Result<Option<Decoded>, MediaError> {
        let mut held = held;
        loop {
            let before = held.as_ref().map(|h| h.1);
            let next = self.reader.next_decoded()?;
            let next = next.map(|(number, time, frame)| (number, self.time(number, time, before), frame));
            let until = next.as_ref().map(|n| n.1);
            match held.take() {
                Some((number, time, frame)) => {
                    let wanted = self.wanted(number, time, until);
                    self.how = How::Every { held: next };
                    let of = Waiting { number, time, packet: Packet::empty(), wanted };
                    return self.decoded(&of, frame).map(Some);
                }
                None if next.is_none() => return Ok(None),
                None => held = next,
            }
        }
    }

    fn alone(&mut self, alone: &mut Alone) -> Result<Option<Decoded>, MediaError> {
        if alone.queue.is_empty() {
            self.window(alone)?;
            let Some(last) = alone.queue.back() else { return Ok(None) };
            let jumps = jumps(alone.last.as_ref().map(|l| l.0), &alone.queue);
            let size = last.packet.size();
            if alone.queue.len() > 1 && !jumps && alone.queue.iter().all(|w| w.packet.is_key()) {
                let frame = self.reader.decode(&last.packet)?;
                let signature = self.signer.sign(&frame).map_err(|cause| self.reader.refused(cause))?;
                let calm = alone.last.as_ref().is_some_and(|(_, before)| before.distance(&signature) <= SUSPICIOUS);
                if calm && let Some(last) = alone.queue.pop_back() {
                    alone.queue.clear();
                    let decoded = self.decoded(&last, frame)?;
                    alone.last = Some((size, decoded.signature.clone()));
                    return Ok(Some(decoded));
                }
            }
        }
        let Some(next) = alone.queue.pop_front() else { return Ok(None) };
        let (size, frame) = (next.packet.size(), self.reader.decode(&next.packet)?);
        let decoded = self.decoded(&next, frame)?;
        alone.last = Some((size, decoded.signature.clone()));
        Ok(Some(decoded))
    }

    /// Reads packets up to the next one that is wanted, at most [`PROBE`].
    fn window(&mut self, alone: &mut Alone) -> Result<(), MediaError> {
        while alone.queue.len() < PROBE {
            let before = alone.held.as_ref().map(|h| h.1);
            let next = self.reader.next_packet()?;
            let next = next.map(|(number, time, packet)| (number, self.time(number, time, before), packet));
            let (until, over) = (next.as_ref().map(|n| n.1), next.is_none());
            if let Some((number, time, packet)) = std::mem::replace(&mut alone.held, next) {
                let wanted = self.wanted(number, time, until);
                alone.queue.push_back(Waiting { number, time, packet, wanted });
                if wanted {
                    return Ok(());
                }
            } else if over {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Seconds from the first frame; never before the frame before it.
    fn time(&mut self, number: u64, time: Option<f64>, before: Option<f64>) -> f64 {
        let time = time.unwrap_or_else(|| number as f64 / self.reader.info().fps.as_f64());
        let start = *self.start.get_or_insert(time);
        (time - start).max(before.unwrap_or(0.0))
    }

    /// Of two neighbours the one that is nearer to a time is the one to look at.
    fn wanted(&mut self, number: u64, time: f64, until: Option<f64>) -> bool {
        let struck = self.clock.strikes(until.map_or(f64::INFINITY, |until| f64::midpoint(time, until)));
        struck || number == 0 || until.is_none()
    }

    fn decoded(&mut self, of: &Waiting, frame: Video) -> Result<Decoded, MediaError> {
        let signature = self.signer.sign(&frame).map_err(|cause| self.reader.refused(cause))?;
        let &Waiting { number, time, wanted, .. } = of;
        Ok(Decoded { number, time, frame, signature, wanted })
    }
}

/// Whether a packet's size differs much from its neighbour's, `before` being that of the one before the first.
fn jumps(before: Option<usize>, packets: &VecDeque<Waiting>) -> bool {
    let sizes: Vec<usize> = before.into_iter().chain(packets.iter().map(|w| w.packet.size())).collect();
    sizes.windows(2).any(|pair| pair[0].abs_diff(pair[1]) as f32 > JUMP * pair[0] as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of so many frames, a second each, the clock asks for.
    fn struck(mut clock: Clock, frames: u64) -> Vec<u64> {
        (0..frames).filter(|&i| clock.strikes(i as f64 + 0.5)).collect()
    }

    #[test]
    fn times_fall_on_the_nearest_frames() {
        assert_eq!(struck(Clock::new(47.0, 5), 48), [0, 12, 24, 35, 47]);
        assert_eq!(struck(Clock::new(47.0, 1), 48), [0, 47]);
        assert_eq!(struck(Clock::new(2.0, 16), 3), [0, 1, 2], "each frame once");
        assert_eq!(struck(Clock::new(0.0, 16), 1), [0]);
        assert_eq!(struck(Clock::new(4.0, 3), 100), [0, 2, 4], "a video that goes on longer is not asked for more");
    }
}
