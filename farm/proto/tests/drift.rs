//! The generated code is what the .proto files say. `UPDATE=1 cargo test -p greenroom-proto` rewrites it.

use prost::Message as _;
use std::{fs, path::Path};

const FILES: [&str; 12] = [
    "greenroom/v1/artifact.proto",
    "greenroom/v1/audit.proto",
    "greenroom/v1/character.proto",
    "greenroom/v1/farm.proto",
    "greenroom/v1/job.proto",
    "greenroom/v1/log.proto",
    "greenroom/v1/lora.proto",
    "greenroom/v1/project.proto",
    "greenroom/v1/schedule.proto",
    "greenroom/v1/token.proto",
    "greenroom/v1/user.proto",
    "greenroom/worker/v1/worker.proto",
];

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = root.join("src/gen");
    let fresh = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(FILES, [root]).unwrap();
    fs::write(fresh.path().join("descriptor_set.bin"), descriptors.encode_to_vec()).unwrap();
    tonic_prost_build::configure().out_dir(fresh.path()).compile_fds(descriptors).unwrap();

    for entry in fs::read_dir(fresh.path()).unwrap() {
        let entry = entry.unwrap();
        let (new, checked_in) = (fs::read(entry.path()).unwrap(), generated.join(entry.file_name()));
        #[expect(clippy::disallowed_methods, reason = "a test that rewrites files on request")]
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&checked_in, &new).unwrap();
        }
        let same = fs::read(&checked_in).is_ok_and(|old| old == new);
        assert!(same, "{} is out of date: run UPDATE=1 cargo test -p greenroom-proto", checked_in.display());
    }
}
