//! Bytes of a script file → text.

use greenroom_domain::Problem;

/// Reads a script's bytes: UTF-8 (with or without a byte-order mark), UTF-16 with one, or else Latin-1 as old screenwriting
/// programs wrote it (Windows-1252, so that its quotes and dashes survive).
///
/// # Errors
/// A [`Problem`] of the step `read script` where there is no text, or the bytes are not text.
pub fn decode_script(bytes: &[u8], name: &str) -> Result<String, Problem> {
    let refuse = |cause: &str, remedy: &str| Err(Problem::invalid("read script", name, cause, remedy));
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => Some(bytes.iter().map(|&b| windows_1252(b)).collect()),
        },
    };
    let Some(text) = text else {
        return refuse("the file begins like UTF-16 and breaks off inside a character", "save it as UTF-8 text");
    };
    // Text has no control characters but white space; a picture or an office file has one within its first bytes.
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{1a}'))
    {
        return refuse("the file is binary, not text", "give a Fountain screenplay: plain text, usually NAME.fountain");
    }
    if text.trim().is_empty() {
        return refuse("the file is empty", "write at least one scene: a heading such as INT. LAB - NIGHT, and action");
    }
    Ok(text)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
    rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
}

/// Windows-1252 differs from Latin-1 in 0x80 to 0x9f; its five holes stay control characters, so they count as binary.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_the_usual_encodings_is_read() {
        assert_eq!(decode_script(b"\xef\xbb\xbfINT. LAB", "a").unwrap(), "INT. LAB");
        assert_eq!(decode_script(b"\xff\xfeH\0i\0", "a").unwrap(), "Hi");
        assert_eq!(decode_script(b"\xfe\xff\0H\0i", "a").unwrap(), "Hi");
        assert_eq!(decode_script(b"CAF\xc9 \x93yes\x94", "a").unwrap(), "CAFÉ “yes”");
    }

    #[test]
    fn what_is_no_text_is_refused_in_one_sentence() {
        let problem = |bytes: &[u8]| decode_script(bytes, "lab.fountain").unwrap_err().to_string();
        assert_eq!(problem(b""), "read script: lab.fountain: the file is empty");
        assert_eq!(problem(b" \n\t\r\n"), "read script: lab.fountain: the file is empty");
        assert_eq!(
            problem(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            "read script: lab.fountain: the file is binary, not text"
        );
        assert_eq!(problem(b"PK\x03\x04 docx"), "read script: lab.fountain: the file is binary, not text");
        assert!(problem(b"\xff\xfeH\0i").contains("breaks off"));
    }
}
