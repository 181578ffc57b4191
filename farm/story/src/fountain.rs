//! Reads Fountain text into elements, by the rules of <https://fountain.io/syntax>.
//!
//! Every text is a Fountain text: what fits no other rule is action, so nothing here fails. Notes `[[ ]]` and boneyards
//! `/* */` are dropped before the lines are looked at; emphasis marks are taken off, since nobody downstream reads them.

use crate::markup;

/// A script as its elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// `Title: …` and its like, keys as written, continuation lines joined by a newline.
    pub title_page: Vec<(String, String)>,
    /// Everything after the title page, in order.
    pub elements: Vec<Element>,
}

/// One element of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// `INT. LAB - NIGHT #2A#`, or forced by a full stop.
    Heading {
        /// Without the number and the forcing mark.
        text: String,
        /// What stood between the `#`.
        number: Option<String>,
    },
    /// A paragraph.
    Action(String),
    /// `> THE END <`.
    Centred(String),
    /// Who speaks next.
    Character(Cue),
    /// `(whispering)`, without the brackets.
    Parenthetical(String),
    /// A run of spoken lines.
    Dialogue(String),
    /// `~ sung`.
    Lyrics(String),
    /// `CUT TO:`, or forced by `>`.
    Transition(String),
    /// `# Act one`: an outline mark, never shown.
    Section {
        /// 1 to 6.
        level: usize,
        /// Without the marks.
        text: String,
    },
    /// `= what happens here`: never shown.
    Synopsis(String),
    /// `===`.
    PageBreak,
}

/// The line over a speech.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Upper case, without extensions.
    pub name: String,
    /// `V.O.`, `O.S.` …: upper case, several joined by a space, `CONT'D` left out.
    pub extension: Option<String>,
    /// Spoken at the same time as the speech before.
    pub dual: bool,
}

impl Script {
    /// A title page's value by its key, in any case.
    #[must_use]
    pub fn title_value(&self, key: &str) -> Option<&str> {
        self.title_page.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
    }
}

/// Reads a script.
#[must_use]
pub fn parse(text: &str) -> Script {
    let clean = markup::without_remarks(text);
    let lines: Vec<&str> = clean.lines().collect();
    let (title_page, start) = title_page(&lines);
    let mut reader = Reader { lines: &lines, at: start, elements: Vec::new() };
    while reader.at < lines.len() {
        reader.step();
    }
    Script { title_page, elements: reader.elements }
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
    elements: Vec<Element>,
}

impl Reader<'_> {
    /// Reads what starts at the current line, and moves past it.
    fn step(&mut self) {
        let line = self.lines[self.at].trim();
        self.at += 1;
        if line.is_empty() {
            return;
        }
        if let Some(element) = single(line) {
            self.elements.push(element);
        } else if let Some(heading) = heading(line).filter(|_| self.after_gap()) {
            self.elements.push(heading);
        } else if is_transition(line) && self.after_gap() && self.before_gap() {
            self.elements.push(Element::Transition(markup::plain(line)));
        } else if let Some(cue) = cue(line).filter(|_| self.after_gap() && !self.before_gap()) {
            self.elements.push(Element::Character(cue));
            self.speech();
        } else {
            self.action(line);
        }
    }

    /// Whether an empty line, the start, or an element that stands alone is before the current element.
    fn after_gap(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|i| self.lines.get(i));
        before.is_none_or(|line| line.trim().is_empty())
            || matches!(
                self.elements.last(),
                Some(Element::Heading { .. } | Element::Transition(_) | Element::Section { .. } | Element::PageBreak)
            )
    }

    fn before_gap(&self) -> bool {
        self.lines.get(self.at).is_none_or(|line| line.trim().is_empty())
    }

    /// The lines under a cue: up to an empty line (two spaces keep a pause inside a speech).
    fn speech(&mut self) {
        while let Some(&raw) = self.lines.get(self.at) {
            let line = raw.trim();
            if line.is_empty() && !raw.starts_with("  ") {
                return;
            }
            self.at += 1;
            if line.is_empty() {
                continue;
            }
            if let Some(inner) = line.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
                self.elements.push(Element::Parenthetical(markup::plain(inner.trim())));
            } else if let Some(sung) = line.strip_prefix('~') {
                self.elements.push(Element::Lyrics(markup::plain(sung.trim())));
            } else {
                let said = markup::plain(line);
                match self.elements.last_mut() {
                    Some(Element::Dialogue(so_far)) => join(so_far, &said),
                    _ => self.elements.push(Element::Dialogue(said)),
                }
            }
        }
    }

    /// A paragraph: up to an empty line or something that is plainly not action.
    fn action(&mut self, first: &str) {
        let mut text = markup::plain(first.strip_prefix('!').unwrap_or(first).trim());
        while let Some(line) = self.lines.get(self.at).map(|l| l.trim()) {
            if line.is_empty() || (single(line).is_some() && !line.starts_with('!')) {
                break;
            }
            self.at += 1;
            join(&mut text, &markup::plain(line.strip_prefix('!').unwrap_or(line).trim()));
        }
        if !text.is_empty() {
            self.elements.push(Element::Action(text));
        }
    }
}

/// Elements that one line gives away by its first characters.
fn single(line: &str) -> Option<Element> {
    if line.len() >= 3 && line.bytes().all(|b| b == b'=') {
        return Some(Element::PageBreak);
    }
    let mut chars = line.chars();
    let (first, rest) = (chars.next()?, chars.as_str());
    let said = |text: &str| markup::plain(text.trim());
    Some(match first {
        '=' => Element::Synopsis(said(rest.trim_start_matches('='))),
        '#' => {
            let text = line.trim_start_matches('#');
            Element::Section { level: (line.len() - text.len()).min(6), text: said(text) }
        }
        '~' => Element::Lyrics(said(rest)),
        '>' => rest
            .strip_suffix('<')
            .map_or_else(|| Element::Transition(said(rest)), |inner| Element::Centred(said(inner))),
        '.' if rest.starts_with(char::is_alphanumeric) => numbered(rest),
        _ => return None,
    })
}

/// A heading by its first word.
fn heading(line: &str) -> Option<Element> {
    crate::heading::prefix(line).map(|_| numbered(line))
}

fn numbered(line: &str) -> Element {
    let split = line.trim_end().strip_suffix('#').and_then(|rest| rest.rsplit_once('#'));
    let (text, number) = match split {
        Some((text, number)) if !number.trim().is_empty() => (text, Some(number.trim().to_owned())),
        _ => (line, None),
    };
    Element::Heading { text: markup::plain(text.trim()), number }
}

fn is_transition(line: &str) -> bool {
    line.ends_with("TO:") && !line.chars().any(char::is_lowercase)
}

/// A cue: `@Anybody`, or upper case with a letter in it.
fn cue(line: &str) -> Option<Cue> {
    let (line, forced) = line.strip_prefix('@').map_or((line, false), |rest| (rest, true));
    if line.starts_with('!') {
        return None;
    }
    let (line, dual) = line.strip_suffix('^').map_or((line, false), |rest| (rest, true));
    let (name, extensions) = line.split_once('(').map_or((line, ""), |(name, rest)| (name, rest));
    let name = markup::plain(name.trim());
    let upper = name.chars().any(char::is_alphabetic) && !name.chars().any(char::is_lowercase);
    if name.is_empty() || !(forced || upper) || (!forced && !line.trim_end().ends_with(')') && !extensions.is_empty()) {
        return None;
    }
    let kept: Vec<String> = extensions
        .split(['(', ')'])
        .map(|part| markup::plain(part.trim()).to_uppercase().replace('’', "'"))
        .filter(|part| !part.is_empty() && !part.starts_with("CONT"))
        .collect();
    let extension = (!kept.is_empty()).then(|| kept.join(" "));
    Some(Cue { name: name.to_uppercase(), extension, dual })
}

/// The title page and the line after it. A first line `FADE IN:` is none: nothing stands behind its colon or under it.
fn title_page(lines: &[&str]) -> (Vec<(String, String)>, usize) {
    let mut page: Vec<(String, String)> = Vec::new();
    let mut at = lines.iter().take_while(|l| l.trim().is_empty()).count();
    while let Some(&line) = lines.get(at) {
        if line.trim().is_empty() {
            break;
        }
        let indented = line.starts_with('\t') || line.starts_with("   ");
        let key = line.split_once(':').filter(|(k, _)| is_key(k));
        let under = lines.get(at + 1).is_some_and(|l| l.starts_with([' ', '\t']) && !l.trim().is_empty());
        match (key, page.last_mut()) {
            (_, Some((_, value))) if indented => {
                if !value.is_empty() {
                    value.push('\n');
                }
                value.push_str(&markup::plain(line.trim()));
            }
            (Some((k, v)), before) if before.is_some() || under || !v.trim().is_empty() => {
                page.push((k.trim().to_owned(), markup::plain(v.trim())));
            }
            _ => break,
        }
        at += 1;
    }
    if page.is_empty() { (page, 0) } else { (page, at) }
}

fn is_key(text: &str) -> bool {
    text.starts_with(char::is_alphabetic) && text.chars().all(|c| c.is_alphabetic() || c == ' ' || c == '_')
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}
