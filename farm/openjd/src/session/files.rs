//! Where commands leave files, and what is new there.

use openjd_sessions::PathMappingRule;
use std::{
    collections::BTreeMap,
    fs, io,
    io::{Read, Write},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use super::{
    log::Voice,
    wire::{Header, Said, send},
};
use crate::template::{Output, Path as Parameter};

/// One task may leave so many files.
const MOST: usize = 10_000;
/// Folders inside folders.
const DEEPEST: usize = 64;

/// The folders that the job's parameters name.
#[derive(Debug)]
pub(super) struct Outputs {
    folders: Vec<Folder>,
    /// What is there already, by path.
    known: BTreeMap<PathBuf, State>,
}

#[derive(Debug)]
struct Folder {
    parameter: String,
    root: PathBuf,
    /// It is the session's own: what was sent from it goes.
    own: bool,
}

/// Changes whenever a file does.
type State = (u64, i64, i64, u64);

impl Outputs {
    /// Makes a folder below `below` for each parameter that commands write to. Answers also with the rules by which the official
    /// crate leads commands there: where they write is theirs alone until the farm has taken it.
    pub(super) fn make(
        parameters: &[Parameter],
        below: &Path,
        farm: &[PathMappingRule],
        format: openjd_sessions::PathFormat,
    ) -> io::Result<(Self, Vec<PathMappingRule>)> {
        let (mut folders, mut rules) = (Vec::new(), Vec::new());
        let rule = |source: &str, destination: &Path| PathMappingRule {
            source_path_format: format,
            source_path: source.to_owned(),
            destination_path: destination.display().to_string(),
        };
        for parameter in parameters.iter().filter(|parameter| !parameter.value.is_empty()) {
            let mapped = PathBuf::from(openjd_expr::path_mapping::apply_rules(farm, &parameter.value));
            let (root, own) = match parameter.output {
                None => {
                    // It may lie below a folder that is led elsewhere, and is not meant with it.
                    rules.push(rule(&parameter.value, &mapped));
                    continue;
                }
                Some(Output::InPlace) => (mapped.clone(), false),
                Some(Output::Folder | Output::File) => (below.join(&parameter.name), true),
            };
            let led = match parameter.output {
                Some(Output::File) => root.join(mapped.file_name().unwrap_or("output".as_ref())),
                _ => root.clone(),
            };
            if own {
                fs::create_dir_all(&root)?;
            }
            rules.push(rule(&parameter.value, &led));
            folders.push(Folder { parameter: parameter.name.clone(), root, own });
        }
        Ok((Self { folders, known: BTreeMap::new() }, rules))
    }

    /// Puts what an earlier step left where this one finds it. What belongs nowhere here is read and dropped.
    pub(super) fn put(&mut self, header: &Header, from: &mut impl Read) -> io::Result<()> {
        let mut bytes = from.take(header.bytes);
        if let Some(path) = self.place(&header.path) {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = fs::File::create(&path)?;
            io::copy(&mut bytes, &mut file)?;
            if header.executable {
                file.set_permissions(fs::Permissions::from_mode(0o755))?;
            }
        }
        io::copy(&mut bytes, &mut io::sink()).map(drop)
    }

    /// Everything that is there now is no task's.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.known = self.look()?.into_iter().map(|(_, path, state, _)| (path, state)).collect();
        Ok(())
    }

    /// Sends what is new, and lets go of it where the folder is the session's own.
    pub(super) fn publish(&mut self, voice: &Voice) -> io::Result<()> {
        let new: Vec<_> =
            self.look()?.into_iter().filter(|(_, path, state, _)| self.known.get(path) != Some(state)).collect();
        if new.len() > MOST {
            return Err(io::Error::other(format!("it left {} files, and a task may leave {MOST}", new.len())));
        }
        for (name, path, state, executable) in &new {
            let mut file = fs::File::open(path)?;
            let bytes = file.metadata()?.len();
            let header = Header { path: name.clone(), bytes, executable: *executable };
            let whole = voice.with(|to| {
                send(to, &Said::File(header))?;
                copy(&mut file, to, bytes)
            })?;
            if !whole {
                return Err(io::Error::other(format!("{name} changed while it was read")));
            }
            let own = self.folders.iter().any(|folder| folder.own && path.starts_with(&folder.root));
            if own && !self.known.contains_key(path) {
                fs::remove_file(path)?;
            } else {
                self.known.insert(path.clone(), *state);
            }
        }
        Ok(())
    }

    /// (name for the farm, path, state, executable) of every file.
    fn look(&self) -> io::Result<Vec<(String, PathBuf, State, bool)>> {
        let mut found = Vec::new();
        for folder in &self.folders {
            walk(&folder.root, DEEPEST, &mut |path, meta| {
                let below = path.strip_prefix(&folder.root).unwrap_or(path);
                let name = match below.as_os_str().is_empty() {
                    true => path.file_name().unwrap_or_default().to_string_lossy(),
                    false => below.to_string_lossy(),
                };
                let state = (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino());
                let executable = meta.permissions().mode() & 0o100 != 0;
                found.push((format!("{}/{name}", folder.parameter), path.to_owned(), state, executable));
            })?;
        }
        Ok(found)
    }

    /// Where a file of an earlier step goes; none where it has no place of ours.
    fn place(&self, name: &str) -> Option<PathBuf> {
        let path = Path::new(name);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        let mut parts = path.components();
        let parameter = parts.next()?.as_os_str().to_str()?;
        let folder = self.folders.iter().find(|folder| folder.own && folder.parameter == parameter)?;
        Some(folder.root.join(parts.as_path())).filter(|path| *path != folder.root)
    }
}

/// So many bytes, whatever becomes of the file meanwhile: what follows on the line stays readable. False where they are not its own.
fn copy(from: &mut fs::File, to: &mut impl Write, bytes: u64) -> io::Result<bool> {
    let mut buffer = vec![0; 256 << 10];
    let mut left = bytes;
    while left > 0 {
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = from.read(&mut buffer[..room]).unwrap_or(0);
        if read == 0 {
            io::copy(&mut io::repeat(0).take(left), to)?;
            return Ok(false);
        }
        to.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(true)
}

/// Files in the order of their names. Links are left alone: what they lead to may be anybody's.
fn walk(path: &Path, depth: usize, on: &mut impl FnMut(&Path, &fs::Metadata)) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta?,
    };
    if meta.is_file() {
        on(path, &meta);
    } else if meta.is_dir() && depth > 0 {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable();
        for entry in entries {
            walk(&entry, depth - 1, on)?;
        }
    }
    Ok(())
}
