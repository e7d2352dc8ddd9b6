//! YAML text to nodes that know their tags and places.
//!
//! Aliases are copied and merge keys (`<<`) applied, so that readers need not know them; the number of nodes is limited,
//! because a few lines of aliases can stand for billions.
//! A node remembers whether its content was asked for, so that nothing of a file can be dropped in silence.

use std::cell::Cell;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::finding::{Findings, Span};

/// The largest file, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// The most nodes, with those that aliases stand for.
const MAX_NODES: usize = 200_000;

/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// A node of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The name after `!`.
    tag: Option<String>,
    value: Value,
    pub(crate) span: Span,
    /// What was asked for.
    read: Read,
    /// How many nodes it is, with those inside.
    size: usize,
    /// How deep the nodes inside are.
    depth: usize,
}

/// How much of a node a reader knows.
#[derive(Clone, Debug, Default)]
struct Read {
    tag: Cell<bool>,
    /// The text, or which items there are.
    value: Cell<bool>,
    /// The whole of it, whatever is inside.
    all: Cell<bool>,
}

/// The content of a node.
#[derive(Clone, Debug)]
enum Value {
    /// A text without quotes, which may stand for a number.
    Plain(String),
    /// A text in quotes.
    Quoted(String),
    List(Vec<Node>),
    Table(Vec<(Node, Node)>),
}

/// The places where a template language is used outside of comments, each line once.
pub(crate) fn templates(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let code = line.split(" #").next().unwrap_or(line);
        let is_comment = code.trim_start().starts_with('#');
        let marks = ["{{", "{%", "{#"];
        if !is_comment && let Some(at) = marks.iter().filter_map(|mark| code.find(mark)).min() {
            let end = code.trim_end().len();
            spans.push(Span {
                line: index + 1,
                bytes: start + at..start + end,
            });
        }
        start += line.len();
    }
    spans
}

/// Parses the one document of `text`.
pub(crate) fn parse(text: &str, findings: &Findings) -> Option<Node> {
    let nowhere = Span {
        line: 1,
        bytes: 0..0,
    };
    if text.len() > MAX_BYTES {
        findings.fault(nowhere, "the file", "more than 4 MiB");
        return None;
    }
    let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    offsets.push(text.len());
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let built = match event {
            Ok((event, span)) => {
                let byte = |marker: saphyr_parser::Marker| {
                    offsets.get(marker.index()).copied().unwrap_or(text.len())
                };
                let place = Span {
                    line: span.start.line(),
                    bytes: byte(span.start)..byte(span.end).max(byte(span.start)),
                };
                builder.event(event, place)
            }
            Err(error) => {
                let marker = error.marker();
                let at = offsets.get(marker.index()).copied().unwrap_or(text.len());
                let place = Span {
                    line: marker.line(),
                    bytes: at..at,
                };
                Err((place, format!("no YAML: {}", error.info())))
            }
        };
        if let Err((place, message)) = built {
            findings.fault(place, "the file", message);
            return None;
        }
    }
    if builder.root.is_none() {
        findings.fault(nowhere, "the file", "empty");
    }
    builder.root
}

type Failure = (Span, String);

/// A list or table that has not ended.
struct Open {
    tag: Option<String>,
    anchor: usize,
    span: Span,
    /// Key and value in turn for tables.
    items: Vec<Node>,
    is_table: bool,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    size: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Failure> {
        let name = |tag: Option<std::borrow::Cow<'_, saphyr_parser::Tag>>| {
            tag.filter(|t| !t.is_yaml_core_schema())
                .map(|t| t.suffix.clone())
        };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = match style {
                    ScalarStyle::Plain => Value::Plain(text.into_owned()),
                    _ => Value::Quoted(text.into_owned()),
                };
                let node = Node {
                    tag: name(tag),
                    value,
                    span,
                    read: Read::default(),
                    size: 1,
                    depth: 1,
                };
                self.add(node, anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.add(Node { span, ..node }, 0),
                None => Err((span, "an alias to what has not ended".to_owned())),
            },
            Event::SequenceStart(anchor, tag) => self.begin(name(tag), anchor, span, false),
            Event::MappingStart(anchor, tag) => self.begin(name(tag), anchor, span, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err((span, "a second document: only one is read".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        tag: Option<String>,
        anchor: usize,
        span: Span,
        is_table: bool,
    ) -> Result<(), Failure> {
        if self.open.len() >= MAX_DEPTH {
            return Err((span, format!("nested deeper than {MAX_DEPTH}")));
        }
        self.open.push(Open {
            tag,
            anchor,
            span,
            items: Vec::new(),
            is_table,
        });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), Failure> {
        let Some(open) = self.open.pop() else {
            return Err((end, "an end without a beginning".to_owned()));
        };
        let size = 1 + open.items.iter().map(|n| n.size).sum::<usize>();
        let depth = 1 + open.items.iter().map(|n| n.depth).max().unwrap_or(0);
        let mut span = open.span;
        span.bytes.end = end.bytes.start.max(span.bytes.start);
        let value = if open.is_table {
            table(open.items)?
        } else {
            Value::List(open.items)
        };
        let node = Node {
            tag: open.tag,
            value,
            span,
            read: Read::default(),
            size,
            depth,
        };
        self.add(node, open.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Failure> {
        self.size += node.size;
        if self.size > MAX_NODES {
            return Err((node.span, format!("more than {MAX_NODES} values")));
        }
        if self.open.len() + node.depth > MAX_DEPTH {
            return Err((node.span, format!("nested deeper than {MAX_DEPTH}")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }
}

/// Keys and values in turn to a table, with merge keys applied.
fn table(items: Vec<Node>) -> Result<Value, Failure> {
    let mut entries: Vec<(Node, Node)> = Vec::new();
    let mut merged: Vec<Node> = Vec::new();
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        match key.text() {
            None => return Err((key.span, "a key that is no text".to_owned())),
            Some("<<") => merged.push(value),
            Some(text) if entries.iter().any(|(k, _)| k.text() == Some(text)) => {
                let message = format!("`{text}` is there already");
                return Err((key.span, message));
            }
            Some(_) => entries.push((key, value)),
        }
    }
    while let Some(node) = merged.pop() {
        match node.value {
            Value::List(nodes) => merged.extend(nodes.into_iter().rev()),
            Value::Table(others) => {
                for (key, value) in others {
                    if !entries.iter().any(|(k, _)| k.text() == key.text()) {
                        entries.push((key, value));
                    }
                }
            }
            _ => return Err((node.span, "`<<` merges tables only".to_owned())),
        }
    }
    Ok(Value::Table(entries))
}

impl Node {
    /// The name after `!`.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.read.tag.set(true);
        self.tag.as_deref()
    }

    /// The text of a node that is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) | Value::Quoted(text) => {
                self.read.value.set(true);
                Some(text)
            }
            _ => None,
        }
    }

    /// The items of a node that is a list.
    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => {
                self.read.value.set(true);
                Some(items)
            }
            _ => None,
        }
    }

    /// Keys and values of a node that is a table.
    pub(crate) fn table(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Table(entries) => {
                self.read.value.set(true);
                Some(entries)
            }
            _ => None,
        }
    }

    /// Whether it stands for no value.
    pub(crate) fn is_null(&self) -> bool {
        let Value::Plain(text) = &self.value else {
            return false;
        };
        matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Notes that a reader knows all of it.
    pub(crate) fn settle(&self) {
        self.read.all.set(true);
    }

    /// Whether a reader knows all of it.
    pub(crate) fn is_settled(&self) -> bool {
        self.read.all.get()
    }

    /// Whether its content was asked for; what is inside may not have been.
    pub(crate) fn is_read(&self) -> bool {
        self.read.value.get() || self.is_settled()
    }

    /// The name after `!` that nobody asked for.
    pub(crate) fn unread_tag(&self) -> Option<&str> {
        let is_known = self.read.tag.get() || self.is_settled();
        self.tag.as_deref().filter(|_| !is_known)
    }
}
