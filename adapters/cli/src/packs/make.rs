//! Makes a pack's folder: beside its place under a name of its own, and moved there when it is whole.

use greenroom_domain::{Digest, ModelRole, Problem, ProblemKind};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::{Chosen, FaceModels, Folder, compose};
use crate::output::Output;

const STEP: &str = "write pack";

/// A pack that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// Where it lies.
    pub(crate) folder: Folder,
    /// Whether the generator's IP-Adapter was left out, as it reads another embedder's numbers.
    pub(crate) adapter_left_out: bool,
}

/// Makes `into`/`name`. Where something is wrong, nothing is left behind.
pub(crate) async fn make(
    generator: &Folder,
    chosen: Chosen,
    (into, name): (&Path, &str),
    (licence, keep_adapter): (&str, bool),
    output: &Output,
) -> Result<Made, Problem> {
    let place = into.join(name);
    let refused = |path: &Path, error: io::Error| {
        let remedy = "name a folder with --into that can be written and has room";
        Problem::new(ProblemKind::Unavailable, STEP, path.display().to_string(), error, remedy)
    };
    if place.exists() {
        let (cause, remedy) = ("it exists already", "take another name with --name, or remove the folder");
        return Err(Problem::new(ProblemKind::Conflict, STEP, place.display().to_string(), cause, remedy));
    }
    fs::create_dir_all(into).map_err(|e| refused(into, e))?;
    let whole = tempfile::Builder::new().prefix(".adding-").tempdir_in(into).map_err(|e| refused(into, e))?;
    let sizes = [&chosen.detector, &chosen.embedder].map(|file| fs::metadata(file).map_or(0, |it| it.len()));
    let total = generator.pack.model.iter().map(|file| file.size).sum::<u64>() + sizes.iter().sum::<u64>();
    let bar = output.bytes("copying", total);
    let take = async |from: PathBuf, to: String| {
        let (digest, size) = copy(from, whole.path().join(&to)).await?;
        bar.inc(size);
        Ok::<_, Problem>((to, digest, size))
    };
    let detector = take(chosen.detector.clone(), below_identity(&chosen.detector)).await?;
    let embedder = take(chosen.embedder.clone(), below_identity(&chosen.embedder)).await?;
    let trained_with_it = generator.pack.files(ModelRole::Embedder).any(|file| file.sha256 == embedder.1);
    let adapter = keep_adapter || trained_with_it;
    for file in generator.pack.model.iter().filter(|file| compose::stays_in(file.role, adapter)) {
        if !Path::new(&file.file).components().all(|part| matches!(part, Component::Normal(_))) {
            let (cause, remedy) = ("it lies outside its pack", "name another pack with --generator");
            return Err(Problem::invalid(STEP, file.file.clone(), cause, remedy));
        }
        let (_, digest, _) = take(generator.path.join(&file.file), file.file.clone()).await?;
        if digest != file.sha256 {
            let cause = format!("its SHA-256 is {digest}, pack.toml says {}", file.sha256);
            let subject = generator.path.join(&file.file).display().to_string();
            return Err(Problem::invalid(STEP, subject, cause, "restore that pack from its release"));
        }
    }
    bar.finish_and_clear();
    let models = FaceModels { chosen, detector, embedder, licence: licence.to_owned() };
    let text = compose::compose(generator, name, &models, adapter)?;
    fs::write(whole.path().join("pack.toml"), text).map_err(|e| refused(&place, e))?;
    let had_adapter = generator.pack.files(ModelRole::IpAdapter).next().is_some();
    open_to_read(whole.path()).and_then(|()| fs::rename(whole.path(), &place)).map_err(|e| refused(&place, e))?;
    Ok(Made { folder: Folder::open(&place)?, adapter_left_out: had_adapter && !adapter })
}

/// Copies a file, folders above it too; answers its SHA-256 and size.
async fn copy(from: PathBuf, to: PathBuf) -> Result<(Digest, u64), Problem> {
    let subject = from.display().to_string();
    let copied = tokio::task::spawn_blocking(move || {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut copy = Copy { file: fs::File::create_new(&to)?, hasher: Sha256::new() };
        let size = io::copy(&mut fs::File::open(&from)?, &mut copy)?;
        Ok((Digest::from_bytes(copy.hasher.finalize().into()), size))
    });
    let copied = copied.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    copied.map_err(|error: io::Error| {
        let remedy = "make sure that the file can be read, and that there is room for a copy";
        Problem::new(ProblemKind::Unavailable, STEP, subject, error, remedy)
    })
}

/// A file that is written and hashed at once.
struct Copy {
    file: fs::File,
    hasher: Sha256,
}

impl io::Write for Copy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn below_identity(file: &Path) -> String {
    format!("identity/{}", file.file_name().unwrap_or_default().to_string_lossy())
}

/// Temporary folders are for their owner alone; a pack is for the daemon too.
fn open_to_read(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn bundled() -> Folder {
        Folder::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/packs/puppet")).unwrap()
    }

    fn chosen(folder: &Path) -> Chosen {
        let [detector, embedder] = ["det.onnx", "rec.onnx"].map(|name| folder.join(name));
        fs::write(&detector, "the detector").unwrap();
        fs::write(&embedder, "the embedder").unwrap();
        Chosen { detector, detector_input: Some((320, 320)), embedder, length: 512, size: 112, raw: false }
    }

    async fn made(generator: &Folder, chosen: Chosen, into: &Path, keep: bool) -> Result<Made, Problem> {
        let output = Output::new(false, &Environment::default());
        make(generator, chosen, (into, "mine"), ("research only", keep), &output).await
    }

    #[tokio::test]
    async fn a_made_pack_is_whole_and_can_itself_be_a_generator() {
        let dir = tempfile::tempdir().unwrap();
        let (models, into) = (chosen(dir.path()), dir.path().join("packs"));
        let first = made(&bundled(), models.clone(), &into, false).await.unwrap();
        assert!(first.adapter_left_out);
        assert_eq!(first.folder.pack.identity.detect_size, 320);
        for file in &first.folder.pack.model {
            let (digest, size) = crate::packs::digest(&first.folder.path.join(&file.file)).unwrap();
            assert_eq!((digest, size), (file.sha256, file.size), "{}", file.file);
        }
        let again = made(&bundled(), models.clone(), &into, false).await.unwrap_err();
        assert_eq!((again.kind, again.cause.as_str()), (ProblemKind::Conflict, "it exists already"));
        let second = made(&first.folder, models, &dir.path().join("more"), false).await.unwrap();
        assert_eq!(second.folder.pack, first.folder.pack);
    }

    #[tokio::test]
    async fn what_fails_half_way_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (mut generator, into) = (bundled(), dir.path().join("packs"));
        generator.pack.model.last_mut().unwrap().role = ModelRole::Vae;
        generator.pack.model.last_mut().unwrap().sha256 = Digest::of(b"another file");
        let models = chosen(dir.path());
        let changed = made(&generator, models.clone(), &into, true).await.unwrap_err();
        assert!(changed.cause.contains("pack.toml says"), "{changed}");
        fs::remove_file(&models.embedder).unwrap();
        assert!(made(&bundled(), models, &into, true).await.unwrap_err().cause.contains("No such file"));
        assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
    }
}
