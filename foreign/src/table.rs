//! Nodes to values: what a reader asks for, and the keys that nobody asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::expression;
use crate::finding::Findings;
use crate::yaml::{Node, Value};

/// Names with numbers, for expressions.
pub(crate) type Names = BTreeMap<String, f64>;

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
    used: RefCell<BTreeSet<usize>>,
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

    pub(crate) fn fault(&self, findings: &Findings, message: impl Into<String>) {
        findings.fault(self.node.span.clone(), self.name(), message);
    }

    pub(crate) fn ignore(&self, findings: &Findings, message: impl Into<String>) {
        findings.ignore(self.node.span.clone(), self.name(), message);
    }

    /// The items, if it is a list.
    pub(crate) fn list(&self) -> Option<Vec<At<'a>>> {
        let Value::List(items) = &self.node.value else {
            return None;
        };
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
        match &self.node.value {
            Value::Table(entries) => entries.iter().any(|(k, _)| k.text() == Some(key)),
            _ => false,
        }
    }

    /// The table, if it is one.
    pub(crate) fn table(&self) -> Option<Table<'a>> {
        let Value::Table(entries) = &self.node.value else {
            return None;
        };
        Some(Table {
            at: self.clone(),
            entries,
            used: RefCell::default(),
        })
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
    pub(crate) fn number(&self, names: &Names, findings: &Findings) -> Option<f64> {
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
        names: &Names,
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

    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<At<'a>> {
        let index = self
            .entries
            .iter()
            .position(|(k, _)| k.text() == Some(key))?;
        self.used.borrow_mut().insert(index);
        Some(self.at.inside(&self.entries[index].1, key))
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
        let entry = |(i, (key, value)): (usize, &'a (Node, Node))| {
            self.used.borrow_mut().insert(i);
            let key = key.text().unwrap_or("");
            (key, self.at.inside(value, key))
        };
        self.entries.iter().enumerate().map(entry).collect()
    }

    /// Ends the table: keys that nobody asked for are left out if `harmless` names them with the reason, else faults.
    pub(crate) fn close(&self, harmless: &[(&[&str], &str)], findings: &Findings) {
        for (index, (key, value)) in self.entries.iter().enumerate() {
            if self.used.borrow().contains(&index) {
                continue;
            }
            let text = key.text().unwrap_or("");
            let at = self.at.inside(value, text);
            let known = harmless.iter().find(|(keys, _)| keys.contains(&text));
            match known {
                Some((_, reason)) => findings.ignore(key.span.clone(), &at.key, *reason),
                None => findings.fault(key.span.clone(), &at.key, "is not understood"),
            }
        }
    }
}
