//! The list of faults for `scripts/mutants` fits the tree: it cannot rot unseen between two runs of that script.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    checks: BTreeMap<String, String>,
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    id: String,
    file: PathBuf,
    before: String,
    after: String,
    breaks: String,
    checks: Vec<String>,
    /// Why nothing can see it.
    equivalent: Option<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("`tests` is a folder of the workspace")
}

fn list() -> List {
    let text = fs::read_to_string(root().join("tests/mutants.toml")).expect("the list is there");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_fault_has_its_place() {
    let list = list();
    let mut ids = BTreeSet::new();
    for mutant in &list.mutant {
        let id = &mutant.id;
        assert!(ids.insert(id), "`{id}` is there twice");
        let text = fs::read_to_string(root().join(&mutant.file))
            .unwrap_or_else(|error| panic!("`{id}`: {error}"));
        assert_eq!(
            text.matches(&mutant.before).count(),
            1,
            "`{id}`: how often `before` occurs in `{}`",
            mutant.file.display()
        );
        assert_ne!(mutant.before, mutant.after, "`{id}` changes nothing");
        assert!(
            !mutant.breaks.is_empty() && !mutant.breaks.contains('\n'),
            "`{id}`: what it breaks, in one line"
        );
        assert!(
            mutant
                .equivalent
                .as_ref()
                .is_none_or(|reason| !reason.is_empty()),
            "`{id}`: why nothing can see it"
        );
        assert!(
            !mutant.checks.is_empty(),
            "`{id}`: the check that should see it"
        );
        for check in &mutant.checks {
            assert!(
                list.checks.contains_key(check),
                "`{id}`: no check `{check}`"
            );
        }
    }
}

#[test]
fn every_cell_has_a_fault() {
    let with_faults: BTreeSet<PathBuf> = list()
        .mutant
        .into_iter()
        .map(|mutant| mutant.file)
        .collect();
    for folder in ["hw/rtl", "hw/rtl/prim", "hw/rtl/ice40"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder of cells") {
            let path = Path::new(folder).join(entry.expect("a file").file_name());
            assert!(
                path.extension().is_none_or(|e| e != "sv") || with_faults.contains(&path),
                "no fault in `{}`",
                path.display()
            );
        }
    }
}

/// `tests/results/mutants.md` is that of this list: after a change of the list, run `scripts/mutants`.
#[test]
fn every_fault_has_a_result() {
    let results =
        fs::read_to_string(root().join("tests/results/mutants.md")).expect("the results are there");
    let list = list();
    let rows: BTreeSet<&str> = results
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(
        rows,
        list.mutant
            .iter()
            .map(|mutant| mutant.id.as_str())
            .collect()
    );
    let count = |check: &str| {
        results
            .lines()
            .filter(|line| line.starts_with("| `") && line.contains(check))
            .count()
    };
    let (survivors, equivalent, not_run) = (
        count("| **none** |"),
        count("| equivalent |"),
        count("| not run |"),
    );
    let caught = rows.len() - survivors - equivalent - not_run;
    assert!(caught >= 30, "only {caught} faults were tried and caught");
    assert!(
        survivors * 20 <= caught + survivors,
        "{survivors} faults survive, {caught} are caught: 95 % have to be"
    );
}
