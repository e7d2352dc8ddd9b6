//! Reading directives, with the place of every part.

#![expect(
    clippy::result_large_err,
    reason = "an error ends the reading, so its size does not matter"
)]

use crate::fit::Fit;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::{Directive, FORMAT, Operator, Relation, Residency, Selector, Setting, Size};
use crate::arch::Dataflow;
use crate::mapping::{Order, RowMapping};
use crate::text::quoted;

/// A directive with the place of its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The directive.
    pub directive: Directive,
    /// Where the directive starts.
    pub place: Place,
    /// Where each setting is.
    pub settings: Vec<Place>,
}

/// A part of a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The text and its name.
    source: Arc<(String, String)>,
    /// The bytes.
    pub span: Range<usize>,
}

impl Placed {
    /// A directive that is in no file; `name` says where it comes from.
    pub fn of(directive: Directive, name: &str) -> Placed {
        let text = directive.to_string();
        let mut placed = read_one(name, &text).expect("what is printed reads back");
        placed.directive = directive;
        placed
    }
}

impl Place {
    /// The name of the file.
    pub fn file(&self) -> &str {
        &self.source.0
    }

    /// The whole text, for diagnostics.
    pub fn source(&self) -> NamedSource<String> {
        NamedSource::new(self.file(), self.source.1.clone())
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        let before = self.before();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        before[start..].chars().count() + 1
    }

    fn before(&self) -> &str {
        &self.source.1[..self.span.start]
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file(), self.line(), self.column())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not in the form of directives; always the text's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(code(directive::syntax))]
pub struct DirectiveError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[help]
    pub help: String,
    /// The file.
    #[source_code]
    pub source_code: NamedSource<String>,
    /// Where in the file.
    #[label("here")]
    pub span: SourceSpan,
}

/// Reads the directives of the file `name`.
///
/// # Errors
/// [`DirectiveError`], with the place in the file.
pub fn read(name: &str, text: &str) -> Result<Vec<Placed>, DirectiveError> {
    let source = Arc::new((name.to_owned(), text.to_owned()));
    let mut statements = statements(text);
    let header = (!statements.is_empty()).then(|| statements.remove(0));
    let start = format!("a file of directives starts with `directives {FORMAT}`");
    let fault = match header {
        None => Fault::new(0..0, start, "write it as the first line"),
        Some(span) if text[span.clone()].trim_end() == format!("directives {FORMAT}") => {
            let directives = statements.into_iter().map(|span| directive(&source, span));
            return directives
                .collect::<Result<_, _>>()
                .map_err(|fault| fault.of(&source));
        }
        Some(span) => {
            let line = text[span.clone()].lines().next().unwrap_or_default();
            let span = span.start..span.start + line.trim_end().len();
            Fault::new(span, start, "write it as the first line")
        }
    };
    Err(fault.of(&source))
}

/// Reads one directive, in the form that it has in a file; `name` says where it comes from.
///
/// # Errors
/// [`DirectiveError`], with the place in the text.
pub fn read_one(name: &str, text: &str) -> Result<Placed, DirectiveError> {
    let source = Arc::new((name.to_owned(), text.to_owned()));
    directive(&source, 0..text.len()).map_err(|fault| fault.of(&source))
}

struct Fault {
    span: Range<usize>,
    message: String,
    help: String,
}

impl Fault {
    fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault {
            span,
            message: message.into(),
            help: help.into(),
        }
    }

    fn of(self, source: &(String, String)) -> DirectiveError {
        DirectiveError {
            message: self.message,
            help: self.help,
            source_code: NamedSource::new(&source.0, source.1.clone()),
            span: self.span.into(),
        }
    }
}

/// A statement is a line that is not indented, with all indented ones after it.
fn statements(text: &str) -> Vec<Range<usize>> {
    let mut statements: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let is_empty = line.trim().is_empty() || line.trim_start().starts_with('#');
        match statements.last_mut() {
            _ if is_empty => {}
            Some(last) if line.starts_with(char::is_whitespace) => last.end = end,
            _ => statements.push(start..end),
        }
        start = end;
    }
    statements
}

/// A word: a name in quotes, the colon, or anything else without blanks.
struct Word {
    span: Range<usize>,
    text: String,
    quoted: bool,
}

impl Word {
    fn is_colon(&self) -> bool {
        !self.quoted && self.text == ":"
    }
}

/// Whether `c` ends a word.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ':' | '"' | '#')
}

/// Whether a pattern of names needs no quotes.
pub(super) fn is_bare(pattern: &str) -> bool {
    !pattern.is_empty()
        && !pattern
            .contains(|c: char| ends_word(c) || c.is_control() || matches!(c, '=' | '<' | '>'))
}

fn words(text: &str, span: Range<usize>) -> Result<Vec<Word>, Fault> {
    let mut words = Vec::new();
    let mut at = span.start;
    while let Some(c) = text[at..span.end].chars().next() {
        let rest = &text[at..span.end];
        let (length, word) = match c {
            '#' => (rest.find('\n').unwrap_or(rest.len()), None),
            '"' => {
                let Some((name, length)) = quoted(rest) else {
                    let line = rest.lines().next().unwrap_or_default().trim_end();
                    return Err(Fault::new(
                        at..at + line.len(),
                        "this is not a name in double quotes",
                        "end it with `\"`; `\\\"` is a quote inside",
                    ));
                };
                (length, Some((name, true)))
            }
            ':' => (1, Some((":".to_owned(), false))),
            c if ends_word(c) => (c.len_utf8(), None),
            _ => {
                let length = rest.find(ends_word).unwrap_or(rest.len());
                (length, Some((rest[..length].to_owned(), false)))
            }
        };
        if let Some((text, quoted)) = word {
            words.push(Word {
                span: at..at + length,
                text,
                quoted,
            });
        }
        at += length;
    }
    Ok(words)
}

fn directive(source: &Arc<(String, String)>, span: Range<usize>) -> Result<Placed, Fault> {
    let words = words(&source.1, span.clone())?;
    let whole = match (words.first(), words.last()) {
        (Some(first), Some(last)) => first.span.start..last.span.end,
        _ => span,
    };
    let form = "write SELECTOR.. : KEY=VALUE.., such as `operator=conv r=3: tile_rows=4`";
    let Some(colon) = words.iter().position(Word::is_colon) else {
        return Err(Fault::new(
            whole,
            "a directive has a `:` between what it selects and what holds",
            form,
        ));
    };
    let (before, after) = (&words[..colon], &words[colon + 1..]);
    if before.is_empty() || after.is_empty() {
        let what = if before.is_empty() {
            "nothing before the `:` says which layers are meant; `*` is all of them"
        } else {
            "nothing after the `:` says what holds"
        };
        return Err(Fault::new(words[colon].span.clone(), what, form));
    }
    let place = |span: &Range<usize>| Place {
        source: Arc::clone(source),
        span: span.clone(),
    };
    let selectors = before.iter().map(selector).collect::<Result<_, _>>()?;
    let mut settings: Vec<Setting> = Vec::new();
    for word in after {
        let setting = setting(word)?;
        if settings.iter().any(|other| other.key() == setting.key()) {
            return Err(Fault::new(
                word.span.clone(),
                format!("`{}` is set twice", setting.key()),
                "keep one of them",
            ));
        }
        settings.push(setting);
    }
    Ok(Placed {
        directive: Directive {
            selectors,
            settings,
        },
        place: place(&whole),
        settings: after.iter().map(|word| place(&word.span)).collect(),
    })
}

/// The words of a list, as choices for people.
fn choices<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// The entry of a list that has the given word.
fn find<T: Copy>(
    word: &Word,
    text: &str,
    all: &[T],
    of: impl Fn(T) -> &'static str,
) -> Result<T, Fault> {
    all.iter()
        .copied()
        .find(|entry| of(*entry) == text)
        .ok_or_else(|| {
            let help = format!("it can be {}", choices(all.iter().map(|entry| of(*entry))));
            Fault::new(
                word.span.clone(),
                format!("`{text}` is not known here"),
                help,
            )
        })
}

fn selector(word: &Word) -> Result<Selector, Fault> {
    let relation = Relation::ALL
        .iter()
        .find_map(|relation| Some((*relation, word.text.split_once(relation.word())?)))
        .filter(|_| !word.quoted);
    let Some((relation, (key, value))) = relation else {
        if word.text.is_empty() || !word.quoted && !is_bare(&word.text) {
            return Err(Fault::new(
                word.span.clone(),
                format!("`{}` is no pattern of names", word.text),
                "put a name with such characters in double quotes",
            ));
        }
        return Ok(Selector::Name(word.text.clone()));
    };
    if key == "operator" && relation == Relation::Equal {
        return find(word, value, Operator::ALL, Operator::word).map(Selector::Operator);
    }
    let Some(size) = Size::ALL.iter().find(|size| size.word() == key) else {
        let sizes = Size::ALL.iter().map(|size| size.word());
        return Err(Fault::new(
            word.span.clone(),
            format!("`{key}` is nothing to select by"),
            format!(
                "it can be {}",
                choices(["operator"].into_iter().chain(sizes))
            ),
        ));
    };
    Ok(Selector::Size(*size, relation, number(word, value)?))
}

fn setting(word: &Word) -> Result<Setting, Fault> {
    let Some((key, value)) = word.text.split_once('=').filter(|_| !word.quoted) else {
        return Err(Fault::new(
            word.span.clone(),
            format!("`{}` is not KEY=VALUE", word.text),
            format!("the key is {}", choices(Setting::KEYS)),
        ));
    };
    let size = || number(word, value).map(|n| n.fit::<usize>());
    let residency = || find(word, value, Residency::ALL, Residency::word);
    Ok(match key {
        "rows" => Setting::Rows(find(word, value, &RowMapping::ALL, RowMapping::name)?),
        "dataflow" => Setting::Dataflow(find(word, value, &Dataflow::ALL, Dataflow::name)?),
        "order" => Setting::Order(find(word, value, &Order::ALL, Order::name)?),
        "tile_rows" => Setting::TileRows(size()?),
        "tile_cols" => Setting::TileCols(size()?),
        "group_tiles" => Setting::GroupTiles(size()?),
        "strip_rows" => Setting::StripRows(size()?),
        "inputs" => Setting::Inputs(residency()?),
        "output" => Setting::Output(residency()?),
        _ => {
            return Err(Fault::new(
                word.span.clone(),
                format!("`{key}` is no part of a mapping"),
                format!("the key is {}", choices(Setting::KEYS)),
            ));
        }
    })
}

fn number(word: &Word, text: &str) -> Result<u64, Fault> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|n| digits && *n > 0 && *n < 1 << 40)
        .ok_or_else(|| {
            Fault::new(
                word.span.clone(),
                format!("`{text}` is not a whole number from 1 to 2^40"),
                "write digits only",
            )
        })
}
