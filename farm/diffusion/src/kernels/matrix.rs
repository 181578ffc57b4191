//! Matrix products: the one door to `gemm`.

/// A matrix in a slice: the element of row `i` and column `j` stands at `i · row + j · column`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) values: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
}

impl View<'_> {
    /// Without its first rows.
    pub(super) fn starting(self, start: usize) -> Self {
        Self { values: &self.values[start * self.row..], ..self }
    }

    /// Turned over.
    pub(super) fn across(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }
}

/// Adds (m, k) × (k, n) to `out`, whose rows are `stride` apart, on this thread alone.
pub(super) fn add_product(
    out: &mut [f32],
    stride: usize,
    left: View<'_>,
    right: View<'_>,
    (m, k, n): (usize, usize, usize),
) {
    if m == 0 || k == 0 || n == 0 {
        return;
    }
    let fits =
        |v: View<'_>, rows: usize, columns: usize| (rows - 1) * v.row + (columns - 1) * v.column < v.values.len();
    assert!(fits(left, m, k) && fits(right, k, n), "a factor is smaller than its sizes say");
    assert!(stride >= n && (m - 1) * stride + n <= out.len(), "the product does not fit");
    #[expect(unsafe_code, reason = "the matrix product's only interface takes pointers")]
    // SAFETY: every index that these sizes and strides reach was just checked to lie inside its slice; `out` is borrowed
    // alone, and its rows do not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            true,
            left.values.as_ptr(),
            left.column as isize,
            left.row as isize,
            right.values.as_ptr(),
            right.column as isize,
            right.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
