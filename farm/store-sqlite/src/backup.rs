//! A copy of the ledger beside it: taken before a migration, and the way back from one.

use greenroom_domain::ProblemKind;
use greenroom_store::{Result, Store as _, StoreError};
use sqlx::SqliteConnection;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    SqliteStore,
    error::{Failing, unusable},
};

/// Files that belong to a ledger's: what a database has beside itself.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

/// Copies the ledger as it is to `LEDGER.vN`, where N is the version of its schema.
pub(crate) async fn take(connection: &mut SqliteConnection, path: &Path, version: i64) -> Result<()> {
    copy(connection, path, &beside(path, &format!(".v{version}")), "copy ledger before its migration").await
}

/// Copies the ledger at `path` as it is to a file, whole or not at all.
pub(crate) async fn copy(connection: &mut SqliteConnection, path: &Path, to: &Path, step: &'static str) -> Result<()> {
    let aside = beside(to, ".copying");
    remove(&aside).map_err(|e| StoreError::io(step, e))?;
    let target = aside.display().to_string();
    sqlx::query("vacuum into ?").bind(target).execute(connection).await.failing(step, path)?;
    let keep = || -> io::Result<()> {
        let file = File::open(&aside)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.sync_all()?;
        fs::rename(&aside, to)?;
        File::open(folder(to))?.sync_all()
    };
    keep().map_err(|e| StoreError::io(step, e))
}

/// Puts a copy in the ledger's place, and keeps what it replaces as `LEDGER.undone`.
pub(crate) async fn restore_from(path: &Path, copied: &Path) -> Result<()> {
    const STEP: &str = "restore ledger";
    if !copied.is_file() {
        return Err(unusable(
            ProblemKind::NotFound,
            STEP,
            copied,
            "there is no such file",
            "name a copy of the ledger",
        ));
    }
    // What is put in place is brought up to this build's schema and read whole first; the copy itself stays as it is.
    let aside = beside(path, ".restoring");
    fs::copy(copied, &aside).map_err(|e| StoreError::io(STEP, e))?;
    let checked = async {
        let store = SqliteStore::open(&aside).await?;
        store.integrity_check().await?;
        store.close().await
    };
    if let Err(error) = checked.await {
        COMPANIONS.iter().try_for_each(|c| remove(&beside(&aside, c))).map_err(|e| StoreError::io(STEP, e))?;
        return Err(error);
    }
    replace(path, &aside).map_err(|e| StoreError::io(STEP, e))
}

/// Puts the newest copy in the ledger's place, and keeps what it replaces as `LEDGER.undone`. Answers the copy's version.
pub(crate) fn restore(path: &Path) -> Result<i64> {
    const STEP: &str = "restore ledger";
    let copies = copies(path).map_err(|e| StoreError::io(STEP, e))?;
    let Some((version, copy)) = copies.into_iter().max() else {
        let (cause, remedy) = ("no copy was taken before a migration", "restore the file from a backup of yours");
        return Err(unusable(ProblemKind::NotFound, STEP, path, cause, remedy));
    };
    replace(path, &copy).map_err(|e| StoreError::io(STEP, e))?;
    Ok(version)
}

fn replace(path: &Path, new: &Path) -> io::Result<()> {
    for companion in COMPANIONS {
        let (from, to) = (beside(path, companion), beside(path, &format!(".undone{companion}")));
        remove(&to)?;
        match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(new, path)?;
    File::open(folder(path))?.sync_all()
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
