//! Repository chores: tidy, drift checks, measurements.
fn main() {}
