//! Which person of a take is which member of the cast. Pure.

use crate::assign::assign;

/// What is known of one person.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// For each member of the cast: how many of its faces could be compared, and the sum of their cosines.
    pub(crate) likeness: Vec<(usize, f32)>,
    /// Indices of the frames that it is in, rising.
    pub(crate) frames: Vec<usize>,
}

impl Person {
    /// Mean cosine to a member; none where nothing could be compared.
    pub(crate) fn mean(&self, member: usize) -> Option<f32> {
        let (count, sum) = self.likeness[member];
        (count > 0).then(|| sum / count as f32)
    }

    /// The member that it is most like and the mean cosine; ties go to the first in the cast.
    pub(crate) fn nearest(&self) -> Option<(usize, f32)> {
        let means = (0..self.likeness.len()).filter_map(|member| Some((member, self.mean(member)?)));
        means.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
    }

    /// The member that it could be: whose floor its mean reaches, and exceeds most; ties go to the first in the cast.
    pub(crate) fn like(&self, floors: &[f32]) -> Option<usize> {
        let margins =
            floors.iter().enumerate().filter_map(|(member, floor)| Some((member, self.mean(member)? - floor)));
        let most = margins.filter(|(_, margin)| *margin >= 0.0);
        most.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(member, _)| member)
    }

    /// In how many frames both are seen.
    pub(crate) fn beside(&self, other: &Self) -> usize {
        self.frames.iter().filter(|frame| other.frames.binary_search(frame).is_ok()).count()
    }
}

/// For each person the member of the cast that it is; none is a stranger, or one too many.
///
/// One to one with the greatest total of what the cosines have above the member's floor, all faces of a person together; a
/// person whose mean is below it is not that member. Those who are left are then assigned in the same way to members beside
/// whose own face they are never seen, until nobody is: a person who was lost sight of comes back as one who was never
/// seen beside itself.
pub(crate) fn cast(people: &[Person], floors: &[f32]) -> Vec<Option<usize>> {
    let mut whose: Vec<Option<usize>> = vec![None; people.len()];
    loop {
        let free = |person: usize, member: usize| {
            whose[person].is_none()
                && people.iter().zip(&whose).all(|(own, w)| *w != Some(member) || own.beside(&people[person]) == 0)
        };
        let gain = |person: usize, member: usize| {
            let (count, sum) = people[person].likeness[member];
            let above = sum - floors[member] * count as f32;
            Some(above).filter(|above| count > 0 && *above >= 0.0 && free(person, member))
        };
        let gains: Vec<Vec<_>> =
            (0..people.len()).map(|person| (0..floors.len()).map(|member| gain(person, member)).collect()).collect();
        let chosen = assign(&gains);
        if chosen.iter().all(Option::is_none) {
            return whose;
        }
        for (person, member) in chosen.into_iter().enumerate() {
            whose[person] = whose[person].or(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(cosines: &[f32], frames: std::ops::Range<usize>) -> Person {
        let count = frames.len();
        Person { likeness: cosines.iter().map(|c| (count, c * count as f32)).collect(), frames: frames.collect() }
    }

    #[test]
    fn one_who_was_lost_sight_of_is_the_same_and_one_beside_is_not() {
        let people = [person(&[0.7], 0..5), person(&[0.6], 6..9), person(&[0.65], 4..8), person(&[0.1], 0..9)];
        assert_eq!(cast(&people, &[0.4]), [Some(0), Some(0), None, None]);
    }

    #[test]
    fn who_is_above_a_floor_is_like_that_member_however_alike_the_others_are() {
        let stranger = person(&[0.6, 0.5], 0..9);
        assert_eq!(stranger.like(&[0.65, 0.45]), Some(1));
        assert_eq!(stranger.like(&[0.65, 0.55]), None);
        assert_eq!(cast(&[stranger], &[0.65, 0.45]), [Some(1)]);
    }

    #[test]
    fn all_faces_of_a_person_together_decide() {
        let people = [person(&[0.7, 0.1], 0..9), person(&[0.68, 0.6], 0..9)];
        assert_eq!(cast(&people, &[0.4; 2]), [Some(0), Some(1)]);
    }
}
