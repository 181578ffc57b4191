//! `shot.toml`: shots without a script.

use greenroom_domain::{Breakdown, CameraMove, Digest, Framing, Heading, Line, Pack, Problem, Scene, Shot, ShotKey};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

use crate::caption::{Captioner, Picture};
use crate::shots::Draft;
use crate::{Cast, Direction, heading, prose, tone, wardrobe};

/// Reads a `shot.toml`: one or more shots, pushed without a script.
///
/// ```toml
/// title = "Pick-ups"                 # optional; else the file's name
///
/// [[shot]]
/// place = "HIDDEN LAB"               # required; a whole heading (INT. HIDDEN LAB - NIGHT) may stand here too
/// time = "night"                     # optional: day, dusk or night, or a heading's word for one; else day
/// framing = "close"                  # optional: establishing, wide, medium, close; else medium with cast, wide without
/// camera = "push_in"                 # optional: static, pan_left, pan_right, push_in, pull_out, tracking; else static
/// action = "Mara looks up."          # optional; what happens, with clothes (in a red hoodie)
/// cast = ["MARA"]                    # optional: who is in it, the framed one first
/// expected = ["MARA"]                # optional: whose face must be recognisable; else the first of the cast, if close or medium
/// dialogue = [{ character = "MARA", parenthetical = "whispering", text = "It works." }]   # optional
/// mood = "tense"                     # optional
/// seconds = 3.0                      # optional, 1 to 20; else by the rules for scripts
/// control = "depth.png"              # optional: a picture whose shapes the shot keeps to, for packs with a ControlNet
/// ```
///
/// Consecutive shots of one place and time make a scene. Every other field is refused. `pictures` are the files that came with
/// it, by the names that it uses.
///
/// # Errors
/// A [`Problem`] of the step `read shot` that names the shot and the field.
pub fn parse_shot(
    toml_text: &str,
    name: &str,
    cast: &[Cast],
    pack: &Pack,
    direction: &Direction,
    pictures: &BTreeMap<String, Digest>,
) -> Result<Breakdown, Problem> {
    let bad = |cause: String, remedy: &str| Problem::invalid("read shot", name, cause, remedy);
    let file: File =
        toml::from_str(toml_text).map_err(|e| bad(e.to_string().trim().to_owned(), "fix the line it names"))?;
    if file.shot.is_empty() {
        return Err(bad("there is no [[shot]] in it".into(), "write at least [[shot]] and place = \"LAB\""));
    }
    let captioner = Captioner::new(pack);
    let mut scenes: Vec<Scene> = Vec::new();
    for (entry, number) in file.shot.into_iter().zip(1..) {
        let refuse = |(cause, remedy): (String, &str)| bad(format!("shot {number}: {cause}"), remedy);
        let heading = entry.heading().map_err(refuse)?;
        if scenes.last().is_none_or(|s| s.heading != heading) {
            scenes.push(Scene { number: scenes.len() as u32 + 1, heading, shots: Vec::new() });
        }
        if let Some(scene) = scenes.last_mut() {
            let key = ShotKey { scene: scene.number, shot: scene.shots.len() as u32 + 1 };
            let control = entry.control(pack, pictures).map_err(refuse)?;
            let shot = entry.shot(key, &scene.heading, cast, &captioner, pack, direction).map_err(refuse)?;
            let shot = Shot { control, ..shot };
            scene.shots.push(shot);
        }
    }
    Ok(Breakdown { title: file.title.unwrap_or_else(|| crate::breakdown::stem(name)), scenes, notes: Vec::new() })
}

/// Everybody who is cast or speaks, upper case; nobody where the file cannot be read.
pub(crate) fn names(toml_text: &str) -> BTreeSet<String> {
    let file = toml::from_str::<File>(toml_text);
    let shots = file.map(|file| file.shot).unwrap_or_default().into_iter();
    let named = |shot: Entry| shot.cast.into_iter().chain(shot.dialogue.into_iter().map(|said| said.character));
    shots.flat_map(named).map(|name| name.trim().to_uppercase()).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: Option<String>,
    #[serde(default)]
    shot: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    place: String,
    time: Option<String>,
    framing: Option<Framing>,
    camera: Option<CameraMove>,
    #[serde(default)]
    action: String,
    #[serde(default)]
    cast: Vec<String>,
    expected: Option<Vec<String>>,
    #[serde(default)]
    dialogue: Vec<Said>,
    mood: Option<String>,
    seconds: Option<f64>,
    control: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    character: String,
    parenthetical: Option<String>,
    text: String,
}

type Refusal = (String, &'static str);

impl Entry {
    fn heading(&self) -> Result<Heading, Refusal> {
        let place = self.place.trim();
        if place.is_empty() {
            return Err(("`place` is empty".into(), "say where the shot plays, for example place = \"LAB\""));
        }
        let Some(time) = &self.time else { return Ok(heading::read(place, None)) };
        let text = format!("{place} - {}", time.trim().to_uppercase());
        let heading = heading::read(&text, None);
        if heading.place.len() > place.len() {
            return Err((format!("`time` is `{time}`, which is no time of day"), "write day, dusk or night"));
        }
        Ok(heading)
    }

    fn control(&self, pack: &Pack, pictures: &BTreeMap<String, Digest>) -> Result<Option<Digest>, Refusal> {
        let Some(file) = &self.control else { return Ok(None) };
        if pack.diffusion.control.is_none() {
            let cause = format!("`control` is `{file}`, and pack {} has no ControlNet", pack.name);
            return Err((cause, "take `control` out, or use a pack that has one"));
        }
        let picture = pictures.get(file).copied().map(Some);
        picture.ok_or_else(|| (format!("`control` is `{file}`, which was not sent"), "push the file with the shot"))
    }

    fn shot(
        self,
        key: ShotKey,
        heading: &Heading,
        cast: &[Cast],
        captioner: &Captioner<'_>,
        pack: &Pack,
        direction: &Direction,
    ) -> Result<Shot, Refusal> {
        let upper = |names: &[String]| names.iter().map(|n| n.trim().to_uppercase()).collect::<Vec<_>>();
        let present = upper(&self.cast);
        let member = |name: &String| cast.iter().find(|c| c.name.to_uppercase() == *name);
        if let Some(stranger) = present.iter().find(|n| member(n).is_none()) {
            return Err((
                format!("`cast` names {stranger}, who has no cast folder"),
                "make the folder, or take the name out",
            ));
        }
        let framing = self.framing.unwrap_or(if present.is_empty() { Framing::Wide } else { Framing::Medium });
        let recognisable = matches!(framing, Framing::Medium | Framing::Close);
        let expected = self
            .expected
            .as_deref()
            .map_or_else(|| present.iter().take(usize::from(recognisable)).cloned().collect(), upper);
        if let Some(absent) = expected.iter().find(|n| !present.contains(n)) {
            return Err((format!("`expected` names {absent}, who is not in `cast`"), "add the name to cast"));
        }
        let most = pack.diffusion.max_characters as usize;
        if expected.len() > most {
            let cause = format!("`expected` names {}, and pack {} draws {most} a picture", expected.len(), pack.name);
            return Err((cause, "make a shot of each"));
        }
        if self.seconds.is_some_and(|s| !(1.0..=20.0).contains(&s)) {
            return Err(("`seconds` is not between 1 and 20".into(), "split longer shots"));
        }
        let lines = self.dialogue.into_iter();
        let dialogue: Vec<Line> = lines
            .map(|l| Line { character: l.character.to_uppercase(), parenthetical: l.parenthetical, text: l.text })
            .collect();
        let how: Vec<&str> = dialogue.iter().filter_map(|l| l.parenthetical.as_deref()).collect();
        let said = format!("{}. {}", self.action, how.join(". "));
        let mood = self.mood.or_else(|| tone::mood(&prose::words(&said)).map(str::to_owned));
        let clothing: Vec<String> = prose::sentences(&self.action).into_iter().flat_map(wardrobe::garments).collect();
        let prose = format!("{said} {}", mood.as_deref().unwrap_or_default());
        let nobody =
            Picture { framing, person: None, clothing: &clothing, prose: &prose, heading, scene: &self.action };
        let looks = |name: &String| member(name).map(|p| p.description.as_str());
        let shown: &[String] = if framing == Framing::Establishing { &[] } else { &present };
        let people = shown.iter().filter(|name| expected.contains(name));
        let people: Vec<_> = people.map(|name| (name.as_str(), Picture { person: looks(name), ..nobody })).collect();
        let prompt = captioner.group(&people, &Picture { person: shown.first().and_then(looks), ..nobody });
        let portraits = captioner.portraits(&people);
        let vacant = captioner.vacant(&nobody);
        let action = (!self.action.is_empty()).then(|| (None, self.action.clone())).into_iter().collect();
        let draft = Draft { action, lines: dialogue.clone(), ..Draft::default() };
        let duration = direction.fps.frames_in(self.seconds.unwrap_or_else(|| draft.seconds()));
        let camera = self.camera.unwrap_or(CameraMove::Static);
        Ok(Shot {
            key,
            framing,
            camera,
            action: self.action,
            cast: present,
            expected,
            dialogue,
            mood,
            duration,
            prompt,
            control: None,
            portraits,
            vacant,
        })
    }
}
