//! What a command said, within bounds: its beginning and its end.

use std::collections::VecDeque;

/// Bytes of the beginning that are kept.
const HEAD: usize = 1 << 20;
/// Bytes of the end that are kept.
const TAIL: usize = 3 << 20;
/// Of one line.
const LINE: usize = 16 << 10;
/// An error tells so many lines …
const WORDS: usize = 5;
/// … and so many characters.
const LENGTH: usize = 600;

/// A log that does not grow for ever.
#[derive(Debug, Default)]
pub(super) struct Log {
    head: String,
    tail: VecDeque<String>,
    held: usize,
    /// Bytes that lie between the two and were let go.
    lost: usize,
    /// The last lines of the command itself.
    words: VecDeque<String>,
}

impl Log {
    /// Adds a line; `output` where the command itself said it.
    pub(super) fn add(&mut self, line: &str, output: bool) {
        let line = &line[..line.floor_char_boundary(LINE)];
        if output && !line.trim().is_empty() {
            self.words.push_back(line.trim().to_owned());
            if self.words.len() > WORDS {
                self.words.pop_front();
            }
        }
        if self.tail.is_empty() && self.head.len() + line.len() < HEAD {
            self.head.extend([line, "\n"]);
            return;
        }
        self.held += line.len() + 1;
        self.tail.push_back(line.to_owned());
        while self.held > TAIL
            && let Some(first) = self.tail.pop_front()
        {
            self.held -= first.len() + 1;
            self.lost += first.len() + 1;
        }
    }

    /// All that is kept.
    pub(super) fn text(&self) -> String {
        let mut text = self.head.clone();
        if self.lost > 0 {
            text.push_str(&format!("… {} bytes are left out here …\n", self.lost));
        }
        self.tail.iter().for_each(|line| text.extend([line, "\n"]));
        text
    }

    /// The last lines of the command, as an error tells them.
    pub(super) fn last_words(&self) -> String {
        let text = self.words.iter().map(String::as_str).collect::<Vec<_>>().join(" | ");
        let from = text.ceil_char_boundary(text.len().saturating_sub(LENGTH));
        if from == 0 { text } else { format!("…{}", &text[from..]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_never_stops_talking_keeps_its_beginning_and_its_end() {
        let mut log = Log::default();
        log.add("the beginning", true);
        (0..200_000).for_each(|n| log.add(&format!("line {n} of very many that say the same"), true));
        log.add("the end", true);
        let text = log.text();
        assert!(text.starts_with("the beginning\n") && text.ends_with("the end\n"));
        assert!(text.contains("bytes are left out here") && text.len() < HEAD + TAIL + 100);
    }

    #[test]
    fn an_error_tells_the_last_lines_of_the_command_and_none_of_the_session() {
        let mut log = Log::default();
        (0..9).for_each(|n| log.add(&format!("line {n}"), true));
        log.add("Process exited with code: 3", false);
        assert_eq!(log.last_words(), "line 4 | line 5 | line 6 | line 7 | line 8");
        log.add(&"ä".repeat(1000), true);
        assert!(log.last_words().starts_with('…') && log.last_words().len() <= LENGTH + 3);
    }
}
