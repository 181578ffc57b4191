//! Follows faces from frame to frame: which of them are one person. Pure.
//!
//! Frame by frame the faces go to the persons of the frames before, one to one with the greatest total of what speaks for
//! a pair: the cosine of the face to the person's mean, and how far its box lies on where the person's would be by now
//! (the last box moved on at its last speed). Two faces are one person where their cosine is at least the floor, under
//! which a face is a stranger's; where the boxes overlap, a quarter of that is enough. So a face that leaves and returns is
//! the same person, and faces that cross are kept apart by what they look like. Nothing overlaps across a cut. Faces that
//! are each clearly another member of the cast are never one person.

use greenroom_domain::Box2;

use crate::{Embedding, assign::assign};

/// A face to follow.
#[derive(Clone, Debug)]
pub(crate) struct Followed<'a> {
    pub(crate) bbox: Box2,
    pub(crate) embedding: Option<&'a Embedding>,
    /// The member of the cast that it is most like, if it is above the floor.
    pub(crate) claim: Option<usize>,
}

/// How much of the union two boxes must share to overlap.
const OVERLAP: f32 = 0.3;
/// Where the boxes overlap, this share of the floor is enough: a blurred or half turned face may be like nobody, but then it
/// is where its person is. Somebody else who takes the place and is as alike can only lower the person's scores.
const IN_PLACE: f32 = 0.25;
/// What a full overlap weighs beside a cosine of one.
const OVERLAP_WEIGHT: f32 = 0.3;

/// For each face of each frame the number of its person, from 0 in order of appearance. `frames` gives each frame's number
/// and whether it is the first after a cut.
pub(crate) fn follow(frames: &[(u64, bool, Vec<Followed<'_>>)], floor: f32) -> Vec<Vec<usize>> {
    let mut people: Vec<Person> = Vec::new();
    let mut before = None;
    let mut whose = Vec::with_capacity(frames.len());
    for (number, after_cut, faces) in frames {
        let live = before.filter(|_| !after_cut);
        let gains: Vec<Vec<_>> =
            faces.iter().map(|face| people.iter().map(|p| p.gain(face, *number, live, floor)).collect()).collect();
        let mut chosen = Vec::with_capacity(faces.len());
        for (face, person) in faces.iter().zip(assign(&gains)) {
            let person = person.unwrap_or(people.len());
            if person == people.len() {
                people.push(Person::default());
            }
            people[person].add(face, *number);
            chosen.push(person);
        }
        whose.push(chosen);
        before = Some(*number);
    }
    whose
}

#[derive(Debug, Default)]
struct Person {
    /// Sum of the embeddings, and its direction.
    sum: Vec<f32>,
    mean: Option<Embedding>,
    /// The last two sightings.
    last: Option<(u64, Box2)>,
    earlier: Option<(u64, Box2)>,
    /// How often each member was claimed.
    claims: Vec<u32>,
}

impl Person {
    /// What speaks for a face in this frame to be this person; none where it cannot be. `live` is the number of the frame
    /// before, where nothing was cut in between.
    fn gain(&self, face: &Followed<'_>, number: u64, live: Option<u64>, floor: f32) -> Option<f32> {
        if let (Some(mine), Some(its)) = (self.claim(), face.claim)
            && mine != its
        {
            return None;
        }
        let seen = self.last.filter(|(last, _)| Some(*last) == live);
        let overlap = seen.map_or(0.0, |(_, bbox)| union_share(&bbox, &face.bbox).max(self.overlap(face, number)));
        let overlaps = overlap >= OVERLAP;
        let cosine = self.mean.as_ref().zip(face.embedding).map(|(mean, embedding)| mean.cosine(embedding).0);
        let possible = match cosine {
            Some(cosine) => cosine >= floor || (overlaps && cosine >= floor * IN_PLACE),
            None => overlaps,
        };
        possible.then(|| cosine.unwrap_or(0.0).max(0.0) + OVERLAP_WEIGHT * overlap)
    }

    /// How far a face lies on where this person would be by now.
    fn overlap(&self, face: &Followed<'_>, number: u64) -> f32 {
        let (Some((from, a)), Some((to, b))) = (self.earlier, self.last) else { return 0.0 };
        let ahead = number.saturating_sub(to) as f32 / to.saturating_sub(from).max(1) as f32;
        let on = |a: f32, b: f32| b + (b - a) * ahead;
        let moved = Box2 { x0: on(a.x0, b.x0), y0: on(a.y0, b.y0), x1: on(a.x1, b.x1), y1: on(a.y1, b.y1) };
        union_share(&moved, &face.bbox)
    }

    /// The member that was claimed most often; ties go to the first in the cast.
    fn claim(&self) -> Option<usize> {
        let most = self.claims.iter().enumerate().max_by_key(|&(member, count)| (count, std::cmp::Reverse(member)));
        most.filter(|(_, count)| **count > 0).map(|(member, _)| member)
    }

    fn add(&mut self, face: &Followed<'_>, number: u64) {
        self.earlier = self.last.replace((number, face.bbox));
        if let Some(embedding) = face.embedding {
            self.sum.resize(embedding.as_slice().len().max(self.sum.len()), 0.0);
            self.sum.iter_mut().zip(embedding.as_slice()).for_each(|(sum, value)| *sum += value);
            // Opposites may cancel out; then the mean of before still stands.
            self.mean = Embedding::try_new(self.sum.clone()).ok().or_else(|| self.mean.take());
        }
        if let Some(member) = face.claim {
            self.claims.resize(self.claims.len().max(member + 1), 0);
            self.claims[member] += 1;
        }
    }
}

/// Which share of what two boxes cover together both cover, 0 to 1.
fn union_share(a: &Box2, b: &Box2) -> f32 {
    let side = |from: f32, to: f32| (to - from).max(0.0);
    let area = |b: &Box2| side(b.x0, b.x1) * side(b.y0, b.y1);
    let both = side(a.x0.max(b.x0), a.x1.min(b.x1)) * side(a.y0.max(b.y0), a.y1.min(b.y1));
    let either = area(a) + area(b) - both;
    if either > 0.0 { both / either } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, axis: usize, embedding: &[Embedding]) -> Followed<'_> {
        let bbox = Box2 { x0: x, y0: 0.0, x1: x + 80.0, y1: 100.0 };
        Followed { bbox, embedding: embedding.get(axis), claim: None }
    }

    fn axes() -> Vec<Embedding> {
        let axis = |i| (0..3).map(|j| f32::from(u8::from(i == j))).collect();
        (0..3).map(|i| Embedding::try_new(axis(i)).unwrap()).collect()
    }

    #[test]
    fn faces_that_cross_keep_their_persons() {
        let axes = axes();
        let frame = |i: u64| (i, false, vec![face(i as f32 * 20.0, 0, &axes), face(200.0 - i as f32 * 20.0, 1, &axes)]);
        let frames: Vec<_> = (0..11).map(frame).collect();
        assert!(follow(&frames, 0.4).iter().all(|persons| persons == &[0, 1]));
    }

    #[test]
    fn one_that_cannot_be_embedded_is_followed_by_its_box_but_not_across_a_cut() {
        let frame = |i: u64, cut| (i, cut, vec![face(i as f32 * 10.0, 9, &[])]);
        let still = [frame(0, false), frame(1, false), frame(2, false)];
        assert_eq!(follow(&still, 0.4), [[0], [0], [0]]);
        let cut = [frame(0, false), frame(1, true), frame(2, false)];
        assert_eq!(follow(&cut, 0.4), [[0], [1], [1]]);
    }

    #[test]
    fn who_leaves_and_returns_is_the_same_and_who_takes_the_place_is_another() {
        let axes = axes();
        let frame = |i: u64, axis| (i, false, vec![face(0.0, axis, &axes)]);
        let frames = [frame(0, 0), (1, false, vec![]), frame(2, 1), frame(3, 0)];
        assert_eq!(follow(&frames, 0.4), [vec![0], vec![], vec![1], vec![0]]);
    }
}
