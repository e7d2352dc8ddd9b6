//! Rules that no compiler holds: names and headers of RTL files, links of documents, leftovers.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what tools made.
const SKIPPED: [&str; 5] = [".git", ".tools", "target", "build", "node_modules"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("`tests` is a folder of the workspace")
}

/// All files of the checkout, as paths relative to its root, in a stable order.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(root(), &mut files);
    files.sort();
    files
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable folder") {
        let entry = entry.expect("a readable folder");
        let name = entry.file_name();
        if SKIPPED.iter().any(|&skipped| name == skipped) {
            continue;
        }
        let file_type = entry.file_type().expect("a file has a type");
        if file_type.is_dir() {
            collect(&entry.path(), files);
        } else if file_type.is_file() {
            files.push(
                entry
                    .path()
                    .strip_prefix(root())
                    .expect("below the root")
                    .to_owned(),
            );
        }
    }
}

/// The text of every file with one of `extensions`; the extension of `Makefile` and scripts is empty.
fn texts(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|path| {
            let extension = path.extension().unwrap_or_default().to_str().unwrap_or("?");
            extensions.contains(&extension)
        })
        .filter_map(|path| {
            // A binary file has no text to check.
            let text = fs::read_to_string(root().join(&path)).ok()?;
            Some((path, text))
        })
        .collect()
}

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn rtl_files_hold_one_module_of_their_name_under_a_header() {
    let mut faults = Vec::new();
    for (path, text) in texts(&["sv"])
        .into_iter()
        .filter(|(path, _)| path.starts_with("hw/rtl"))
    {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let units = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("module ")
                    .or_else(|| line.strip_prefix("package "))
            })
            .map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or_default()
            })
            .collect::<Vec<_>>();
        if units != [stem] {
            faults.push(format!(
                "{}: holds {units:?}, not one module `{stem}`",
                path.display()
            ));
        }
        let header = text
            .lines()
            .take_while(|line| line.starts_with("///"))
            .count();
        if header == 0 {
            faults.push(format!(
                "{}: does not begin with a `///` header",
                path.display()
            ));
        }
        for (line_idx, line) in text.lines().enumerate() {
            if line.chars().count() > 100 || line.contains('\t') || line.ends_with(' ') {
                faults.push(format!(
                    "{}:{}: long line, tab or trailing space",
                    path.display(),
                    line_idx + 1
                ));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn sources_hold_no_leftovers() {
    // Spelt in two parts, so that this file does not find itself.
    let leftovers = [
        concat!("todo", "!("),
        concat!("dbg", "!("),
        concat!("unimplemented", "!("),
    ];
    let mut faults = Vec::new();
    for (path, text) in texts(&["rs"]) {
        for leftover in leftovers
            .iter()
            .filter(|&&leftover| text.contains(leftover))
        {
            faults.push(format!("{}: `{leftover}..)`", path.display()));
        }
    }
    assert_none(&faults);
}

#[test]
fn files_name_no_folder_of_a_machine() {
    let folders = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
    ];
    let extensions = [
        "", "rs", "toml", "md", "sv", "v", "vlt", "sby", "ys", "cpp", "h", "py", "json", "txt",
        "pcf",
    ];
    let mut faults = Vec::new();
    for (path, text) in texts(&extensions) {
        for (line_idx, line) in text.lines().enumerate() {
            if folders.iter().any(|folder| names_absolute(line, folder)) {
                faults.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    line_idx + 1,
                    line.trim()
                ));
            }
        }
    }
    assert_none(&faults);
}

/// Whether `line` names `folder` as the beginning of an absolute path, not as a part of a relative one.
fn names_absolute(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|c| {
            c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')' | '>' | '*')
        })
    })
}

#[test]
fn links_of_documents_resolve() {
    let mut faults = Vec::new();
    for (path, text) in texts(&["md"]) {
        let dir = path.parent().expect("a file lies in a folder");
        for link in relative_links(&text) {
            if !root().join(dir).join(&link).exists() {
                faults.push(format!("{}: `{link}` does not exist", path.display()));
            }
        }
    }
    assert_none(&faults);
}

/// The targets of the Markdown links in `text` that are files, without their anchors.
fn relative_links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_fence = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        // The odd parts between backticks are code.
        let prose = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (_, rest) in prose
            .match_indices("](")
            .map(|(start, _)| prose.split_at(start + 2))
        {
            let target = rest.split([')', ' ', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                links.push(target.to_owned());
            }
        }
    }
    links
}

#[test]
fn relative_links_are_found() {
    let text = "a [x](docs/x.md#part), [`y`](y.md), <b>[z](https://z.org)</b> and [here](#here)\n\
                ```\n[in a fence](no.md)\n```\n`[in code](no.md)`\n![picture](p.svg \"title\")\n";
    assert_eq!(relative_links(text), ["docs/x.md", "y.md", "p.svg"]);
}

#[test]
fn absolute_paths_are_told_from_relative_ones() {
    assert!(names_absolute("see /a/b", "/a/"));
    assert!(names_absolute("`/a/b`", "/a/"));
    assert!(!names_absolute("docs/a/b", "/a/"));
    assert!(!names_absolute("../a/b", "/a/"));
}
