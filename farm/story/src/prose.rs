//! Words and sentences of English prose, as far as a breakdown needs them.

/// One word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Lower case, without a possessive `'s`.
    pub lower: String,
    /// Begins with a capital.
    pub capital: bool,
    /// Has no lower-case letter and at least one capital.
    pub upper: bool,
    /// `Mara's`.
    pub possessive: bool,
    /// A full stop, `!`, `?`, `;` or `:` stands between it and the word before.
    pub after_stop: bool,
    /// A comma, a bracket or a stop stands between it and the word before.
    pub after_comma: bool,
    /// First byte in the text.
    pub start: usize,
    /// Byte after its last.
    pub end: usize,
}

/// The words of a text. Hyphens part words, so that `t-shirt` and `t shirt` are the same two.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut out: Vec<Word> = Vec::new();
    let (mut stop, mut comma) = (false, false);
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if !c.is_alphanumeric() {
            stop |= matches!(c, '.' | '!' | '?' | ';' | ':');
            comma |= stop || matches!(c, ',' | '(' | ')' | '—' | '–' | '"' | '“' | '”');
            continue;
        }
        let mut end = start + c.len_utf8();
        while let Some(&(i, next)) = chars.peek() {
            let inner = matches!(next, '\'' | '’') && text[i + next.len_utf8()..].starts_with(char::is_alphanumeric);
            if !next.is_alphanumeric() && !inner {
                break;
            }
            end = i + next.len_utf8();
            chars.next();
        }
        let raw = &text[start..end];
        let bare = ["'s", "’s", "'S", "’S"].iter().find_map(|s| raw.strip_suffix(s)).filter(|b| !b.is_empty());
        let word = bare.unwrap_or(raw);
        out.push(Word {
            lower: word.to_lowercase().replace('’', "'"),
            capital: c.is_uppercase(),
            upper: word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase),
            possessive: bare.is_some(),
            after_stop: stop,
            after_comma: comma,
            start,
            end,
        });
        (stop, comma) = (false, false);
    }
    out
}

/// How many words a text has.
pub(crate) fn count(text: &str) -> usize {
    text.split_whitespace().filter(|w| w.contains(char::is_alphanumeric)).count()
}

const ABBREVIATIONS: [&str; 9] = ["dr", "mr", "mrs", "ms", "st", "prof", "capt", "sgt", "jr"];

/// The sentences of a text, trimmed, none empty.
pub(crate) fn sentences(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut end = i + c.len_utf8();
        while let Some(&(j, next)) =
            chars.peek().filter(|(_, n)| matches!(n, '.' | '!' | '?' | '"' | '”' | '\'' | '’' | ')'))
        {
            end = j + next.len_utf8();
            chars.next();
        }
        let last = text[from..i].rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let abbreviation =
            c == '.' && (last.chars().count() == 1 || ABBREVIATIONS.contains(&last.to_lowercase().as_str()));
        let rest = &text[end..];
        let opens = rest.trim_start().starts_with(|c: char| !c.is_lowercase());
        if rest.starts_with(char::is_whitespace) && opens && !abbreviation {
            out.push(text[from..end].trim());
            from = end;
        }
    }
    out.push(text[from..].trim());
    out.retain(|s| !s.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_at_stops_but_not_at_titles() {
        let text = "Dr. Hale waits... Then \"Go!\" She runs. it is 3.5 m away";
        assert_eq!(sentences(text), ["Dr. Hale waits...", "Then \"Go!\"", "She runs. it is 3.5 m away"]);
    }

    #[test]
    fn words_know_their_case_and_their_neighbours() {
        let w = words("MARA's t-shirt, red. Don’t");
        let lower: Vec<&str> = w.iter().map(|w| w.lower.as_str()).collect();
        assert_eq!(lower, ["mara", "t", "shirt", "red", "don't"]);
        assert!(w[0].possessive && w[0].upper && w[3].after_comma && !w[3].after_stop && w[4].after_stop);
    }
}
