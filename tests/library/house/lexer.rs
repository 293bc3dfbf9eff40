//! Rust source as words and signs, without comments and texts.
//!
//! What the words mean is the business of the `source` module.

/// A word or a sign, and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The source with comments gone and texts emptied; lines stay where they are.
fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        if is_path(&out) {
            out.extend(&chars[at..end]);
        } else if chars[at] != '/' {
            out.push_str("\"\"");
        }
        // Something has to stand there, or `a/**/b` would be one word.
        out.push(' ');
        out.extend(chars[at..end].iter().filter(|c| **c == '\n'));
        at = end;
    }
    out
}

/// Whether what comes next is the file in a `path` attribute: the one text that is kept.
fn is_path(before: &str) -> bool {
    let attribute = before.trim_end().strip_suffix('=').map(str::trim_end);
    attribute.is_some_and(|attribute| attribute.ends_with("[path"))
}

/// The end of the comment or literal that begins at `at`; `at` if there is none.
fn skip(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let in_word = at > 0 && is_word(chars[at - 1]);
    match chars[at] {
        '/' if next == Some('/') => end_of_line(chars, at),
        '/' if next == Some('*') => end_of_block_comment(chars, at),
        '"' => end_of_text(chars, at, '"'),
        '\'' => end_of_character(chars, at),
        'r' | 'b' | 'c' if !in_word => end_of_prefixed_text(chars, at),
        _ => at,
    }
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    let length = chars[at..].iter().position(|c| *c == '\n');
    length.map_or(chars.len(), |length| at + length)
}

fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0, at);
    while end < chars.len() {
        match (chars[end], chars.get(end + 1)) {
            ('/', Some('*')) => (depth, end) = (depth + 1, end + 2),
            ('*', Some('/')) => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
        if depth == 0 {
            break;
        }
    }
    end
}

/// The end of a literal between two `quote`s, the first of which stands at `at`.
fn end_of_text(chars: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// A character's end; `at` for a lifetime.
fn end_of_character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) | (Some(_), Some('\'')) => end_of_text(chars, at, '\''),
        _ => at,
    }
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`, `b'…'`; `at` for everything else.
fn end_of_prefixed_text(chars: &[char], at: usize) -> usize {
    let mut start = at;
    let mut raw = false;
    while let Some(letter @ ('r' | 'b' | 'c')) = chars.get(start) {
        raw |= *letter == 'r';
        start += 1;
    }
    let hashes = chars[start..].iter().take_while(|c| **c == '#').count();
    match chars.get(start + hashes) {
        Some('"') if raw => end_of_raw_text(chars, start + hashes, hashes),
        Some('"') if hashes == 0 => end_of_text(chars, start, '"'),
        Some('\'') if hashes == 0 && !raw => end_of_character(chars, start),
        _ => at,
    }
}

fn end_of_raw_text(chars: &[char], quote: usize, hashes: usize) -> usize {
    let closes = |end: usize| {
        chars[end] == '"' && chars[end + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    let end = (quote + 1..chars.len()).find(|end| closes(*end));
    end.map_or(chars.len(), |end| end + 1 + hashes)
}

pub(crate) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The words and signs of a source. A text is two `"`, a comment nothing.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, line) in blank(source).lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (text, after) = rest.split_at(length);
            tokens.push(Token {
                text: text.to_owned(),
                line: number + 1,
            });
            rest = after.trim_start();
        }
    }
    without_raw_words(tokens)
}

/// `r#name` is `name`.
fn without_raw_words(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let raw = token.text == "r" && tokens.peek().is_some_and(|next| next.text == "#");
        if raw {
            tokens.next();
        } else {
            out.push(token);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> String {
        let tokens = tokens(source);
        let words: Vec<_> = tokens.iter().map(|token| token.text.as_str()).collect();
        words.join(" ")
    }

    #[test]
    fn comments_and_texts_are_left_out_and_lines_kept() {
        let source = r##"a /* b /* c */ d */ e // f
g "h \" i" j 'k' '"' l '\'' m 'static n r"o\" p r#"q " r"# s b"t" b'u' br#"v"# c"w" x
/// y
z"##;
        let expected = r#"a e g " " j " " " " l " " m ' static n " " p " " s " " " " " " " " x z"#;
        assert_eq!(words(source), expected);
        let last = tokens(source).pop().unwrap();
        assert_eq!((last.text.as_str(), last.line), ("z", 4));
        assert_eq!(words("\"a\nb\" c /* d"), "\" \" c");
    }
}
