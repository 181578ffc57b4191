//! Hears a take frame by frame: follows its faces, casts its persons, and notes what was seen of whom. The rule is written
//! in [`crate::judge`].

use greenroom_domain::{Calibration, Cosine, FaceScore, FrameScore, Idr, Stranger, Unscored};

use crate::{
    JudgeInput, SeenFace,
    assign::assign,
    cast::{Person, cast},
    face::share_inside,
    follow::{Followed, follow},
    judge::{BESIDE, STRANGER_BELOW},
    score::{History, Sighting},
};

/// What came out.
pub(crate) struct Hearing {
    /// Of each member of the cast.
    pub(crate) histories: Vec<History>,
    pub(crate) frames: Vec<FrameScore>,
    pub(crate) strangers: Vec<Stranger>,
    /// (expected member, frame) where somebody else looks like it, each person once.
    pub(crate) second_faces: Vec<(usize, u64)>,
    /// For each member in how many frames a face that is or could be its was seen as no reference shows it.
    pub(crate) incomparable: Vec<usize>,
}

pub(crate) struct Court<'a> {
    input: &'a JudgeInput<'a>,
    /// Indices in the cast.
    expected: Vec<usize>,
    /// For each member the curve that reads its cosines.
    curves: Vec<&'a Calibration>,
    /// For each member the lowest cosine that is not a stranger's.
    floors: Vec<f32>,
    /// Of each frame, its faces, best detection first.
    faces: Vec<Vec<Candidate<'a>>>,
    people: Vec<Person>,
    /// For each person whose it is.
    cast: Vec<Option<usize>>,
}

/// A face with its cosine to every member of the cast.
struct Candidate<'a> {
    face: &'a SeenFace,
    cosines: Vec<Option<Cosine>>,
    person: usize,
}

/// Boxes that share this much of the smaller one are two findings of one face, not two faces alike.
const SAME_FACE: f32 = 0.5;

impl<'a> Court<'a> {
    /// Looks at the whole take and decides who is who.
    pub(crate) fn new(input: &'a JudgeInput<'a>) -> Self {
        let expected = (0..input.cast.len()).filter(|&m| input.expected.contains(&input.cast[m].0)).collect();
        let curve = |(name, _): &'a (String, crate::Profile)| input.curves.get(name).unwrap_or(input.calibration);
        let curves: Vec<&Calibration> = input.cast.iter().map(curve).collect();
        let floor = |curve: &Calibration| curve.lowest_cosine(STRANGER_BELOW.min(input.gate));
        let floors: Vec<f32> = curves.iter().map(|curve| floor(curve)).collect();
        let frames = input.frames.iter().map(|(_, faces)| candidates(input, faces));
        let mut faces: Vec<Vec<Candidate<'a>>> = frames.collect();
        number_persons(input, &mut faces, &floors, floor(input.calibration));
        let people = people(&faces, input.cast.len());
        let cast = cast(&people, &floors);
        Self { input, expected, curves, floors, faces, people, cast }
    }

    /// Notes what was seen.
    pub(crate) fn hear(&self) -> Hearing {
        let mut histories: Vec<History> = self.input.cast.iter().map(|_| History::default()).collect();
        let mut incomparable = vec![0; self.input.cast.len()];
        let mut frames = Vec::with_capacity(self.faces.len());
        for ((frame, _), faces) in self.input.frames.iter().zip(&self.faces) {
            let owners = self.owners(faces);
            let own = owners.iter().enumerate().filter_map(|(face, owner)| Some(((*owner)?, face)));
            let mut scored = vec![false; histories.len()];
            let stand_ins = self.stand_ins(faces, &owners);
            for (member, face) in own.chain(stand_ins.iter().copied()) {
                if let Some(cosine) = faces[face].cosines[member] {
                    let idr = self.curves[member].idr(cosine);
                    histories[member].add(Sighting { frame: *frame, cosine, idr, whose: owners[face] });
                    scored[member] = true;
                }
            }
            for (member, count) in incomparable.iter_mut().enumerate().filter(|(member, _)| !scored[*member]) {
                let mut faces = faces.iter().zip(&owners).filter(|(_, owner)| owner.is_none_or(|o| o == member));
                *count += usize::from(faces.any(|(face, _)| self.is_unlike(face, member)));
            }
            let faces = faces.iter().zip(&owners).map(|(face, owner)| self.face(face, *owner));
            let mut faces: Vec<_> = faces.collect();
            for (member, face) in stand_ins {
                faces[face].stands_for = Some(self.input.cast[member].0.clone());
            }
            frames.push(FrameScore { frame: *frame, faces });
        }
        Hearing {
            histories,
            frames,
            strangers: self.strangers(),
            second_faces: self.expected.iter().flat_map(|&member| self.second_faces(member)).collect(),
            incomparable,
        }
    }

    /// Whose each face of a frame is: its person's member; a stranger's by itself, if it is above the floor.
    fn owners(&self, faces: &[Candidate<'_>]) -> Vec<Option<usize>> {
        let mut owners: Vec<Option<usize>> = faces.iter().map(|face| self.cast[face.person]).collect();
        let alone: Vec<usize> = (0..faces.len())
            .filter(|&face| owners[face].is_none() && self.people[faces[face].person].like(&self.floors).is_none())
            .collect();
        let gain = |face: usize, member: usize| {
            let free = !owners.contains(&Some(member));
            let gain = faces[face].cosines[member].filter(|_| free).map(|c| c.0 - self.floors[member]);
            gain.filter(|gain| *gain >= 0.0)
        };
        let members = 0..self.input.cast.len();
        let gains: Vec<Vec<_>> =
            alone.iter().map(|&face| members.clone().map(|member| gain(face, member)).collect()).collect();
        for (face, member) in alone.into_iter().zip(assign(&gains)) {
            owners[face] = member;
        }
        owners
    }

    /// (member, face) for expected members without a face of their own.
    fn stand_ins(&self, faces: &[Candidate<'_>], owners: &[Option<usize>]) -> Vec<(usize, usize)> {
        let absent: Vec<usize> = self.expected.iter().copied().filter(|m| !owners.contains(&Some(*m))).collect();
        let free = |face: usize| owners[face].is_none_or(|owner| !self.expected.contains(&owner));
        // From 0 to 2, so that every possible pair is worth having.
        let gain = |member: usize, face: usize| {
            let possible = free(face) && !self.is_known_beside(faces[face].person, member);
            faces[face].cosines[member].filter(|_| possible).map(|c| c.0 + 1.0)
        };
        let gains: Vec<Vec<_>> =
            absent.iter().map(|&member| (0..faces.len()).map(|face| gain(member, face)).collect()).collect();
        absent.iter().zip(assign(&gains)).filter_map(|(&member, face)| Some((member, face?))).collect()
    }

    /// Whether a person was seen together with the member often enough to be another one.
    fn is_known_beside(&self, person: usize, member: usize) -> bool {
        let own = self.people.iter().zip(&self.cast).filter(|(_, whose)| **whose == Some(member));
        own.map(|(own, _)| own.beside(&self.people[person])).sum::<usize>() >= BESIDE
    }

    /// (member, frame) of every person that is one too many: like this member, beside it, and nobody's.
    fn second_faces(&self, member: usize) -> Vec<(usize, u64)> {
        let too_many =
            |person: &usize| self.cast[*person].is_none() && self.people[*person].like(&self.floors) == Some(member);
        let people = (0..self.people.len()).filter(too_many);
        people.filter_map(|person| Some((member, self.most_alike_beside(person, member)?))).collect()
    }

    /// Of the frames that show this person beside the member, the number of the one in which it is most like it.
    fn most_alike_beside(&self, person: usize, member: usize) -> Option<u64> {
        let beside = self.input.frames.iter().zip(&self.faces).filter_map(|((frame, _), faces)| {
            let second = faces.iter().find(|face| face.person == person)?;
            let own = faces.iter().find(|face| self.cast[face.person] == Some(member))?;
            let (a, b) = (&second.face.bbox, &own.face.bbox);
            let same = share_inside(a, b).max(share_inside(b, a)) >= SAME_FACE;
            Some((*frame, second.cosines[member]?.0)).filter(|_| !same)
        });
        beside.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(frame, _)| frame)
    }

    fn strangers(&self) -> Vec<Stranger> {
        let nobodys = (0..self.people.len()).filter(|&person| self.cast[person].is_none());
        let number = |at: usize| self.input.frames[at].0;
        let stranger = |person: usize| {
            let seen = &self.people[person];
            let (first, last) = (number(*seen.frames.first()?), number(*seen.frames.last()?));
            let nearest = seen.nearest().map(|(member, mean)| (self.input.cast[member].0.clone(), Cosine(mean)));
            Some(Stranger { person: person as u32, first, last, frames: seen.frames.len() as u32, nearest })
        };
        nobodys.filter_map(stranger).collect()
    }

    fn face(&self, of: &Candidate<'_>, owner: Option<usize>) -> FaceScore {
        let pairs = of.cosines.iter().zip(&self.curves).filter_map(|(cosine, curve)| Some(((*cosine)?, *curve)));
        let nearest = || pairs.max_by(|a, b| a.0.0.total_cmp(&b.0.0));
        let scored = owner.map_or_else(nearest, |member| Some((of.cosines[member]?, self.curves[member])));
        let (cosine, idr) = (scored.map(|(cosine, _)| cosine), scored.map(|(cosine, curve)| curve.idr(cosine)));
        FaceScore {
            bbox: of.face.bbox,
            detection: of.face.detection,
            yaw: of.face.yaw,
            person: of.person as u32,
            character: owner.map(|member| self.input.cast[member].0.clone()),
            stands_for: None,
            unscored: if cosine.is_none() { Some(self.why_unscored(of)) } else { None },
            cosine,
            idr,
            band: idr.map(Idr::band),
        }
    }

    fn why_unscored(&self, of: &Candidate<'_>) -> Unscored {
        let scoring = self.input.scoring;
        if of.face.embedding.is_none() {
            Unscored::TooSmall
        } else if !(0..self.input.cast.len()).any(|member| self.is_unlike(of, member)) {
            Unscored::NoProfile
        } else if of.face.detection < scoring.clear {
            Unscored::Covered
        } else {
            Unscored::Turned
        }
    }

    /// Whether a face could be compared with a member if only a reference showed the member so.
    fn is_unlike(&self, of: &Candidate<'_>, member: usize) -> bool {
        let profile = &self.input.cast[member].1;
        of.face.embedding.is_some() && of.cosines[member].is_none() && profile.embedder == self.input.models.embedder
    }
}

fn candidates<'a>(input: &JudgeInput<'_>, faces: &'a [SeenFace]) -> Vec<Candidate<'a>> {
    let candidate = |face: &'a SeenFace| {
        let cosine = |profile: &crate::Profile| {
            let embedding = face.embedding.as_ref().filter(|_| profile.embedder == input.models.embedder)?;
            profile.compare(embedding, face.yaw, face.detection, input.scoring)
        };
        Candidate { face, cosines: input.cast.iter().map(|(_, profile)| cosine(profile)).collect(), person: 0 }
    };
    let mut candidates: Vec<Candidate<'a>> = faces.iter().map(candidate).collect();
    candidates.sort_by(|a, b| b.face.detection.total_cmp(&a.face.detection));
    candidates
}

/// Follows the faces and writes each one's person down.
fn number_persons<'a>(input: &JudgeInput<'_>, faces: &mut [Vec<Candidate<'a>>], floors: &[f32], floor: f32) {
    let followed = |of: &Candidate<'a>| {
        let margins =
            of.cosines.iter().zip(floors).enumerate().filter_map(|(m, (c, floor))| Some((m, (*c)?.0 - floor)));
        let above = margins.filter(|(_, margin)| *margin >= 0.0);
        let claim = above.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(member, _)| member);
        Followed { bbox: of.face.bbox, embedding: of.face.embedding.as_ref(), claim }
    };
    let frames = input.frames.iter().zip(faces.iter());
    let frames: Vec<_> = frames
        .map(|((frame, _), faces)| (*frame, input.cuts.contains(frame), faces.iter().map(followed).collect()))
        .collect();
    for (faces, persons) in faces.iter_mut().zip(follow(&frames, floor)) {
        faces.iter_mut().zip(persons).for_each(|(face, person)| face.person = person);
    }
}

fn people(faces: &[Vec<Candidate<'_>>], members: usize) -> Vec<Person> {
    let count = faces.iter().flatten().map(|face| face.person + 1).max().unwrap_or(0);
    let mut people = vec![Person { likeness: vec![(0, 0.0); members], frames: Vec::new() }; count];
    for (frame, faces) in faces.iter().enumerate() {
        for face in faces {
            let person = &mut people[face.person];
            person.frames.push(frame);
            for (likeness, cosine) in person.likeness.iter_mut().zip(&face.cosines) {
                if let Some(cosine) = cosine {
                    *likeness = (likeness.0 + 1, likeness.1 + cosine.0);
                }
            }
        }
    }
    people
}
