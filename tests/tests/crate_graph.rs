//! Holds the crate graph against the table of allowed edges in `ARCHITECTURE.md`.
//!
//! Dev-dependencies are left out: a test may look at anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// The crates of this workspace that each folder may import.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("ir", &[]),
    ("onnx", &["ir"]),
    ("foreign", &["ir"]),
    ("mapper", &["ir"]),
    ("sim", &["ir"]),
    ("hw", &["ir"]),
    ("host-runtime", &["ir", "sim", "hw"]),
    ("explore", &["ir", "mapper", "sim", "hw"]),
    ("bench", &["ir", "mapper", "host-runtime"]),
    (
        "cli",
        &[
            "ir",
            "onnx",
            "foreign",
            "mapper",
            "sim",
            "hw",
            "host-runtime",
            "explore",
            "bench",
        ],
    ),
    (
        "tests",
        &[
            "ir",
            "onnx",
            "foreign",
            "mapper",
            "sim",
            "hw",
            "host-runtime",
            "explore",
            "bench",
            "cli",
        ],
    ),
];

/// The only folder that may import an outside crate.
const OWNERS: [(&str, &str); 15] = [
    ("prost", "onnx"),
    ("prost-types", "onnx"),
    ("prost-build", "onnx"),
    ("protox", "onnx"),
    ("saphyr-parser", "foreign"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("indicatif", "cli"),
    ("owo-colors", "cli"),
    ("plotters", "bench"),
    ("cudarc", "host-runtime"),
    ("libloading", "host-runtime"),
    ("rustix", "hw"),
    ("rusqlite", "explore"),
];

/// Folder of each workspace crate, with the folders and the outside crates it imports.
struct Imports {
    workspace: BTreeSet<String>,
    outside: BTreeSet<String>,
}

fn crate_graph() -> BTreeMap<String, Imports> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("`tests` is a folder of the workspace");
    #[expect(clippy::disallowed_methods, reason = "cargo is no tool of the flow")]
    let output =
        std::process::Command::new(std::env::var_os("CARGO").expect("cargo runs this test"))
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(root)
            .output()
            .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let workspace_root = metadata["workspace_root"].as_str().expect("a path");
    let folder = |path: &str| {
        let path = path.trim_end_matches("/Cargo.toml");
        path.strip_prefix(workspace_root)
            .expect("a folder of the workspace")
            .trim_start_matches('/')
            .to_owned()
    };

    let mut graph = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("a list") {
        let mut imports = Imports {
            workspace: BTreeSet::new(),
            outside: BTreeSet::new(),
        };
        for dependency in package["dependencies"].as_array().expect("a list") {
            if dependency["kind"] == "dev" {
                continue;
            }
            match dependency["path"].as_str() {
                Some(path) => imports.workspace.insert(folder(path)),
                None => imports
                    .outside
                    .insert(dependency["name"].as_str().expect("a name").to_owned()),
            };
        }
        graph.insert(
            folder(package["manifest_path"].as_str().expect("a path")),
            imports,
        );
    }
    graph
}

#[test]
fn every_folder_of_the_workspace_is_in_the_table() {
    let graph = crate_graph();
    let folders = graph.keys().map(String::as_str).collect::<BTreeSet<_>>();
    assert_eq!(folders, ALLOWED.iter().map(|&(folder, _)| folder).collect());
}

#[test]
fn edges_are_allowed() {
    let allowed = BTreeMap::from(ALLOWED);
    for (folder, imports) in crate_graph() {
        for import in imports.workspace {
            assert!(
                allowed[folder.as_str()].contains(&import.as_str()),
                "`{folder}` may not import `{import}`; a new edge is a decision for `docs/rationale/`"
            );
        }
    }
}

#[test]
fn outside_crates_stay_with_their_owner() {
    let owners = BTreeMap::from(OWNERS);
    for (folder, imports) in crate_graph() {
        for import in imports.outside {
            let owner = owners.get(import.as_str());
            assert!(
                owner.is_none_or(|&owner| owner == folder),
                "`{folder}` may not import `{import}`: only `{}` knows it",
                owner.expect("it has one")
            );
        }
    }
}

/// `ARCHITECTURE.md` shows the same table to people.
#[test]
fn documented_table_is_the_tested_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("`tests` is a folder of the workspace");
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the page is there");
    for (folder, imports) in ALLOWED {
        let imports = match imports {
            [] => "nothing".to_owned(),
            _ => imports
                .iter()
                .map(|import| format!("`{import}`"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let row = format!("| `{folder}` | {imports} |");
        assert!(
            page.contains(&row),
            "`ARCHITECTURE.md` lacks the row:\n{row}"
        );
    }
}
