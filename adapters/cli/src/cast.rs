//! A cast folder: one folder per character, with its pictures and, if wanted, a `character.toml`.

use greenroom_domain::Problem;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::consent::ConsentFile;

/// One character as its folder gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CastMember {
    /// Upper case, as the script writes it.
    pub(crate) name: String,
    /// May be empty.
    pub(crate) description: String,
    /// Sorted by file name.
    pub(crate) pictures: Vec<PathBuf>,
    /// Whether they show somebody who lives.
    pub(crate) real_person: bool,
    /// What that person allowed.
    pub(crate) consent: Option<ConsentFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CharacterFile {
    name: Option<String>,
    description: String,
    real_person: bool,
    consent: Option<ConsentFile>,
}

const STEP: &str = "read cast";
const KINDS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// Every character below a folder, by name.
pub(crate) fn read(dir: &Path) -> Result<Vec<CastMember>, Problem> {
    let mut cast = BTreeMap::<String, (PathBuf, CastMember)>::new();
    for path in entries(dir)? {
        if !path.is_dir() {
            if is_picture(&path) {
                let remedy = "put it into a folder that is called as the character";
                return Err(problem(&path, "a picture that belongs to no character", remedy));
            }
            continue;
        }
        let member = member(&path)?;
        if let Some((other, _)) = cast.get(&member.name) {
            let cause = format!("{} is also the name of {}", member.name, other.display());
            return Err(problem(&path, cause, "give one of them another name in its character.toml"));
        }
        cast.insert(member.name.clone(), (path, member));
    }
    if cast.is_empty() {
        let remedy = "make a folder for each character, with one to three pictures of its face";
        return Err(problem(dir, "there is no character folder in it", remedy));
    }
    Ok(cast.into_values().map(|(_, member)| member).collect())
}

/// Whether the farm reads pictures of this kind.
pub(crate) fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known)))
}

fn member(dir: &Path) -> Result<CastMember, Problem> {
    let about = dir.join("character.toml");
    let mut file = if about.is_file() { character_file(&about)? } else { CharacterFile::default() };
    // The release lies beside the pictures, and may be a picture itself.
    let release = file.consent.as_mut().and_then(|consent| consent.beside(dir));
    let mut pictures = Vec::new();
    for path in entries(dir)? {
        if path == about || release.as_ref() == Some(&path) {
        } else if is_picture(&path) && path.is_file() {
            pictures.push(path);
        } else {
            let remedy = "keep only pictures (png, jpg, jpeg, webp) and character.toml there; convert or move the rest";
            return Err(problem(&path, "not a picture that can be read", remedy));
        }
    }
    if pictures.is_empty() {
        let remedy = "put one to three pictures of the face there (png, jpg, jpeg or webp)";
        return Err(problem(dir, "no pictures", remedy));
    }
    let folder = dir.file_name().unwrap_or_default().to_string_lossy().replace('_', " ");
    let name = file.name.unwrap_or(folder).trim().to_uppercase();
    if name.is_empty() {
        return Err(problem(&dir.join("character.toml"), "the name is empty", "write the name as the script has it"));
    }
    let description = file.description.trim().to_owned();
    Ok(CastMember { name, description, pictures, real_person: file.real_person, consent: file.consent })
}

fn character_file(path: &Path) -> Result<CharacterFile, Problem> {
    let remedy = "write name = \"…\" and description = \"…\", and for a real person real_person = true and [consent]";
    let text = fs::read_to_string(path).map_err(|error| problem(path, error, remedy))?;
    toml::from_str(&text).map_err(|error| problem(path, error.message(), remedy))
}

/// What a folder holds, sorted; hidden files left out.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, Problem> {
    let read =
        || -> io::Result<Vec<PathBuf>> { fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect() };
    let mut paths = read().map_err(|error| problem(dir, error, "name a folder that can be read"))?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}

fn problem(path: &Path, cause: impl std::fmt::Display, remedy: &str) -> Problem {
    Problem::invalid(STEP, path.display().to_string(), cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn refusal(files: &[(&str, &str)]) -> String {
        let dir = folder(files);
        let problem = read(dir.path()).unwrap_err();
        format!("{problem} / {}", problem.remedy).replace(&dir.path().display().to_string(), "CAST")
    }

    #[test]
    fn each_folder_is_a_character_called_as_its_file_or_its_folder_says() {
        let about = "name = \"Tobin\"\ndescription = \"An old man. \"";
        let files =
            [("mara/b.PNG", ""), ("mara/a.jpg", ""), ("t/1.webp", ""), ("t/character.toml", about), ("t/.x", "")];
        let dir = folder(&files);
        let cast = read(dir.path()).unwrap();
        assert_eq!(cast.iter().map(|member| &member.name[..]).collect::<Vec<_>>(), ["MARA", "TOBIN"]);
        assert_eq!(cast[0].pictures, [dir.path().join("mara/a.jpg"), dir.path().join("mara/b.PNG")]);
        assert_eq!(cast[1].description, "An old man.");
    }

    #[test]
    fn a_real_person_brings_consent_and_the_release_is_no_picture() {
        let about = "real_person = true\n[consent]\nsubject = \"Jane Doe\"\ndocument = \"release.png\"\n\
                     licence = \"this film\"\nexpires = \"2027-03-31\"";
        let dir = folder(&[("mara/1.png", ""), ("mara/release.png", "signed"), ("mara/character.toml", about)]);
        let mara = read(dir.path()).unwrap().remove(0);
        assert!(mara.real_person);
        assert_eq!(mara.pictures, [dir.path().join("mara/1.png")]);
        let consent = mara.consent.unwrap();
        assert_eq!(consent.document, Some(dir.path().join("mara/release.png")));
        assert_eq!(consent.expires.unwrap().to_string(), "2027-03-31");
        let refused = refusal(&[("mara/1.png", ""), ("mara/character.toml", "[consent]\nexpires = \"soon\"")]);
        assert!(refused.starts_with("read cast: CAST/mara/character.toml: "), "{refused}");
    }

    #[test]
    fn a_folder_without_pictures_is_refused() {
        let expected = "read cast: CAST/mara: no pictures / put one to three pictures of the face there (png, jpg, jpeg \
                        or webp)";
        assert_eq!(refusal(&[("mara/character.toml", "")]), expected);
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let expected = "read cast: CAST/mara/2.tiff: not a picture that can be read / keep only pictures (png, jpg, jpeg, \
                        webp) and character.toml there; convert or move the rest";
        assert_eq!(refusal(&[("mara/1.png", ""), ("mara/2.tiff", "")]), expected);
    }

    #[test]
    fn an_unknown_field_or_a_broken_file_is_refused() {
        let refused = refusal(&[("mara/1.png", ""), ("mara/character.toml", "hair = \"blue\"")]);
        assert!(
            refused.contains("character.toml: unknown field `hair`, expected one of `name`, `description`, "),
            "{refused}"
        );
        let refused = refusal(&[("mara/1.png", ""), ("mara/character.toml", "name = ")]);
        assert!(refused.starts_with("read cast: CAST/mara/character.toml: "), "{refused}");
    }

    #[test]
    fn two_folders_with_one_name_are_refused() {
        let files = [("a/1.png", ""), ("a/character.toml", "name = \"Mara\""), ("mara/1.png", "")];
        let expected = "read cast: CAST/mara: MARA is also the name of CAST/a / give one of them another name in its \
                        character.toml";
        assert_eq!(refusal(&files), expected);
    }

    #[test]
    fn pictures_outside_of_a_folder_and_an_empty_cast_are_refused() {
        let refused = refusal(&[("1.png", "")]);
        assert!(refused.starts_with("read cast: CAST/1.png: a picture that belongs to no character"), "{refused}");
        assert!(refusal(&[]).starts_with("read cast: CAST: there is no character folder in it"));
    }
}
