//! The example trees and workloads are legal, and say what they claim to say.

use std::path::PathBuf;

use ir::arch::Arch;
use ir::tree::{Component, Direction, Memory, Tree};
use ir::workload::{Unit, Workload};

/// The text and the stem of each file of a folder of examples.
fn examples(folder: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(folder);
    let mut files: Vec<PathBuf> = folder
        .read_dir()
        .expect("the folder is there")
        .map(|f| f.expect("it is readable").path())
        .collect();
    files.sort();
    let stem = |path: &PathBuf| {
        path.file_stem()
            .expect("a file")
            .to_string_lossy()
            .into_owned()
    };
    files
        .iter()
        .map(|path| (stem(path), std::fs::read_to_string(path).expect("a text")))
        .collect()
}

fn tree(name: &str) -> Tree {
    let (_, text) = examples("trees")
        .into_iter()
        .find(|(stem, _)| stem == name)
        .expect("the tree is there");
    ir::tree::read(name, &text).expect("it is legal")
}

fn workload(name: &str) -> Workload {
    let (_, text) = examples("workloads")
        .into_iter()
        .find(|(stem, _)| stem == name)
        .expect("the workload is there");
    ir::workload::read(name, &text).expect("it is legal")
}

#[test]
fn every_tree_reads_and_prints_back() {
    for (stem, text) in examples("trees") {
        let tree = ir::tree::read(&stem, &text)
            .unwrap_or_else(|e| panic!("{stem}: {:?}", miette::Report::new(e)));
        assert_eq!(tree.name, stem);
        assert_eq!(
            ir::tree::read(&stem, &tree.to_toml()).expect("it reads back"),
            tree
        );
        assert!(ir::tree::is_tree(&text));
    }
}

#[test]
fn every_workload_reads_and_prints_back() {
    for (stem, text) in examples("workloads") {
        let workload = ir::workload::read(&stem, &text)
            .unwrap_or_else(|e| panic!("{stem}: {:?}", miette::Report::new(e)));
        assert_eq!(workload.name, stem);
        assert_eq!(
            ir::workload::read(&stem, &workload.to_toml()).expect("it reads back"),
            workload
        );
    }
}

#[test]
fn operations_per_cycle() {
    let expected = [
        ("edge", 256),
        ("eyeriss_like", 168),
        ("gemmini_like", 256),
        ("nano", 16),
        ("one_buffer", 256),
        ("tpu_like", 65536),
    ];
    for (name, operations) in expected {
        assert_eq!(tree(name).operations_per_cycle(), operations, "{name}");
    }
}

/// The totals that the literature gives, and the number of layers.
#[test]
fn multiplications_of_networks() {
    let expected = [
        // 4.09 G and 301 M are what torchvision states for the same inputs.
        ("resnet50", 54, 4_089_184_256),
        ("mobilenet_v2", 53, 300_774_272),
        // 12 * (4 * 512 * 768^2 + 2 * 512 * 768 * 3072 + 2 * 512^2 * 768)
        ("bert_base", 96, 48_318_382_080),
        ("attention", 2, 402_653_184),
        ("attention_online", 2, 402_653_184),
    ];
    for (name, layers, multiplications) in expected {
        let workload = workload(name);
        let on_array = || workload.einsums.iter().filter(|e| e.unit == Unit::Mac);
        assert_eq!(on_array().map(|e| e.repeat).sum::<u64>(), layers, "{name}");
        assert_eq!(
            on_array().map(|e| e.repeat * e.n_operations()).sum::<u64>(),
            multiplications,
            "{name}"
        );
    }
}

/// Online softmax costs one further operation for each value and chunk, and some for each score and chunk.
#[test]
fn vector_work_of_attention() {
    let vector = |name: &str| -> u64 {
        let workload = workload(name);
        workload
            .einsums
            .iter()
            .filter(|e| e.unit == Unit::Vector)
            .map(|e| e.n_operations())
            .sum()
    };
    let (rows, keys, chunks, values) = (12 * 512, 512, 8, 64);
    assert_eq!(vector("attention"), rows * keys);
    assert_eq!(
        vector("attention_online"),
        rows * (3 * keys + 2 * chunks + chunks * values + values)
    );
}

/// What an einsum reads of an earlier one is as large as what that wrote.
#[test]
fn tensors_between_einsums_agree() {
    for name in ["attention", "attention_online"] {
        let workload = workload(name);
        for (index, einsum) in workload.einsums.iter().enumerate() {
            for output in workload.einsums[..index]
                .iter()
                .map(ir::workload::Einsum::output)
            {
                for input in einsum.operands.iter().filter(|o| o.tensor == output.tensor) {
                    assert_eq!(
                        input.n_values(),
                        output.n_values(),
                        "{name}: `{}` of {}",
                        input.tensor,
                        einsum.name
                    );
                    assert_eq!(
                        input.bits, output.bits,
                        "{name}: `{}` of {}",
                        input.tensor, einsum.name
                    );
                }
            }
        }
    }
}

/// The layers that the mapper is timed on are of every kind.
#[test]
fn layers_cover_the_kinds() {
    let workload = workload("layers");
    assert!(workload.einsums.len() >= 20);
    for size in [7, 14, 49, 197] {
        assert!(
            workload
                .einsums
                .iter()
                .any(|e| e.ranks.iter().any(|r| r.size == size)),
            "{size}"
        );
    }
}

fn memory<'a>(tree: &'a Tree, name: &str) -> &'a Memory {
    tree.memories()
        .map(|(_, m)| m)
        .find(|m| m.name == name)
        .expect("the memory is there")
}

fn bits_per_cycle(memory: &Memory, direction: Direction) -> f64 {
    memory
        .ports
        .iter()
        .filter(|p| p.does.contains(&direction))
        .map(|p| p.bits_per_cycle)
        .sum()
}

/// The trees of our own archs have the sizes, the ports and the array of the archs.
#[test]
fn trees_of_archs() {
    for name in ["nano", "edge"] {
        let (_, text) = examples("archs")
            .into_iter()
            .find(|(stem, _)| stem == name)
            .expect("the arch is there");
        let arch: Arch = ir::arch::read(name, &text).expect("it is legal");
        let tree = tree(name);
        assert_eq!(tree.clock_hz, arch.clock_hz);
        for (part, bits) in arch.memory_bits() {
            if ["activations", "weights", "accumulators"].contains(&part) {
                assert_eq!(memory(&tree, part).size_bits, Some(bits), "{name}: {part}");
            }
        }
        let word = f64::from(8 * arch.word_bytes());
        let tile = if arch.reads_whole_tiles() {
            f64::from(arch.array.cols)
        } else {
            1.0
        };
        assert_eq!(
            bits_per_cycle(memory(&tree, "memory"), Direction::Read),
            word
        );
        assert_eq!(
            bits_per_cycle(memory(&tree, "weights"), Direction::Write),
            word
        );
        assert_eq!(
            bits_per_cycle(memory(&tree, "weights"), Direction::Read),
            word * tile
        );
        assert_eq!(
            bits_per_cycle(memory(&tree, "activations"), Direction::Read),
            2.0 * word
        );
        assert_eq!(
            bits_per_cycle(memory(&tree, "accumulators"), Direction::Write),
            f64::from(32 * arch.array.cols)
        );
        let lanes =
            f64::from(arch.vector.requantise_lanes) / f64::from(arch.vector.requantise_interval);
        assert_eq!(
            bits_per_cycle(memory(&tree, "accumulators"), Direction::Read),
            32.0 * lanes
        );
        let sizes: Vec<u64> = tree.fanouts().map(|(_, f)| f.size).collect();
        assert_eq!(
            sizes,
            [u64::from(arch.array.cols), u64::from(arch.array.rows)]
        );
        let vector = tree.compute().vector.as_ref().map_or(0, |v| v.lanes);
        assert_eq!(vector, u64::from(arch.vector.table_lanes));
        assert!(matches!(
            tree.components.last(),
            Some(Component::Compute(_))
        ));
    }
}

/// The example of the reference page is legal.
#[test]
fn reference_page_of_workloads() {
    let page = include_str!("../../docs/reference/workload.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("it ends");
    let workload = ir::workload::read("workload.md", example).expect("it is legal");
    assert_eq!(
        ir::workload::read("workload.md", &workload.to_toml()).expect("it reads back"),
        workload
    );
}
