//! Rust source as `tests/tidy.rs` reads it: without comments, literals and test code, with line numbers kept.
//!
//! A reader of tokens, not a parser: enough to find paths and names.

/// The code of a file: comments, literals and `#[cfg(test)]` items are blanks; every line is where it was.
pub fn code(text: &str) -> String {
    without_tests(&without_literals(text))
}

/// The words of `code`, each with its line (from 1), and whether `::` stands before and after it.
pub struct Word<'c> {
    pub text: &'c str,
    pub line: usize,
    pub after_path: bool,
    pub before_path: bool,
    pub end: usize,
}

pub fn words(code: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut line, mut at) = (1, 0);
    while let Some(character) = code[at..].chars().next() {
        if !is_word(character) {
            line += usize::from(character == '\n');
            at += character.len_utf8();
            continue;
        }
        let length = code[at..].find(|c| !is_word(c)).unwrap_or(code.len() - at);
        let end = at + length;
        words.push(Word {
            text: &code[at..end],
            line,
            after_path: code[..at].trim_end().ends_with("::"),
            before_path: code[end..].trim_start().starts_with("::"),
            end,
        });
        at = end;
    }
    words
}

/// The first names of the paths that begin at `at`: `::a::b` gives a, `::{a::b, c}` gives a and c.
pub fn heads(code: &str, at: usize) -> Vec<&str> {
    let Some(rest) = code[at..].trim_start().strip_prefix("::") else { return Vec::new() };
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else { return vec![first_word(rest)] };
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..index]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.into_iter().map(|part| first_word(part.trim())).filter(|word| !word.is_empty()).collect()
}

fn first_word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn without_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        for byte in kept.iter_mut().take(end).skip(at) {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    // Only whole literals were blanked, so no character is cut.
    String::from_utf8(kept).expect("characters are whole")
}

/// Where the comment or literal ends that begins at `at`; `at` itself where none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + find(&rest[2..], b"*/").map_or(rest.len(), |found| found + 4);
    }
    if !after_word && (rest[0] == b'r' || rest.starts_with(b"br")) {
        let raw = if rest[0] == b'b' { 2 } else { 1 };
        let hashes = rest[raw..].iter().take_while(|b| **b == b'#').count();
        if rest.get(raw + hashes) == Some(&b'"') {
            let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            let body = raw + hashes + 1;
            return at + find(&rest[body..], &close).map_or(rest.len(), |found| body + found + close.len());
        }
    }
    match rest[0] {
        b'"' => at + quoted_end(rest, b'"'),
        // A lifetime has no closing quote after its first character.
        b'\'' if rest.get(1) == Some(&b'\\') => at + quoted_end(rest, b'\''),
        b'\'' => {
            let character = std::str::from_utf8(&rest[1..]).ok().and_then(|s| s.chars().next());
            let close = 1 + character.map_or(1, char::len_utf8);
            if rest.get(close) == Some(&b'\'') { at + close + 1 } else { at }
        }
        _ => at,
    }
}

fn quoted_end(rest: &[u8], quote: u8) -> usize {
    let mut index = 1;
    while index < rest.len() {
        match rest[index] {
            b'\\' => index += 2,
            byte if byte == quote => return index + 1,
            _ => index += 1,
        }
    }
    rest.len()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        let item = start + MARK.len();
        let end = item + item_end(&rest[item..]);
        kept.push_str(&rest[..start]);
        kept.extend(rest[start..end].chars().filter(|c| *c == '\n'));
        rest = &rest[end..];
    }
    kept + rest
}

/// Where the item (or field) ends that begins the text.
fn item_end(text: &str) -> usize {
    let mut depth = 0;
    for (index, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return index + usize::from(depth == 1),
            '}' => depth -= 1,
            ';' | ',' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_literals_and_tests_are_not_code() {
        let text = "use a::b; // crate::c\nlet s = \"crate::d\"; let q = '\"'; let l: &'a str = r#\"\"crate::e\"#;\n\
                    #[cfg(test)]\nmod tests {\n    use crate::f;\n}\nuse crate::g;\n";
        let code = code(text);
        assert_eq!(code.lines().count(), text.lines().count());
        let used: Vec<_> =
            words(&code).iter().filter(|w| w.text == "crate").flat_map(|w| heads(&code, w.end)).collect();
        assert_eq!(used, ["g"]);
        assert_eq!(words(&code).last().map(|w| w.line), Some(7));
    }

    #[test]
    fn a_group_of_paths_has_several_heads() {
        let code = "use crate::{a::{b, c}, d};\nuse crate::e::f;";
        let used: Vec<_> = words(code).iter().filter(|w| w.text == "crate").flat_map(|w| heads(code, w.end)).collect();
        assert_eq!(used, ["a", "d", "e"]);
    }
}
