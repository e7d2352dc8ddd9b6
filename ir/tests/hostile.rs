//! Archs, trees, workloads and directives changed at random places: the reader refuses them with a code, or what it
//! gives is sound and prints back.
//!
//! `TILEWRIGHT_FUZZ_INPUTS` is the number of texts of each kind (2,000); `scripts/fuzz-inputs` runs more.

#[path = "../../tests/src/fuzz.rs"]
#[allow(unreachable_pub, reason = "the file is that of another crate")]
mod fuzz;
#[path = "../../tests/src/random.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the file is that of another crate"
)]
mod random;

use ir::{Arch, arch, directive, tree, workload};
use miette::Diagnostic;
use random::Random;

const NUMBERS: [&str; 25] = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "8",
    "16",
    "31",
    "64",
    "255",
    "4096",
    "65536",
    "1048576",
    "4294967295",
    "-1",
    "9223372036854775807",
    "18446744073709551616",
    "nan",
    "inf",
    "-0.0",
    "1e-300",
    "1e300",
    "\"8\"",
    "[]",
    "true",
];

/// `text` with one to three changes of its words and lines.
fn changed(text: &str, random: &mut Random) -> String {
    let mut text = text.to_owned();
    for _ in 0..=random.index(3) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.is_empty() {
            break;
        }
        let (a, b) = (random.index(lines.len()), random.index(lines.len()));
        match random.index(8) {
            0 => drop(lines.remove(a)),
            1 => lines.swap(a, b),
            2 => lines.insert(b, lines[a].clone()),
            3 => {
                let at = random.index(lines[a].len() + 1);
                if lines[a].is_char_boundary(at) {
                    lines[a].insert_str(at, random.of(&ir::text::hostile()).as_str());
                }
            }
            4 => {
                // A text of the value, so that it arrives as it is.
                if let Some((key, _)) = lines[a].clone().split_once('=') {
                    let value = toml::Value::from(random.of(&ir::text::hostile()).clone());
                    lines[a] = format!("{key}= {value}");
                }
            }
            _ => {
                // Another number for one of the line.
                let is_digit = |c: char| c.is_ascii_digit() || c == '_';
                if let Some(at) = lines[a].find(is_digit) {
                    let end = lines[a][at..]
                        .find(|c| !is_digit(c))
                        .map_or(lines[a].len(), |n| at + n);
                    lines[a].replace_range(at..end, random.of::<&str>(&NUMBERS));
                }
            }
        }
        text = lines.join("\n");
    }
    text
}

/// Reads changed forms of `texts`; `read` gives the code of an error.
#[track_caller]
fn check(what: &str, texts: &[&str], read: impl Fn(&str) -> Result<(), Option<String>> + Sync) {
    let counts = fuzz::run(what, |random, seed| {
        let text = changed(texts[seed as usize % texts.len()], random);
        read(&text).map(|()| "read back")
    });
    let (refused, taken, n) = (counts.n_refused(), counts.n_taken(), counts.executions);
    assert!(
        refused > n / 10 && taken > n / 20,
        "{what}: {refused} refused, {taken} taken"
    );
}

fn code(error: &dyn Diagnostic) -> Option<String> {
    error.code().map(|code| code.to_string())
}

#[test]
fn changed_archs() {
    let texts = [
        include_str!("../../examples/archs/nano.toml"),
        include_str!("../../examples/archs/edge.toml"),
        include_str!("../../examples/archs/both.toml"),
    ];
    check("archs", &texts, |text| {
        let arch: Arch = arch::read("a.toml", text).map_err(|error| code(&error))?;
        assert!(arch.problems().is_empty() && arch.weight_tiles() > 0);
        assert!(arch.memory_bits().iter().all(|(_, bits)| *bits > 0));
        assert_eq!(ir::text::check(&arch.description), Ok(()));
        assert_eq!(arch::read("a.toml", &arch.to_toml()).unwrap(), arch);
        Ok(())
    });
}

#[test]
fn changed_trees() {
    let texts = [
        include_str!("../../examples/trees/eyeriss_like.toml"),
        include_str!("../../examples/trees/tpu_like.toml"),
        include_str!("../../examples/trees/one_buffer.toml"),
    ];
    check("trees", &texts, |text| {
        let tree = tree::read("t.toml", text).map_err(|error| code(&error))?;
        assert!(tree.problems().is_empty() && tree.operations_per_cycle() > 0);
        for text in [&tree.name, &tree.description] {
            assert_eq!(ir::text::check(text), Ok(()));
        }
        assert_eq!(tree::read("t.toml", &tree.to_toml()).unwrap(), tree);
        Ok(())
    });
}

#[test]
fn changed_workloads() {
    let texts = [
        include_str!("../../examples/workloads/attention.toml"),
        include_str!("../../examples/workloads/layers.toml"),
    ];
    check("workloads", &texts, |text| {
        let workload = workload::read("w.toml", text).map_err(|error| code(&error))?;
        for einsum in &workload.einsums {
            assert!(einsum.n_operations() > 0);
            assert_eq!(ir::text::check(&einsum.name), Ok(()));
        }
        assert_eq!(
            workload::read("w.toml", &workload.to_toml()).unwrap(),
            workload
        );
        Ok(())
    });
}

#[test]
fn changed_directives() {
    let texts = [include_str!("../../examples/schedules/resnet18.directives")];
    check("directives", &texts, |text| {
        let placed = directive::read("d", text).map_err(|error| code(&error))?;
        let directives: Vec<_> = placed.into_iter().map(|placed| placed.directive).collect();
        let printed = directive::print(&directives);
        let back =
            directive::read("d", &printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        assert!(
            back.into_iter()
                .map(|placed| placed.directive)
                .eq(directives)
        );
        Ok(())
    });
}
