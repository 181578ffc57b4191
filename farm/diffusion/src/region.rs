//! Where in a picture somebody is: every cell of a feature map belongs to at most one of several regions.

/// A rectangle in fractions of the frame, from the left and from the top. Its right and lower edges do not belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Left edge, 0 to 1.
    pub x0: f32,
    /// Upper edge, 0 to 1.
    pub y0: f32,
    /// Right edge, above `x0` and at most 1.
    pub x1: f32,
    /// Lower edge, above `y0` and at most 1.
    pub y1: f32,
}

impl Region {
    /// All of the picture.
    pub const FRAME: Self = Self { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };

    /// The vertical strip of a number, from 0 at the left, where the frame is cut into `of` strips of equal width.
    #[must_use]
    pub fn strip(number: usize, of: usize) -> Self {
        let edge = |i: usize| (i as f64 / of.max(1) as f64) as f32;
        Self { x0: edge(number), x1: edge(number + 1), ..Self::FRAME }
    }

    /// Whether it is a rectangle inside the frame.
    pub(crate) fn is_valid(&self) -> bool {
        let span = |from: f32, to: f32| 0.0 <= from && from < to && to <= 1.0;
        span(self.x0, self.x1) && span(self.y0, self.y1)
    }

    fn contains(&self, x: f32, y: f32) -> bool {
        (self.x0..self.x1).contains(&x) && (self.y0..self.y1).contains(&y)
    }
}

/// For each cell of a feature map, row by row, the first region that holds its centre.
pub(crate) fn owners(regions: &[Region], (height, width): (usize, usize)) -> Vec<Option<usize>> {
    let cell = |row: usize, column: usize| {
        // In single precision, like the edges, so that a centre on an edge such as 0.3 is found to be on it.
        let (x, y) = ((column as f32 + 0.5) / width as f32, (row as f32 + 0.5) / height as f32);
        regions.iter().position(|region| region.contains(x, y))
    };
    (0..height * width).map(|i| cell(i / width, i % width)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Region, owners};

    #[test]
    fn a_cell_belongs_to_the_first_region_that_holds_its_centre() {
        let middle = Region { x0: 0.25, y0: 0.0, x1: 0.625, y1: 0.5 };
        let right = Region { x0: 0.5, ..Region::FRAME };
        // Of four columns the third, with its centre at 0.625, lies outside the first region: the edge is not part of it.
        let (none, one, two) = (None, Some(0), Some(1));
        assert_eq!(owners(&[middle, right], (2, 4)), [none, one, two, two, none, none, two, two]);
        assert_eq!(owners(&[right, middle], (1, 4)), [none, none, one, one]);
        assert_eq!(owners(&[Region { x0: 0.3, ..Region::FRAME }], (1, 5)), [none, one, one, one, one]);
    }

    #[test]
    fn strips_part_the_frame_without_a_gap() {
        for of in 1..=4 {
            let strips: Vec<Region> = (0..of).map(|i| Region::strip(i, of)).collect();
            assert!(strips.iter().all(Region::is_valid));
            let owners = owners(&strips, (1, 12 * of));
            assert_eq!(owners, (0..12 * of).map(|i| Some(i / 12)).collect::<Vec<_>>());
        }
    }
}
