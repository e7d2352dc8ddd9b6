//! Trees and workloads of the examples, and what the exact mapper is timed on.

use std::path::{Path, PathBuf};

use ir::tree::Tree;
use ir::workload::Workload;
use mapper::exact::Model;

/// Tree, name of the space, model.
pub(crate) const SPACES: &[(&str, &str, Model)] = &[
    ("gemmini_like", "perfect", Model::ACCELFORGE),
    ("gemmini_like", "machine", Model::MACHINE),
    ("eyeriss_like", "perfect", Model::ACCELFORGE),
    ("eyeriss_like", "machine", Model::MACHINE),
];

/// A search of more nodes than this is stopped and said to be unproven.
pub(crate) const NODES: u64 = 2_000_000;

fn example(folder: &str, name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(folder)
        .join(name)
        .with_extension("toml");
    let text = std::fs::read_to_string(&path).expect("the example is there");
    (path, text)
}

/// The tree `examples/trees/NAME.toml`.
pub(crate) fn tree(name: &str) -> Tree {
    let (path, text) = example("trees", name);
    ir::tree::read(&path.display().to_string(), &text).unwrap_or_else(|e| panic!("{e}"))
}

/// The workload `examples/workloads/NAME.toml`.
pub(crate) fn workload(name: &str) -> Workload {
    let (path, text) = example("workloads", name);
    ir::workload::read(&path.display().to_string(), &text).unwrap_or_else(|e| panic!("{e}"))
}
