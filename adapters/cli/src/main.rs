//! The greenroom command: push, watch, pull, and run a whole script.
fn main() {}
