//! The text of users on its way into other languages: one rule, and one writer for each kind of target.
//!
//! A name or a description may come from anywhere, and must never become code, or lines of its own, where it is shown.
//! What may hide or act is [`is_hidden`]; every writer shows it as `\u{1b}` and keeps all that prints.
//! A language with quotes has its own writer besides (HTML in `bench`, JSON by `serde_json`), which asks the same rule.
//!
//! Readers refuse such text in a description or a name with [`check`]; names of a network are shown escaped instead,
//! for nobody can change those of a file that a tool wrote.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The most characters of a user's text that a [`cell`] shows.
pub const CELL_CHARACTERS: usize = 120;

/// Whether `c` is a control character, ends a line in some reader, turns the direction of text, or has no shape.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` on one line, with all that [`is_hidden`] shown escaped.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// `text` for a screen: as [`line()`], but its line breaks stay. For texts that the program laid out.
pub fn screen(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_hidden(c))
}

/// `text` inside a comment, of one line or of a block: as [`line()`], without an end or a beginning of a block, and
/// without a last backslash, which would join the next line.
pub fn comment(text: &str) -> Cow<'_, str> {
    let line = line(text);
    let joins = line.ends_with('\\');
    if !joins && !line.contains("*/") && !line.contains("/*") {
        return line;
    }
    let mut shown = String::with_capacity(line.len());
    let mut last = ' ';
    for c in line.chars() {
        if matches!((last, c), ('*', '/') | ('/', '*')) {
            escape(&mut shown, c);
            last = ' ';
        } else {
            shown.push(c);
            last = c;
        }
    }
    if joins {
        shown.pop();
        escape(&mut shown, '\\');
    }
    shown.into()
}

/// `text` as a cell of a table or a part of a sentence: as [`line()`], cut after [`CELL_CHARACTERS`] characters.
pub fn cell(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(CELL_CHARACTERS) {
        None => line(text),
        Some((end, _)) => (line(&text[..end]).into_owned() + "…").into(),
    }
}

/// `json` with all that [`is_hidden`] outside its line breaks in the escapes of JSON, which strings alone can need.
pub fn json(json: &str) -> Cow<'_, str> {
    replaced(
        json,
        |c| c != '\n' && is_hidden(c),
        |shown, c| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("writing to a string");
            }
        },
    )
}

/// The name in double quotes that `text` starts with, and how many bytes it takes; none if it does not end on its line.
pub(crate) fn quoted(text: &str) -> Option<(String, usize)> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => {
                let name = serde_json::from_str(&text[..=at]).ok()?;
                return Some((name, at + 1));
            }
            '\n' => return None,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

/// A character that a description or a name does not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`\\u{{{code:x}}}` stands in it, a character that does not print", code = u32::from(*.character))]
pub struct Hidden {
    /// The character.
    pub character: char,
    /// Its place in the text, in bytes.
    pub at: usize,
}

/// What to do about [`Hidden`].
pub const HELP: &str = "write it on one line, of characters that print";

/// Refuses what no description and no name needs.
///
/// # Errors
/// The first character that [`is_hidden`].
pub fn check(text: &str) -> Result<(), Hidden> {
    match text.char_indices().find(|&(_, c)| is_hidden(c)) {
        None => Ok(()),
        Some((at, character)) => Err(Hidden { character, at }),
    }
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    replaced(text, hidden, escape)
}

fn escape(shown: &mut String, c: char) {
    shown.extend(c.escape_unicode());
}

fn replaced(
    text: &str,
    hidden: impl Fn(char) -> bool,
    replace: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    let Some(first) = text.find(&hidden) else {
        return text.into();
    };
    let (plain, rest) = text.split_at(first);
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(plain);
    for c in rest.chars() {
        if hidden(c) {
            replace(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

/// Texts that would leave a comment or a line, or act on a screen, if a writer let them: for tests of all writers.
///
/// Each but the last two holds `module tw_canary; endmodule` behind what should set it free.
pub fn hostile() -> Vec<String> {
    let breaks = "\n\r\u{b}\u{c}\u{85}\u{2028}\u{2029}\0\u{1b}\u{7}\u{8}\u{9b}\u{202e}\u{2066}\u{200b}\u{feff}";
    let mut texts: Vec<String> = breaks.chars().map(String::from).collect();
    texts.extend(
        [
            "\r\n",
            "*/",
            "*/\n",
            "/*",
            "\\\n",
            "\"\n",
            "`\n",
            "-->",
            "</script>",
            "]]>",
        ]
        .map(String::from),
    );
    for text in &mut texts {
        *text = format!("one line{text}module tw_canary; endmodule{text}more");
    }
    texts.extend(["joined \\".to_owned(), "x".repeat(70_000)]);
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_prints_stays_and_what_hides_is_shown() {
        let plain = "conv_1: größer, 畳み込み, \u{1f600}, `a` -> \"b\" \\ /";
        assert_eq!(line(plain), plain);
        assert_eq!(comment(plain), plain);
        let hostile = "a\nb\rc\u{b}\u{c}\u{85}\u{2028}\u{2029}\0\u{1b}[2J\u{7}\u{202e}\u{2066}";
        assert_eq!(
            line(hostile),
            "a\\u{a}b\\u{d}c\\u{b}\\u{c}\\u{85}\\u{2028}\\u{2029}\\u{0}\\u{1b}[2J\\u{7}\\u{202e}\\u{2066}"
        );
        assert_eq!(screen("a\n\u{1b}"), "a\n\\u{1b}");
        assert_eq!(
            json("{\n\"\u{9b}\u{e0041}\"}"),
            "{\n\"\\u009b\\udb40\\udc41\"}"
        );
        assert_eq!(
            cell(&"x".repeat(70_000)).chars().count(),
            CELL_CHARACTERS + 1
        );
    }

    #[test]
    fn comments_do_not_end_or_begin_inside_others() {
        for (text, shown) in [
            ("a */ b", "a *\\u{2f} b"),
            ("/* b", "/\\u{2a} b"),
            ("*/*", "*\\u{2f}*"),
            ("**//", "**\\u{2f}/"),
            ("joined \\", "joined \\u{5c}"),
        ] {
            assert_eq!(comment(text), shown);
        }
    }

    #[test]
    fn the_first_hidden_character_is_named_with_its_place() {
        assert_eq!(check("größer"), Ok(()));
        let hidden = check("é\u{2028}\n").unwrap_err();
        assert_eq!((hidden.character, hidden.at), ('\u{2028}', 2));
        assert_eq!(
            hidden.to_string(),
            "`\\u{2028}` stands in it, a character that does not print"
        );
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in any::<String>()) {
            prop_assert_eq!(check(&line(&text)), Ok(()));
            prop_assert_eq!(check(&cell(&text)), Ok(()));
            prop_assert_eq!(check(&screen(&text).replace('\n', "")), Ok(()));
            let comment = comment(&text);
            prop_assert_eq!(check(&comment), Ok(()));
            prop_assert!(!comment.contains("*/") && !comment.contains("/*") && !comment.ends_with('\\'));
            let string = serde_json::to_string(&text).expect("a string");
            let shown = json(&string);
            prop_assert_eq!(check(&shown), Ok(()));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).expect("a string"), text);
        }
    }
}
