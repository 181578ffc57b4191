//! The daemon's program; all of it is in the library, where the chaos simulator finds it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    greenroomd::run()
}
