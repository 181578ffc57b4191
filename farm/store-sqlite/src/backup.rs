//! A copy of the ledger beside it: taken before a migration, and the way back from one.

use greenroom_domain::ProblemKind;
use greenroom_store::{Result, StoreError};
use sqlx::SqliteConnection;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::error::{Failing, unusable};

/// Files that belong to a ledger's: what a database has beside itself.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

/// Copies the ledger as it is to `LEDGER.vN`, where N is the version of its schema.
pub(crate) async fn take(connection: &mut SqliteConnection, path: &Path, version: i64) -> Result<()> {
    const STEP: &str = "copy ledger before its migration";
    let copy = beside(path, &format!(".v{version}"));
    let aside = beside(path, ".copying");
    remove(&aside).map_err(|e| StoreError::io(STEP, e))?;
    let target = aside.display().to_string();
    sqlx::query("vacuum into ?").bind(target).execute(connection).await.failing(STEP, path)?;
    let kept = File::open(&aside).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&aside, &copy));
    kept.and_then(|()| File::open(folder(path))?.sync_all()).map_err(|e| StoreError::io(STEP, e))
}

/// Puts the newest copy in the ledger's place, and keeps what it replaces as `LEDGER.undone`. Answers the copy's version.
pub(crate) fn restore(path: &Path) -> Result<i64> {
    const STEP: &str = "restore ledger";
    let copies = copies(path).map_err(|e| StoreError::io(STEP, e))?;
    let Some((version, copy)) = copies.into_iter().max() else {
        let (cause, remedy) = ("no copy was taken before a migration", "restore the file from a backup of yours");
        return Err(unusable(ProblemKind::NotFound, STEP, path, cause, remedy));
    };
    let swap = || -> io::Result<()> {
        for companion in COMPANIONS {
            let (from, to) = (beside(path, companion), beside(path, &format!(".undone{companion}")));
            remove(&to)?;
            match fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(copy, path)?;
        File::open(folder(path))?.sync_all()
    };
    swap().map_err(|e| StoreError::io(STEP, e))?;
    Ok(version)
}

/// Lets go of every copy.
pub(crate) fn forget(path: &Path) -> io::Result<()> {
    for (_, copy) in copies(path)? {
        fs::remove_file(copy)?;
    }
    COMPANIONS.iter().try_for_each(|companion| remove(&beside(path, &format!(".undone{companion}"))))
}

/// The copies with their versions.
fn copies(path: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let version = |file: &Path| -> Option<i64> {
        let rest = file.file_name()?.to_str()?.strip_prefix(&name)?;
        rest.strip_prefix(".v")?.parse().ok()
    };
    let files = fs::read_dir(folder(path))?.collect::<io::Result<Vec<_>>>()?;
    Ok(files.into_iter().filter_map(|file| Some((version(&file.path())?, file.path()))).collect())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
