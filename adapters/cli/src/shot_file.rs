//! The pictures that a shot file names: they are sent with it.

use greenroom_domain::Problem;
use std::{collections::BTreeMap, path::Path};
use toml::{Table, Value};

use crate::upload::LocalFile;

/// The `control` pictures of a `.toml`, by the names that it uses, which are paths from its folder; none of other scripts. What
/// else is wrong with the file is the farm's to say.
pub(crate) fn pictures(script: &Path) -> Result<BTreeMap<String, LocalFile>, Problem> {
    if !script.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) {
        return Ok(BTreeMap::new());
    }
    let table: Table = std::fs::read_to_string(script).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    let shots = table.get("shot").and_then(Value::as_array).into_iter().flatten();
    let names = shots.filter_map(|shot| shot.get("control")?.as_str());
    let folder = script.parent().unwrap_or(Path::new(""));
    names.map(|name| Ok((name.to_owned(), LocalFile::hash(&folder.join(name), "read control picture")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_is_found_beside_the_shot_file_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.png", "one");
        write("b.png", "two");
        write(
            "shot.toml",
            "[[shot]]\ncontrol = 'a.png'\n[[shot]]\n[[shot]]\ncontrol = 'b.png'\n[[shot]]\ncontrol = 'a.png'",
        );
        let found = pictures(&folder.path().join("shot.toml")).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a.png", "b.png"]);
        std::fs::remove_file(folder.path().join("b.png")).unwrap();
        let lost = pictures(&folder.path().join("shot.toml")).unwrap_err();
        assert_eq!(lost.step, "read control picture");
        assert!(lost.subject.ends_with("b.png"), "{lost}");
        assert_eq!(pictures(&folder.path().join("script.fountain")).unwrap().len(), 0);
    }
}
