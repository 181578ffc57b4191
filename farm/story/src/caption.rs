//! A picture in prose → the caption that a pack's models know.

use greenroom_domain::{Framing, Heading, Pack, PersonCaption, Prompt, SlotScope, TimeOfDay};

use crate::prose::{self, Word};
use crate::vocabulary::{Choice, Lexicon};

/// What a picture shows, in a person's words.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// How near the camera is.
    pub framing: Framing,
    /// How the person in the picture looks; none where the picture shows nobody in particular.
    pub person: Option<&'a str>,
    /// What the person wears now, one garment each (`red hoodie`): it goes before the description's clothes.
    pub clothing: &'a [String],
    /// What happens: action, parentheticals, mood.
    pub prose: &'a str,
    /// Where and when.
    pub heading: &'a Heading,
    /// The scene's whole action, read where the heading's place means nothing to the models.
    pub scene: &'a str,
}

/// Says a picture in the words of a pack: see [`Vocabulary`](greenroom_domain::Vocabulary).
///
/// A part of the caption that describes the person is read from one source: the clothing, where it says anything for that
/// part, else the description; so that a yellow coat over a described red hoodie never becomes a red coat. In a picture of
/// nobody the person's slots stay empty and the shot's have no defaults.
#[must_use]
pub fn assemble_prompt(picture: &Picture<'_>, pack: &Pack) -> Prompt {
    Captioner::new(pack).prompt(picture)
}

/// [`assemble_prompt`] for many pictures of one pack.
pub(crate) struct Captioner<'a> {
    pack: &'a Pack,
    lexicon: Lexicon<'a>,
}

impl<'a> Captioner<'a> {
    pub(crate) fn new(pack: &'a Pack) -> Self {
        Self { pack, lexicon: Lexicon::new(&pack.vocabulary) }
    }

    pub(crate) fn prompt(&self, picture: &Picture<'_>) -> Prompt {
        let sources = Sources::new(picture);
        let parts = self.pack.vocabulary.parts.iter().filter_map(|alternatives| self.part(alternatives, &sources));
        let positive = parts.collect::<Vec<_>>().join(&self.pack.vocabulary.separator);
        Prompt { positive, negative: self.pack.diffusion.negative.clone(), people: Vec::new() }
    }

    /// A picture of one or of several: of several each has a caption of its own, and the rest of the picture one that names
    /// nobody. `people` are the names and their pictures, from left to right.
    pub(crate) fn group(&self, people: &[(&str, Picture<'_>)], alone: &Picture<'_>) -> Prompt {
        if people.len() < 2 {
            return self.prompt(alone);
        }
        let around = Picture { person: None, clothing: &[], prose: "", ..*alone };
        let words = &self.pack.vocabulary;
        let caption = |(name, picture): &(&str, Picture<'_>)| {
            let own = [Some(self.prompt(picture).positive), words.group.clone()];
            PersonCaption {
                character: (*name).to_owned(),
                positive: own.into_iter().flatten().collect::<Vec<_>>().join(&words.separator),
            }
        };
        Prompt { people: people.iter().map(caption).collect(), ..self.prompt(&around) }
    }

    /// A caption of each alone, from near: what a repair of a face makes a picture of.
    pub(crate) fn portraits(&self, people: &[(&str, Picture<'_>)]) -> Vec<PersonCaption> {
        let close = |(name, picture): &(&str, Picture<'_>)| PersonCaption {
            character: (*name).to_owned(),
            positive: self.prompt(&Picture { framing: Framing::Close, ..*picture }).positive,
        };
        people.iter().map(close).collect()
    }

    /// A caption of the picture's place with nobody in it: what is painted over a figure that is too many.
    pub(crate) fn vacant(&self, picture: &Picture<'_>) -> String {
        let vacant = Picture { person: None, clothing: &[], prose: "", framing: Framing::Establishing, ..*picture };
        self.prompt(&vacant).positive
    }

    /// The first alternative whose slots are all filled.
    fn part(&self, alternatives: &[String], sources: &Sources) -> Option<String> {
        let worn = |slot: &str| {
            let mut garments = sources.clothing.iter().rev();
            garments.find_map(|garment| self.lexicon.find(slot, garment, Choice::Head))
        };
        let of_person = |slot: &str| self.lexicon.scope(slot) == Some(SlotScope::Character);
        let names = |alternative: &str| placeholders(alternative).map(str::to_owned).collect::<Vec<_>>();
        let dressed = alternatives.iter().flat_map(|a| names(a)).any(|s| of_person(&s) && worn(&s).is_some());
        if dressed {
            let fill = |slot: &str| if of_person(slot) { worn(slot) } else { self.fill(slot, sources) };
            let whole = |a: &&String| names(a).iter().any(|s| of_person(s));
            if let Some(text) = alternatives.iter().filter(whole).find_map(|a| filled(a, fill)) {
                return Some(text);
            }
        }
        alternatives.iter().find_map(|a| filled(a, |slot| self.fill(slot, sources)))
    }

    fn fill(&self, slot: &str, sources: &Sources) -> Option<&'a str> {
        let lexicon = &self.lexicon;
        let first = |texts: &[Vec<Word>], choice| texts.iter().find_map(|text| lexicon.find(slot, text, choice));
        let default = || lexicon.default_of(slot);
        match lexicon.scope(slot)? {
            SlotScope::Character => {
                sources.person.as_ref().and_then(|text| lexicon.find(slot, text, Choice::Earliest).or_else(default))
            }
            SlotScope::Shot => {
                first(&sources.shot, Choice::Earliest).or_else(|| sources.person.is_some().then(default).flatten())
            }
            SlotScope::Framing => first(&sources.framing, Choice::Earliest).or_else(default),
            SlotScope::Time => first(&sources.time, Choice::Earliest).or_else(default),
            SlotScope::Place => first(&sources.place, Choice::Latest)
                .or_else(|| first(std::slice::from_ref(&sources.scene), Choice::Earliest))
                .or_else(default),
        }
    }
}

/// A picture's texts by scope; of several, the first that means something counts.
struct Sources {
    framing: Vec<Vec<Word>>,
    person: Option<Vec<Word>>,
    clothing: Vec<Vec<Word>>,
    shot: Vec<Vec<Word>>,
    place: Vec<Vec<Word>>,
    scene: Vec<Word>,
    time: Vec<Vec<Word>>,
}

impl Sources {
    fn new(picture: &Picture<'_>) -> Self {
        let read = |texts: &[&str]| texts.iter().map(|t| prose::words(t)).collect::<Vec<_>>();
        let framing = match picture.framing {
            Framing::Establishing => "establishing",
            Framing::Wide => "wide",
            Framing::Medium => "medium",
            Framing::Close => "close",
        };
        let time = match picture.heading.time {
            TimeOfDay::Day => ["day", "daylight"],
            TimeOfDay::Dusk => ["dusk", "sunset"],
            TimeOfDay::Night => ["night", "midnight"],
        };
        Self {
            framing: read(&[framing]),
            person: picture.person.map(prose::words),
            clothing: picture.clothing.iter().map(|g| prose::words(g)).collect(),
            shot: read(&[picture.prose]),
            place: picture.heading.place.split(" - ").flat_map(|p| p.split(',')).map(prose::words).collect(),
            scene: prose::words(picture.scene),
            time: read(&time),
        }
    }
}

/// The `{slot}` names of a caption part, without `{a}`.
fn placeholders(part: &str) -> impl Iterator<Item = &str> {
    part.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).filter(|&name| name != "a")
}

/// A caption part with its slots filled and `{a}` as `a` or `an`; none where a slot stays empty.
fn filled<'a>(part: &str, fill: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let mut pieces = part.split('{');
    let mut out = pieces.next()?.to_owned();
    let mut article = None;
    for piece in pieces {
        let (name, rest) = piece.split_once('}')?;
        if name == "a" {
            out.push('a');
            article = Some(out.len());
        } else {
            out.push_str(fill(name)?);
        }
        out.push_str(rest);
        if let Some(at) = article.filter(|&at| out[at..].contains(char::is_alphabetic)) {
            let next = out[at..].trim_start();
            let vowel = next.starts_with(['a', 'e', 'i', 'o', 'u'])
                && !["uni", "use", "one", "eu"].iter().any(|s| next.starts_with(s));
            if vowel || next.starts_with("hour") || next.starts_with("hon") {
                out.insert(at, 'n');
            }
            article = None;
        }
    }
    Some(out)
}
