//! Script → scenes → shots.

use greenroom_domain::{Breakdown, Framing, Pack, Problem, Scene, Setting, Shot, ShotKey};
use std::collections::HashSet;

use crate::caption::{Captioner, Picture};
use crate::framing::Coverage;
use crate::people::People;
use crate::scenes::{self, Beat, RawScene};
use crate::shots::{self, Draft};
use crate::{Cast, Direction, budget, fountain, prose, tone, wardrobe};

/// Breaks a Fountain script down: see the [crate's rules](crate).
///
/// # Errors
/// A [`Problem`] of the step `break down script` where the script has nothing to show, or names nobody of the cast.
pub fn break_down(
    text: &str,
    name: &str,
    cast: &[Cast],
    pack: &Pack,
    direction: &Direction,
) -> Result<Breakdown, Problem> {
    let script = fountain::parse(text);
    let title =
        script.title_value("Title").filter(|t| !t.is_empty()).map_or_else(|| stem(name), |t| t.replace('\n', " "));
    let mut people = People::of_cast(cast);
    let raw = scenes::scenes(&script, &title, &mut people);
    if raw.is_empty() {
        return Err(problem(
            name,
            "there is no scene and no action in it",
            "write a heading such as INT. LAB - NIGHT, and action",
        ));
    }
    for beat in raw.iter().flat_map(|scene| &scene.beats) {
        if let Beat::Action { named, .. } = beat {
            named.iter().for_each(|&who| people.list[who].seen = true);
        }
    }
    check_cast(name, &people)?;
    let mut notes = notes(&raw, &people);
    let captioner = Captioner::new(pack);
    let mut drafts = drafts(&raw);
    budget::keep(&raw, &mut drafts);
    let mut out = Vec::new();
    for ((scene, drafts), number) in raw.iter().zip(&drafts).zip(1..) {
        let made = Maker { scene, number, people: &people, captioner: &captioner, pack, direction }.shots(drafts);
        if made.is_empty() {
            notes.push(format!("scene {number} ({}) has nothing to show", scene.heading.text));
        }
        out.push(Scene { number, heading: scene.heading.clone(), shots: made });
    }
    Ok(Breakdown { title, scenes: out, notes })
}

/// Every scene's shots before they are framed.
fn drafts(scenes: &[RawScene]) -> Vec<Vec<Draft>> {
    let mut places: HashSet<(String, u8)> = HashSet::new();
    let new = |scene: &RawScene| (scene.heading.place.to_lowercase(), scene.heading.time as u8);
    scenes.iter().map(|scene| shots::drafts(scene, !places.insert(new(scene)))).collect()
}

/// Makes the shots of one scene.
struct Maker<'a> {
    scene: &'a RawScene,
    number: u32,
    people: &'a People,
    captioner: &'a Captioner<'a>,
    pack: &'a Pack,
    direction: &'a Direction,
}

impl Maker<'_> {
    fn shots(&self, drafts: &[Draft]) -> Vec<Shot> {
        let clothes = Clothes::of(self.scene);
        let mut whole = String::new();
        for beat in &self.scene.beats {
            if let Beat::Action { text, .. } = beat {
                whole.push_str(text);
                whole.push(' ');
            }
        }
        let mut coverage = Coverage::default();
        drafts.iter().zip(1..).map(|(draft, shot)| self.shot(draft, shot, &mut coverage, &clothes, &whole)).collect()
    }

    fn shot(&self, draft: &Draft, shot: u32, coverage: &mut Coverage, clothes: &Clothes, whole: &str) -> Shot {
        let heading = &self.scene.heading;
        let prose_of_shot = self.prose(draft, draft.who);
        let words = prose::words(&prose_of_shot);
        let (framing, camera) = coverage.frame(draft, &words, heading.setting, self.number);
        let mood = tone::mood(&words).map(str::to_owned);
        let moody = |prose: &str| format!("{prose} {}", mood.as_deref().unwrap_or_default());
        let person = draft.who.filter(|_| framing != Framing::Establishing);
        let prose_of_shot = moody(&prose_of_shot);
        let picture = |who: Option<usize>, prose| Picture {
            framing,
            person: who.map(|who| self.people.list[who].description.as_str()),
            clothing: who.map(|who| clothes.worn(who, draft.beat)).unwrap_or_default(),
            prose,
            heading,
            scene: whole,
        };
        let cast = self.cast(draft, framing);
        let expected = self.expected(person, &cast, framing);
        let proses: Vec<String> = expected.iter().map(|&who| moody(&self.prose(draft, Some(who)))).collect();
        let pictures = expected.iter().zip(&proses).map(|(&who, prose)| (self.name(who), picture(Some(who), prose)));
        let pictures: Vec<_> = pictures.collect();
        let prompt = self.captioner.group(&pictures, &picture(person, &prose_of_shot));
        let names = |who: &[usize]| who.iter().map(|&w| self.name(w).to_owned()).collect();
        let texts: Vec<&str> = draft.action.iter().map(|(_, text)| text.as_str()).collect();
        let action = if draft.action.is_empty() && draft.opening { heading.place.clone() } else { texts.join(" ") };
        Shot {
            key: ShotKey { scene: self.number, shot },
            framing,
            camera,
            action,
            cast: names(&cast),
            expected: names(&expected),
            dialogue: draft.lines.clone(),
            mood,
            duration: self.direction.fps.frames_in(draft.seconds()),
            prompt,
            control: None,
            portraits: self.captioner.portraits(&pictures),
            vacant: self.captioner.vacant(&picture(None, "")),
        }
    }

    fn name(&self, who: usize) -> &str {
        &self.people.list[who].name
    }

    /// What the action says of a person or of nobody, and how they speak.
    fn prose(&self, draft: &Draft, who: Option<usize>) -> String {
        let name = who.map(|who| self.name(who));
        let said = draft.lines.iter().filter(|l| name == Some(l.character.as_str()));
        let of_person = |about: &Option<usize>| about.is_none() || *about == who;
        let shown = draft.action.iter().filter(|(about, _)| of_person(about)).map(|(_, text)| text.as_str());
        let how = said.filter_map(|l| l.parenthetical.as_deref());
        shown.chain(how).collect::<Vec<_>>().join(". ")
    }

    /// Whoever is framed, then whom else the action names, as many as the pack can draw.
    fn cast(&self, draft: &Draft, framing: Framing) -> Vec<usize> {
        if framing == Framing::Establishing {
            return Vec::new();
        }
        let mut who: Vec<usize> = draft.who.into_iter().collect();
        for &named in &draft.named {
            if !who.contains(&named) {
                who.push(named);
            }
        }
        let most = self.pack.diffusion.max_characters as usize;
        who.into_iter().filter(|&w| self.people.list[w].cast).take(most).collect()
    }

    /// Whoever is framed, and in a medium shot the others of its cast.
    fn expected(&self, person: Option<usize>, cast: &[usize], framing: Framing) -> Vec<usize> {
        match (person.filter(|who| cast.contains(who)), framing) {
            (Some(_), Framing::Medium) => cast.to_vec(),
            (Some(who), Framing::Close) => vec![who],
            _ => Vec::new(),
        }
    }
}

/// What everybody wears in a scene, from which beat on.
struct Clothes(Vec<(usize, usize, bool, Vec<String>)>);

impl Clothes {
    fn of(scene: &RawScene) -> Self {
        let mut found = Vec::new();
        for (at, beat) in scene.beats.iter().enumerate() {
            let Beat::Action { text, about: Some(who), .. } = beat else { continue };
            for sentence in prose::sentences(text) {
                let garments = wardrobe::garments(sentence);
                if !garments.is_empty() {
                    found.push((*who, at, wardrobe::changes(sentence), garments));
                }
            }
        }
        Self(found)
    }

    /// The latest that was said up to a beat, or what is said first after it unless that is a change of clothes.
    fn worn(&self, who: usize, beat: usize) -> &[String] {
        let mut of = self.0.iter().filter(|(w, ..)| *w == who);
        let before = of.clone().rfind(|(_, at, ..)| *at <= beat);
        before.or_else(|| of.next().filter(|(_, _, change, _)| !change)).map(|(.., g)| g.as_slice()).unwrap_or_default()
    }
}

fn check_cast(name: &str, people: &People) -> Result<(), Problem> {
    if people.list.iter().any(|p| p.cast && p.seen) {
        return Ok(());
    }
    let list = |cast: bool| {
        let names: Vec<&str> = people.list.iter().filter(|p| p.cast == cast).map(|p| p.name.as_str()).collect();
        match names.len() {
            0 => "nobody".to_owned(),
            1..=8 => names.join(", "),
            more => format!("{} and {} more", names[..8].join(", "), more - 8),
        }
    };
    let cause = format!("nobody of the cast is in it: the script has {}, the cast has {}", list(false), list(true));
    let remedy = "name the cast folders as the script names its characters, for example cast/MARA for MARA";
    Err(problem(name, &cause, remedy))
}

fn notes(scenes: &[RawScene], people: &People) -> Vec<String> {
    let mut notes = Vec::new();
    if scenes.first().is_some_and(|s| s.heading.text.is_empty()) {
        notes.push(if scenes.len() == 1 {
            "no scene heading found: read as one scene by day; write for example INT. LAB - NIGHT".to_owned()
        } else {
            "what stands before the first scene heading was read as a scene of its own".to_owned()
        });
    }
    for scene in scenes.iter().filter(|s| s.heading.setting == Setting::Unsaid && !s.heading.text.is_empty()) {
        notes.push(format!("`{}` does not say INT. or EXT.", scene.heading.text));
    }
    for (script, cast) in &people.aliases {
        notes.push(format!("{script} is taken for the cast's {cast}"));
    }
    for person in people.list.iter().filter(|p| !p.cast && p.seen) {
        notes.push(format!("{} has no cast folder: shown by the script's words, expected in no shot", person.name));
    }
    for person in people.list.iter().filter(|p| p.cast && !p.seen) {
        notes.push(format!("{} of the cast is not in the script", person.name));
    }
    notes
}

fn problem(name: &str, cause: &str, remedy: &str) -> Problem {
    Problem::invalid("break down script", name, cause, remedy)
}

/// `a/b/hidden-lab.fountain` → `hidden-lab`.
pub(crate) fn stem(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem }).to_owned()
}
