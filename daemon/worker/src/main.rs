//! One process per device: runs profile, generate, validate and assemble tasks.
fn main() {}
