//! The wire: greenroom.v1 for people and tools, greenroom.worker.v1 between daemon and workers.
//!
//! The modules are generated from `greenroom/**/*.proto` and checked in; `tests/drift.rs` fails when they are out of date
//! and rewrites them with `UPDATE=1`.

/// The public API. Additive-only from the first release.
#[expect(missing_docs, clippy::all, reason = "generated; the documentation stands in the .proto files")]
pub mod v1 {
    include!("gen/greenroom.v1.rs");
}

/// Between daemon and workers; both come from one build.
#[expect(missing_docs, reason = "generated; the documentation stands in the .proto files")]
pub mod worker_v1 {
    include!("gen/greenroom.worker.v1.rs");
}

/// Describes both packages, for server reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptor_set.bin");
