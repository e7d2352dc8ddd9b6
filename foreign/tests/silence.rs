//! Nothing of a file is dropped in silence: a key that no reader knows, wherever it stands, is refused or listed, and so
//! is a value that may be another without another result.

use foreign::{Finding, Foreign};
use saphyr_parser::{Event, Parser};

const UNKNOWN: &str = "zz_unknown";

/// What is said of a key that is left out with all that is inside.
const WHOLE: [&str; 16] = [
    "a tile must fit into its memory here",
    "as an order narrows the search only; mappings outside it are found too",
    "constrains a fan-out, and without `meshX` or `meshY` is none",
    "constraints are read at the nodes of the architecture only",
    "is for the component models, which are not here",
    "is for the energy and area of Accelergy",
    "is not among the actions that are counted here",
    "is not in the cost model",
    "is nothing",
    "narrows the search only; mappings outside it are found too",
    "no component here has this action",
    "one energy per action is read",
    "only a memory keeps anything",
    "padding is part of the input here",
    "steers the search of AccelForge",
    "steers the search of Timeloop",
];

/// What is said at `renames` of an AccelForge file.
const RENAMES: &str = "says which tensor is";

/// The samples, and the files of the comparison with other mappers that are no templates.
fn files() -> Vec<(String, String)> {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut files = Vec::new();
    for folder in [
        "tests/samples",
        "../bench/peers/accelforge/archs",
        "../bench/peers/zigzag/archs",
    ] {
        let entries = std::fs::read_dir(format!("{root}/{folder}")).expect("the folder is there");
        for entry in entries {
            let path = entry.expect("it is readable").path();
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            files.push((name, std::fs::read_to_string(path).expect("it is text")));
        }
    }
    files.sort();
    files
}

/// A table of a file.
struct Table {
    key: String,
    /// Where its first entry begins, or its closing bracket stands.
    at: usize,
    /// Whether it stands in brackets.
    is_flow: bool,
    is_empty: bool,
}

/// A text that is no key.
#[derive(Clone)]
struct Scalar {
    key: String,
    bytes: std::ops::Range<usize>,
}

/// All tables and texts of `text`, with the keys by which findings name them.
fn parts(text: &str) -> (Vec<Table>, Vec<Scalar>) {
    enum Open {
        List(usize),
        /// The key that waits for its value.
        Table(Option<String>),
    }
    let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    offsets.push(text.len());
    let (mut tables, mut scalars) = (Vec::<Table>::new(), Vec::new());
    let mut open: Vec<(Open, String)> = Vec::new();
    // The tables whose first entry is still to come.
    let mut fresh: Option<usize> = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.expect("it is YAML");
        let start = offsets[span.start.index()];
        let end = offsets[span.end.index()];
        let is_end = matches!(event, Event::MappingEnd | Event::SequenceEnd);
        if let Some(index) = fresh.take() {
            let table: &mut Table = &mut tables[index];
            (table.at, table.is_empty) = (start, is_end);
        }
        if is_end {
            open.pop();
            continue;
        }
        if !matches!(
            event,
            Event::Scalar(..)
                | Event::Alias(_)
                | Event::MappingStart(..)
                | Event::SequenceStart(..)
        ) {
            continue;
        }
        let key = match open.last_mut() {
            None => String::new(),
            Some((Open::List(next), above)) => {
                *next += 1;
                format!("{above}[{}]", *next - 1)
            }
            Some((Open::Table(waiting), above)) => match (waiting.take(), &event) {
                (None, Event::Scalar(name, ..)) => {
                    *waiting = Some(name.clone().into_owned());
                    continue;
                }
                (Some(name), _) if above.is_empty() => name,
                (Some(name), _) => format!("{above}.{name}"),
                (None, _) => panic!("a key that is no text"),
            },
        };
        match event {
            Event::Scalar(..) => scalars.push(Scalar {
                key,
                bytes: start..end,
            }),
            Event::SequenceStart(..) => open.push((Open::List(0), key)),
            Event::MappingStart(..) => {
                fresh = Some(tables.len());
                tables.push(Table {
                    key: key.clone(),
                    at: start,
                    is_flow: text[start..].starts_with('{') || text[start..end].contains('{'),
                    is_empty: false,
                });
                open.push((Open::Table(None), key));
            }
            _ => {}
        }
    }
    (tables, scalars)
}

/// `text` with an unknown entry at the start of `table`.
fn with_unknown(text: &str, table: &Table) -> String {
    let (before, after) = text.split_at(table.at);
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let indent = " ".repeat(table.at - line);
    let between = match (table.is_flow, table.is_empty) {
        (true, true) => String::new(),
        (true, false) => ", ".to_owned(),
        (false, _) => format!("\n{indent}"),
    };
    format!("{before}{UNKNOWN}: 1{between}{after}")
}

/// Whether `finding` names `key`, or leaves out a key above it with all that is inside.
fn covers(finding: &Finding, key: &str) -> bool {
    let is_whole =
        WHOLE.contains(&finding.message.as_str()) || finding.message.starts_with(RENAMES);
    let is_above = key
        .strip_prefix(finding.key.as_str())
        .is_some_and(|rest| rest.starts_with(['.', '[']));
    finding.key == key || is_whole && is_above
}

/// Ends the test if one of `cases` is in vain, and names all of them.
#[track_caller]
fn all_hold(cases: impl Iterator<Item = Result<(), String>>, at_least: usize) {
    let (held, failed): (Vec<_>, Vec<_>) = cases.partition(Result::is_ok);
    let failed: Vec<String> = failed.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(held.len() >= at_least, "only {} cases", held.len());
}

#[test]
fn a_key_that_nobody_knows_is_refused_or_listed() {
    let case = |name: &str, text: &str, table: &Table| {
        let key = match table.key.as_str() {
            "" => UNKNOWN.to_owned(),
            above => format!("{above}.{UNKNOWN}"),
        };
        let is_said = match foreign::read(name, &with_unknown(text, table)) {
            Ok(foreign) => foreign.ignored.iter().any(|f| covers(f, &key)),
            Err(error) => error.to_string().to_lowercase().contains(UNKNOWN),
        };
        is_said
            .then_some(())
            .ok_or_else(|| format!("{name}: nothing says `{key}`"))
    };
    let files = files();
    let cases = files.iter().flat_map(|(name, text)| {
        let tables = parts(text).0;
        tables
            .into_iter()
            .map(move |table| case(name, text, &table))
    });
    all_hold(cases, 300);
}

/// Other texts in place of `text`: another value, another number inside it, and the same with a tag.
fn others(text: &str) -> Vec<String> {
    let whole = match text {
        "true" | "True" => "false",
        "false" | "False" => "true",
        _ => "zz_other",
    };
    let mut others = vec![whole.to_owned(), format!("!zz {text}")];
    let last = text
        .rfind(|c: char| c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    let first = text[..last]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    if let Ok(number) = text[first..last].parse::<u64>() {
        others.push(format!("{}{}{}", &text[..first], number + 1, &text[last..]));
    }
    others
}

/// Keys that name what nothing refers to, and defaults of what is given.
fn needs_no_effect(key: &str) -> bool {
    key.ends_with(".name") || key.ends_with(".default")
}

#[test]
fn a_value_has_an_effect_or_is_refused_or_listed() {
    let case = |name: &str, text: &str, whole: &Foreign, scalar: &Scalar, other: &str| {
        let (before, after) = (&text[..scalar.bytes.start], &text[scalar.bytes.end..]);
        let has_effect = match foreign::read(name, &format!("{before}{other}{after}")) {
            Ok(foreign) => {
                let is_other = foreign.tree != whole.tree || foreign.workload != whole.workload;
                is_other || foreign.ignored.iter().any(|f| covers(f, &scalar.key))
            }
            Err(_) => true,
        };
        (has_effect || needs_no_effect(&scalar.key))
            .then_some(())
            .ok_or_else(|| format!("{name}: nothing says `{}`: {other}", scalar.key))
    };
    let files = files();
    let cases = files.iter().flat_map(|(name, text)| {
        let whole = foreign::read(name, text).unwrap_or_else(|error| panic!("{error}"));
        let scalars = parts(text).1.into_iter().flat_map(|scalar| {
            let others = others(&text[scalar.bytes.clone()]);
            others.into_iter().map(move |other| (scalar.clone(), other))
        });
        scalars.map(move |(scalar, other)| case(name, text, &whole, &scalar, &other))
    });
    all_hold(cases, 2000);
}
