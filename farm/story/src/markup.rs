//! Takes off what is not said or shown: notes, boneyards and emphasis marks.

/// Stands where a remark was, so that a line that held nothing else can go with it.
const GAP: char = '\u{1}';

/// A text without `[[ notes ]]` and `/* boneyards */`, with line ends as `\n`. A remark that never ends is kept as text: a
/// forgotten `*/` must not swallow the rest of a script.
pub(crate) fn without_remarks(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n").replace(GAP, "");
    let text = cut(&text, "/*", "*/", |_| true);
    let text = cut(&text, "[[", "]]", |inner| !inner.split('\n').skip(1).any(str::is_empty));
    if !text.contains(GAP) {
        return text;
    }
    let kept = text.split('\n').filter(|line| !line.contains(GAP) || !line.replace(GAP, "").trim().is_empty());
    kept.collect::<Vec<_>>().join("\n").replace(GAP, "")
}

/// Replaces every `open … close` whose inside is allowed by a gap.
fn cut(text: &str, open: &str, close: &str, allowed: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let (before, from) = rest.split_at(start);
        let inside = &from[open.len()..];
        out.push_str(before);
        let Some(end) = inside.find(close) else {
            out.push_str(from);
            return out;
        };
        if allowed(&inside[..end]) {
            out.push(GAP);
            rest = &inside[end + close.len()..];
        } else {
            out.push_str(open);
            rest = inside;
        }
    }
    out.push_str(rest);
    out
}

/// A line without `*italic*`, `**bold**`, `_underline_` marks. A mark without its partner, a mark between spaces and an
/// escaped mark (`\*`) stay.
pub(crate) fn plain(line: &str) -> String {
    if !line.contains(['*', '_', '\\']) {
        return line.to_owned();
    }
    let chars: Vec<char> = line.chars().collect();
    let mut dropped = vec![false; chars.len()];
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let mark = chars[at];
        if mark == '\\' && matches!(chars.get(at + 1), Some('*' | '_' | '\\')) {
            dropped[at] = true;
            at += 2;
            continue;
        }
        let run = chars[at..].iter().take_while(|&&c| c == mark && (c == '*' || c == '_')).count();
        if run > 0 {
            let solid = |c: Option<&char>| c.is_some_and(|c| !c.is_whitespace());
            let closes = at > 0 && solid(chars.get(at - 1));
            let opens = solid(chars.get(at + run));
            for i in at..at + run {
                let partner = open.iter().rposition(|&o| chars[o] == mark && o < at).filter(|_| closes);
                if let Some(partner) = partner {
                    dropped[open.remove(partner)] = true;
                    dropped[i] = true;
                } else if opens {
                    open.push(i);
                }
            }
        }
        at += run.max(1);
    }
    chars.iter().zip(dropped).filter_map(|(&c, dropped)| (!dropped).then_some(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emphasis_is_taken_off_and_lone_marks_stay() {
        assert_eq!(plain("a **bold *both*** _word_"), "a bold both word");
        assert_eq!(plain("3 * 4 * 5"), "3 * 4 * 5");
        assert_eq!(plain(r"a \*star\* and a *lone"), "a *star* and a *lone");
    }

    #[test]
    fn a_remark_on_its_own_line_takes_the_line_with_it() {
        assert_eq!(without_remarks("MARA\n[[ louder? ]]\nHello."), "MARA\nHello.");
        assert_eq!(without_remarks("one /* two\n\nthree */four"), "one four");
        assert_eq!(without_remarks("never /* closed\nINT. LAB"), "never /* closed\nINT. LAB");
    }
}
