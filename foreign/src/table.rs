//! Nodes to values: what a reader asks for, and what nobody asked for.
//!
//! Asking marks a node, and [`At::sweep`] at the end of a file refuses every value and tag without a mark.
//! A mark says only that somebody looked: what has no effect all the same is a reader's to say, with [`At::ignore`].

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::expression;
use crate::finding::{Findings, Span};
use crate::yaml::Node;

const UNKNOWN: &str = "is not understood; if nothing here depends on it, leave it out";

/// Values to which a file gives names, and which of them somebody asked for.
#[derive(Clone, Debug)]
pub(crate) struct Named<'a, T> {
    values: BTreeMap<String, (T, At<'a>, Cell<bool>)>,
}

/// Names with numbers, for expressions.
pub(crate) type Names<'a> = Named<'a, f64>;

impl<T> Default for Named<'_, T> {
    fn default() -> Self {
        let values = BTreeMap::new();
        Named { values }
    }
}

impl<'a, T> Named<'a, T> {
    /// Adds a value, or replaces the one of that name.
    pub(crate) fn insert(&mut self, name: &str, value: T, at: At<'a>) {
        let value = (value, at, Cell::new(false));
        self.values.insert(name.to_owned(), value);
    }

    /// Whether there is a value of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let (value, _, used) = self.values.get(name)?;
        used.set(true);
        Some(value)
    }

    /// Leaves out the values that nobody asked for.
    pub(crate) fn close(&self, reason: &str, findings: &Findings) {
        for (_, at, used) in self.values.values() {
            if !used.get() {
                at.ignore(findings, reason);
            }
        }
    }
}

impl<'a> Names<'a> {
    /// The numbers of `variables`; each may name those before it.
    pub(crate) fn variables(file: &Table<'a>, findings: &Findings) -> Names<'a> {
        let mut names = Names::default();
        let variables = file.get("variables").and_then(|v| v.fields(findings));
        for (key, value) in variables.iter().flat_map(Table::all) {
            match value.node.text().map(|t| expression::number(t, &names)) {
                Some(Ok(number)) => names.insert(key, number, value),
                _ => value.ignore(findings, "is no number"),
            }
        }
        names
    }
}

/// A count as a number; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "limits are below 2^53")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// A node and the keys that lead to it.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    pub(crate) node: &'a Node,
    pub(crate) key: String,
}

/// A table of which every key must be asked for, or be left out on purpose.
pub(crate) struct Table<'a> {
    at: At<'a>,
    entries: &'a [(Node, Node)],
}

impl<'a> At<'a> {
    pub(crate) fn root(node: &'a Node) -> At<'a> {
        At {
            node,
            key: String::new(),
        }
    }

    fn inside(&self, node: &'a Node, key: &str) -> At<'a> {
        let dot = if self.key.is_empty() || key.starts_with('[') {
            ""
        } else {
            "."
        };
        let key = format!("{}{dot}{key}", self.key);
        At { node, key }
    }

    /// The key for people.
    fn name(&self) -> &str {
        if self.key.is_empty() {
            "the file"
        } else {
            &self.key
        }
    }

    /// It cannot be said here.
    pub(crate) fn fault(&self, findings: &Findings, message: impl Into<String>) {
        self.node.settle();
        findings.fault(self.node.span.clone(), self.name(), message);
    }

    /// It is left out, with all that is inside.
    pub(crate) fn ignore(&self, findings: &Findings, message: impl Into<String>) {
        self.node.settle();
        self.note(findings, message);
    }

    /// Something about it is left out or taken for granted.
    pub(crate) fn note(&self, findings: &Findings, message: impl Into<String>) {
        findings.ignore(self.node.span.clone(), self.name(), message);
    }

    /// It says nothing that would change anything.
    pub(crate) fn accept(&self) {
        self.node.settle();
    }

    /// What is wrong with what nobody asked for.
    fn unread(&self) -> Option<String> {
        match self.node.unread_tag() {
            Some(tag) => Some(format!("the tag `!{tag}` {UNKNOWN}")),
            None => (!self.node.is_read()).then(|| UNKNOWN.to_owned()),
        }
    }

    /// Ends a file: every value and tag in it that nobody asked for is a fault.
    pub(crate) fn sweep(&self, findings: &Findings) {
        self.sweep_at(&self.node.span, findings);
    }

    fn sweep_at(&self, span: &Span, findings: &Findings) {
        if self.node.is_settled() {
            return;
        }
        if let Some(message) = self.unread() {
            findings.fault(span.clone(), self.name(), message);
            return;
        }
        for item in self.list().into_iter().flatten() {
            item.sweep(findings);
        }
        for (key, value) in self.node.table().unwrap_or_default() {
            let at = self.inside(value, key.text().unwrap_or(""));
            at.sweep_at(&key.span, findings);
        }
    }

    /// The items, if it is a list.
    pub(crate) fn list(&self) -> Option<Vec<At<'a>>> {
        let items = self.node.list()?;
        let item = |(i, node): (usize, &'a Node)| self.inside(node, &format!("[{i}]"));
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The items of what must be a list.
    pub(crate) fn items(&self, findings: &Findings) -> Vec<At<'a>> {
        self.list().unwrap_or_else(|| {
            self.fault(findings, "must be a list");
            Vec::new()
        })
    }

    /// Whether it is a table with `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        let entries = self.node.table().unwrap_or_default();
        entries.iter().any(|(k, _)| k.text() == Some(key))
    }

    /// The table, if it is one.
    pub(crate) fn table(&self) -> Option<Table<'a>> {
        let entries = self.node.table()?;
        let at = self.clone();
        Some(Table { at, entries })
    }

    /// What must be a table.
    pub(crate) fn fields(&self, findings: &Findings) -> Option<Table<'a>> {
        let table = self.table();
        if table.is_none() {
            self.fault(findings, "must be a table");
        }
        table
    }

    /// What must be a text.
    pub(crate) fn text(&self, findings: &Findings) -> Option<&'a str> {
        let text = self.node.text();
        if text.is_none() {
            self.fault(findings, "must be a text");
        }
        text
    }

    /// What must be a list of texts, or one.
    pub(crate) fn texts(&self, findings: &Findings) -> Vec<&'a str> {
        match self.list() {
            Some(items) => items
                .iter()
                .filter_map(|item| item.text(findings))
                .collect(),
            None => self.text(findings).into_iter().collect(),
        }
    }

    /// What must be a number or arithmetic.
    pub(crate) fn number(&self, names: &Names<'_>, findings: &Findings) -> Option<f64> {
        let text = self.text(findings)?;
        match expression::number(text, names) {
            Ok(number) => Some(number),
            Err(reason) => {
                self.fault(findings, reason);
                None
            }
        }
    }

    /// What must be a whole number in a range.
    pub(crate) fn whole(
        &self,
        range: std::ops::RangeInclusive<u64>,
        names: &Names<'_>,
        findings: &Findings,
    ) -> Option<u64> {
        let number = self.number(names, findings)?;
        let (first, last) = range.into_inner();
        let fits = number.fract() == 0.0 && number >= float(first) && number <= float(last);
        if !fits {
            let message = format!("is {number}: a whole number from {first} to {last} is possible");
            self.fault(findings, message);
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        Some(number as u64)
    }

    /// What must be true or false.
    pub(crate) fn truth(&self, findings: &Findings) -> Option<bool> {
        match self.text(findings)?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => {
                self.fault(findings, "must be true or false");
                None
            }
        }
    }
}

impl<'a> Table<'a> {
    /// Its place.
    pub(crate) fn at(&self) -> &At<'a> {
        &self.at
    }

    /// The value of `key`, if there is one.
    pub(crate) fn get(&self, key: &str) -> Option<At<'a>> {
        let is_key = |(k, _): &&(Node, Node)| k.text() == Some(key);
        let (_, value) = self.entries.iter().find(is_key)?;
        if value.is_null() {
            value.settle();
            return None;
        }
        Some(self.at.inside(value, key))
    }

    /// The value of the first of some spellings of a key.
    pub(crate) fn any(&self, keys: &[&str]) -> Option<At<'a>> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// The value of a key that must be there.
    pub(crate) fn need(&self, key: &str, findings: &Findings) -> Option<At<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.at.fault(findings, format!("`{key}` is missing"));
        }
        value
    }

    /// All entries.
    pub(crate) fn all(&self) -> Vec<(&'a str, At<'a>)> {
        let entry = |(key, value): &'a (Node, Node)| {
            let key = key.text().unwrap_or("");
            (key, self.at.inside(value, key))
        };
        self.entries.iter().map(entry).collect()
    }

    /// Keys that may only say what holds without them, each with that value; another is a fault with `message`.
    pub(crate) fn only(
        &self,
        values: &[(&str, &str)],
        names: &Names<'_>,
        message: &str,
        findings: &Findings,
    ) {
        let number = |text: &str| expression::number(text, names).ok();
        for (key, default) in values {
            let Some(at) = self.get(key) else {
                continue;
            };
            let is_default = |text: &str| {
                text.eq_ignore_ascii_case(default)
                    || number(default).is_some_and(|value| number(text) == Some(value))
            };
            if !at.node.text().is_some_and(is_default) {
                at.fault(findings, message);
            }
        }
    }

    /// Leaves out the keys of `harmless` that nobody asked for, each with the reason.
    pub(crate) fn leave(&self, harmless: &[(&[&str], &str)], findings: &Findings) {
        for (keys, reason) in harmless {
            self.leave_if(|key| keys.contains(&key), reason, findings);
        }
    }

    /// Leaves out all keys that nobody asked for.
    pub(crate) fn leave_rest(&self, reason: &str, findings: &Findings) {
        self.leave_if(|_| true, reason, findings);
    }

    fn leave_if(&self, is_left: impl Fn(&str) -> bool, reason: &str, findings: &Findings) {
        for (key, value) in self.entries {
            let text = key.text().unwrap_or("");
            if is_left(text) && !value.is_read() {
                value.settle();
                let at = self.at.inside(value, text);
                if !value.is_null() {
                    findings.ignore(key.span.clone(), &at.key, reason);
                }
            }
        }
    }

    /// Ends the table: keys that nobody asked for are left out if `harmless` names them with the reason, else faults.
    pub(crate) fn close(&self, harmless: &[(&[&str], &str)], findings: &Findings) {
        self.leave(harmless, findings);
        for (key, value) in self.entries {
            let at = self.at.inside(value, key.text().unwrap_or(""));
            if let Some(message) = at.unread() {
                value.settle();
                findings.fault(key.span.clone(), &at.key, message);
            }
        }
    }
}
