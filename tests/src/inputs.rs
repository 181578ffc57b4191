//! What stories push: shot files, pictures, packs.

use greenroom_domain::Digest;
use image::{GenericImage as _, ImageFormat, Rgb, RgbImage};
use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

use crate::process::Programs;

/// A second of Mara's face.
pub const CLOSE_MARA: &str = r#"
[[shot]]
place = "INT. HIDDEN LAB - NIGHT"
framing = "close"
cast = ["MARA"]
seconds = 1.0
"#;

/// A second of Tobin's face.
pub const CLOSE_TOBIN: &str = r#"
[[shot]]
place = "INT. HIDDEN LAB - NIGHT"
framing = "close"
cast = ["TOBIN"]
seconds = 1.0
"#;

/// A shot file of these shots.
#[must_use]
pub fn shot_file(title: &str, shots: &[&str]) -> String {
    format!("title = \"{title}\"\n{}", shots.concat())
}

/// The fixture's cast.
#[must_use]
pub fn cast_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hidden-lab/cast")
}

/// One of the fixture's pictures of a character.
#[must_use]
pub fn reference(character: &str, file: &str) -> Vec<u8> {
    fs::read(cast_folder().join(character).join(file)).unwrap()
}

/// An ONNX file of the identity crate's tests: a model with something odd about it.
#[must_use]
pub fn golden(file: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../farm/identity/tests/golden/models").join(file)).unwrap()
}

/// A picture as a PNG file.
#[must_use]
pub fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A picture of nothing.
#[must_use]
pub fn noise(width: u32, height: u32) -> RgbImage {
    let grey =
        |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519) >> 24;
    RgbImage::from_fn(width, height, |x, y| Rgb([grey(x, y) as u8; 3]))
}

/// Two pictures of the same height beside each other.
#[must_use]
pub fn side_by_side(left: &[u8], right: &[u8]) -> RgbImage {
    let [left, right] = [left, right].map(|bytes| image::load_from_memory(bytes).unwrap().into_rgb8());
    let mut both = RgbImage::new(left.width() + right.width(), left.height());
    both.copy_from(&left, 0, 0).unwrap();
    both.copy_from(&right, left.width(), 0).unwrap();
    both
}

/// The SHA-256 of a file.
#[must_use]
pub fn digest(path: &Path) -> String {
    Digest::of(&fs::read(path).unwrap()).to_string()
}

/// The repository's pack, copied so that it may be spoilt.
#[derive(Debug)]
pub struct PackCopy(TempDir);

impl PackCopy {
    /// Copies the models; the recipe is not needed.
    #[must_use]
    pub fn new() -> Self {
        let copy = Self(TempDir::new().unwrap());
        let from = Programs::find().pack;
        let text = fs::read_to_string(from.join("pack.toml")).unwrap();
        let pack = greenroom_domain::Pack::parse(&text, "pack.toml").unwrap();
        for file in pack.model.iter().map(|model| model.file.as_str()).chain(["pack.toml"]) {
            let to = copy.path().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from.join(file), to).unwrap();
        }
        copy
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts other bytes in place of a file.
    pub fn replace(&self, file: &str, bytes: &[u8]) {
        fs::write(self.path().join(file), bytes).unwrap();
    }

    /// Puts other bytes in place of a file, and makes pack.toml say so.
    pub fn replace_openly(&self, file: &str, bytes: &[u8]) {
        let old = fs::read(self.path().join(file)).unwrap();
        self.replace(file, bytes);
        let text = fs::read_to_string(self.path().join("pack.toml")).unwrap();
        let entry = |bytes: &[u8]| format!("sha256 = \"{}\"\nsize = {}\n", Digest::of(bytes), bytes.len());
        assert!(text.contains(&entry(&old)), "pack.toml is not written as expected");
        self.replace("pack.toml", text.replace(&entry(&old), &entry(bytes)).as_bytes());
    }
}

impl Default for PackCopy {
    fn default() -> Self {
        Self::new()
    }
}
