//! What the tests share: the runtime, the pack and the recorded answers.

#![expect(clippy::disallowed_methods, reason = "where the library lies is the machine's to say")]
#![allow(dead_code, reason = "not every file of tests needs all of it")]

use std::path::{Path, PathBuf};

/// Loads ONNX Runtime from `GREENROOM_ONNXRUNTIME`, or from where the set-up puts it.
pub(crate) fn start() {
    let cache = || match std::env::var_os("GREENROOM_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/greenroom"),
    };
    let library = std::env::var_os("GREENROOM_ONNXRUNTIME")
        .map_or_else(|| cache().join("onnxruntime/libonnxruntime.so"), PathBuf::from);
    if let Err(error) = greenroom_identity::init_runtime(&library) {
        panic!(
            "these tests need the ONNX Runtime library: {error}; `make test` fetches it, or set GREENROOM_ONNXRUNTIME"
        );
    }
}

/// A file of the pack that ships with Greenroom.
pub(crate) fn pack(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/packs/puppet").join(file)
}

/// A file beside the recorded answers.
pub(crate) fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}
