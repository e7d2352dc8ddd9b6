//! Faults of tree files, each with its text, and what holds for any text.

use expect_test::{Expect, expect};
use miette::Diagnostic;
use proptest::prelude::*;

use super::*;

/// A legal tree in as few lines as possible.
const TREE: &str = r#"format = 1
kind = "tree"
name = "t"
description = "d"
clock_hz = 1

[[component]]
class = "memory"
name = "dram"
read_pj_per_bit = 10.0
write_pj_per_bit = 11.0
ports = [{ bits_per_cycle = 64 }]

[[component]]
class = "memory"
name = "buffer"
size_bits = 1024
keeps = ["input", "output"]
value_bits = { output = 32 }
read_pj_per_bit = 1.0
write_pj_per_bit = 1.0

[[component]]
class = "fanout"
name = "rows"
size = 4

[[component]]
class = "compute"
name = "mac"
pj_per_operation = 0.5
vector = { lanes = 2, pj_per_operation = 0.5 }
"#;

/// Replaces `from` by `to` in the tree above and compares place, message and help.
#[track_caller]
fn check(from: &str, to: &str, expected: Expect) {
    assert!(TREE.contains(from), "`{from}` is not in the tree");
    check_text(&TREE.replacen(from, to, 1), expected);
}

#[track_caller]
fn check_text(text: &str, expected: Expect) {
    let error = read("t.toml", text).expect_err("the fault is found");
    let span = error.labels().expect("a place").next().expect("one place");
    let place = &text[span.offset()..span.offset() + span.len()];
    let line = text[..span.offset()].lines().count().max(1);
    let help = error.help().expect("help");
    expected.assert_eq(&format!(
        "{line}: {}\n{error}\n{help}",
        place.lines().next().unwrap_or("")
    ));
}

#[test]
fn the_tree_is_legal() {
    let tree = read("t.toml", TREE).expect("it is legal");
    assert_eq!(tree.operations_per_cycle(), 4);
    assert_eq!(tree.problems(), Vec::<String>::new());
    assert_eq!(
        tree.memories()
            .map(|(i, m)| (i, m.name.as_str()))
            .collect::<Vec<_>>(),
        [(0, "dram"), (1, "buffer")]
    );
    let (_, dram) = tree.memories().next().expect("it has memories");
    assert_eq!(dram.keeps, Role::ALL);
    assert_eq!(dram.ports[0].does, [Direction::Read, Direction::Write]);
    let (_, rows) = tree.fanouts().next().expect("it has a fan-out");
    assert_eq!(
        (rows.multicasts.as_slice(), rows.reduces),
        ([Role::Input, Role::Weights].as_slice(), true)
    );
}

#[test]
fn hash_is_of_the_content() {
    let hash = |text: &str| read("t.toml", text).expect("it is legal").hash();
    assert_eq!(hash(TREE), hash(&format!("# a comment\n{TREE}")));
    assert_ne!(hash(TREE), hash(&TREE.replace("size = 4", "size = 5")));
}

/// The example at the top of the module is legal.
#[test]
fn the_example_reads() {
    let source = include_str!("../tree.rs");
    let lines = source
        .lines()
        .skip_while(|line| *line != "//! ```text")
        .skip(1);
    let lines = lines.take_while(|line| *line != "//! ```");
    let text: Vec<&str> = lines.map(|line| line[3..].trim_start()).collect();
    let example = read("example.toml", &text.join("\n")).expect("it is legal");
    assert_eq!(example.name, "example");
}

#[test]
fn faults_of_the_text() {
    check_text(
        "",
        expect![[r#"
        1: 
        missing field `format`
        `docs/reference/tree.schema.json` lists every key"#]],
    );
    check_text(
        "format = 1\nkind = \"arch\"",
        expect![[r#"
        2: "arch"
        unknown variant `arch`, expected `tree`
        `docs/reference/tree.schema.json` lists every key"#]],
    );
    check(
        "size = 4",
        "size = ",
        expect![[r#"
        26: 
        string values must be quoted, expected literal string
        `docs/reference/tree.schema.json` lists every key"#]],
    );
    check(
        "size = 4",
        "size = -1",
        expect![[r#"
            22: [[component]]
            invalid value: integer `-1`, expected u64
            `docs/reference/tree.schema.json` lists every key"#]],
    );
    check(
        "size = 4",
        "size = 4\nsizes = 4",
        expect![[r#"
            22: [[component]]
            unknown field `sizes`, expected one of `name`, `size`, `ranks`, `shares`, `multicasts`, `reduces`
            `docs/reference/tree.schema.json` lists every key"#]],
    );
    check(
        "size_bits = 1024",
        "size_bits = 1e3",
        expect![[r#"
            13: [[component]]
            invalid type: floating point `1000.0`, expected u64
            `docs/reference/tree.schema.json` lists every key"#]],
    );
    check(
        "keeps = [\"input\", \"output\"]",
        "keeps = [\"input\", \"bias\"]",
        expect![[r#"
            13: [[component]]
            unknown variant `bias`, expected one of `input`, `weights`, `output`
            `docs/reference/tree.schema.json` lists every key"#]],
    );
    check(
        "class = \"fanout\"",
        "class = \"network\"",
        expect![[r#"
            22: [[component]]
            unknown variant `network`, expected one of `memory`, `fanout`, `compute`
            `docs/reference/tree.schema.json` lists every key"#]],
    );
    check(
        "class = \"fanout\"\n",
        "",
        expect![[r#"
        22: [[component]]
        missing field `class`
        `docs/reference/tree.schema.json` lists every key"#]],
    );
    check(
        "{ bits_per_cycle = 64 }",
        "{ bits = 64 }",
        expect![[r#"
        6: [[component]]
        unknown field `bits`, expected `does` or `bits_per_cycle`
        `docs/reference/tree.schema.json` lists every key"#]],
    );
}

#[test]
fn faults_of_the_values() {
    check(
        "format = 1",
        "format = 2",
        expect![[r#"
        1: format = 2
        `format` is 2: 1 is the only version
        write `format = 1`"#]],
    );
    check(
        "clock_hz = 1",
        "clock_hz = 0",
        expect![[r#"
        4: clock_hz = 0
        `clock_hz` is 0: must be above 0 Hz
        any clock will do if only energy and cycles count"#]],
    );
    check(
        "\"rows\"",
        "\"buffer\"",
        expect![[r#"
        24: name = "buffer"
        component `buffer` is there already
        names are unique in a tree"#]],
    );
    check(
        "\"rows\"",
        "\"the rows\"",
        expect![[r#"
        24: name = "the rows"
        `the rows` is no name of a component
        names are letters, digits and `_`, a letter first"#]],
    );
    check(
        "size = 4",
        "size = 0",
        expect![[r#"
        24: name = "rows"
        `size` of `rows` is 0: 1 to 1048576 is possible
        a fan-out is at least one copy"#]],
    );
    check(
        "size = 4",
        "size = 1048577",
        expect![[r#"
        24: name = "rows"
        `size` of `rows` is 1048577: 1 to 1048576 is possible
        a fan-out is at least one copy"#]],
    );
    check(
        "size_bits = 1024",
        "size_bits = 0",
        expect![[r#"
        15: name = "buffer"
        `size_bits` of `buffer` is 0: 1 to 2^50 is possible
        leave `size_bits` out if the memory is as large as needed"#]],
    );
    check(
        "size_bits = 1024",
        "size_bits = 9223372036854775807",
        expect![[r#"
            15: name = "buffer"
            `size_bits` of `buffer` is 9223372036854775807: 1 to 2^50 is possible
            leave `size_bits` out if the memory is as large as needed"#]],
    );
    check(
        "keeps = [\"input\", \"output\"]",
        "keeps = []",
        expect![[r#"
        15: name = "buffer"
        `keeps` of `buffer` is empty, or names a tensor twice
        leave `keeps` out for every tensor, and the memory if it keeps none"#]],
    );
    check(
        "\"input\", \"output\"",
        "\"output\", \"output\"",
        expect![[r#"
            15: name = "buffer"
            `keeps` of `buffer` is empty, or names a tensor twice
            leave `keeps` out for every tensor, and the memory if it keeps none"#]],
    );
    check(
        "{ output = 32 }",
        "{ weights = 8 }",
        expect![[r#"
        15: name = "buffer"
        `value_bits` of `buffer` is not 1 to 64 bits of a tensor that it keeps
        write `value_bits = { output = 32 }`"#]],
    );
    check(
        "{ output = 32 }",
        "{ output = 4294967295 }",
        expect![[r#"
        15: name = "buffer"
        `value_bits` of `buffer` is not 1 to 64 bits of a tensor that it keeps
        write `value_bits = { output = 32 }`"#]],
    );
    check(
        "value_bits",
        "may_bypass = [\"weights\"]\nvalue_bits",
        expect![[r#"
            15: name = "buffer"
            `buffer` lets pass by what it never keeps, or names a tensor twice
            `may_bypass` is a part of `keeps`"#]],
    );
    check(
        "read_pj_per_bit = 1.0",
        "read_pj_per_bit = -1.0",
        expect![[r#"
            15: name = "buffer"
            an energy of `buffer` is negative, not a number or above 10^12
            energies are picojoules per bit"#]],
    );
    check(
        "read_pj_per_bit = 1.0",
        "read_pj_per_bit = nan",
        expect![[r#"
            15: name = "buffer"
            an energy of `buffer` is negative, not a number or above 10^12
            energies are picojoules per bit"#]],
    );
    check(
        "read_pj_per_bit = 1.0",
        "read_pj_per_bit = inf",
        expect![[r#"
            15: name = "buffer"
            an energy of `buffer` is negative, not a number or above 10^12
            energies are picojoules per bit"#]],
    );
    check(
        "pj_per_operation = 0.5",
        "pj_per_operation = -inf",
        expect![[r#"
            29: name = "mac"
            an energy of `mac` is negative, not a number or above 10^12
            energies are picojoules per operation"#]],
    );
    check(
        "lanes = 2",
        "lanes = 0",
        expect![[r#"
        29: name = "mac"
        `vector.lanes` of `mac` is 0: 1 to 1048576 is possible
        leave `vector` out if there is no vector engine"#]],
    );
    check(
        "bits_per_cycle = 64",
        "bits_per_cycle = 0",
        expect![[r#"
        8: name = "dram"
        a port of `dram` is not 10^-6 to 10^12 bits in a cycle
        leave the port out if it never limits"#]],
    );
    check(
        "bits_per_cycle = 64",
        "bits_per_cycle = 64, does = []",
        expect![[r#"
            8: name = "dram"
            a port of `dram` does nothing
            leave `does` out if the port reads and writes"#]],
    );
}

#[test]
fn faults_of_the_order() {
    let (head, components) = TREE.split_at(TREE.find("[[").expect("it has components"));
    check_text(
        &format!("{head}component = []"),
        expect![[r#"
        1: 
        the first component is not a memory of everything
        start with a memory without `size_bits`, `keeps` and `may_bypass`: where all tensors begin and end"#]],
    );
    let parts: Vec<&str> = components.split_inclusive("\n\n").collect();
    check_text(
        &format!("{head}{}{}{}", parts[1], parts[0], parts[3]),
        expect![[r#"
            8: name = "buffer"
            the first component is not a memory of everything
            start with a memory without `size_bits`, `keeps` and `may_bypass`: where all tensors begin and end"#]],
    );
    check_text(
        &format!("{head}{}{}{}", parts[0], parts[3], parts[2]),
        expect![[r#"
            20: name = "rows"
            the tree has 1 components of compute, or it is not the last
            end with one component of class `compute`"#]],
    );
    check_text(
        &format!("{head}{}{}", parts[0], parts[1]),
        expect![[r#"
        15: name = "buffer"
        the tree has 0 components of compute, or it is not the last
        end with one component of class `compute`"#]],
    );
    let rows = |n: usize| -> String {
        (0..n)
            .map(|i| {
                parts[2]
                    .replace("rows", &format!("rows{i}"))
                    .replace("= 4", "= 1024")
            })
            .collect()
    };
    check_text(
        &format!("{head}{}{}{}", parts[0], rows(4), parts[3]),
        expect![[r#"
            35: name = "mac"
            the fan-outs make more than 1073741824 copies of the compute
            make a fan-out smaller"#]],
    );
    check_text(
        &format!("{head}{}{}{}", parts[0], rows(40), parts[3]),
        expect![[r#"
            170: name = "rows31"
            the tree has 42 components: 32 are the limit
            leave out what moves no data"#]],
    );
}

/// The tree with some characters replaced.
fn damaged() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("18446744073709551615".to_owned()),
        Just("-1".to_owned()),
        Just("\"".to_owned()),
        Just("[[component]]\n".to_owned()),
        ".{0,4}",
    ];
    let place = (0..TREE.len(), 0..12_usize, piece);
    prop::collection::vec(place, 1..4).prop_map(|places| {
        let mut text: Vec<char> = TREE.chars().collect();
        for (start, length, piece) in places {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

prop_compose! {
    fn memory(name: String)(
        size_bits in prop::option::of(1..=1_u64 << 50),
        keeps in prop::sample::subsequence(Role::ALL.to_vec(), 1..=3),
        may_bypass: bool,
        wide in prop::option::of(1..=64_u32),
        double_buffered: bool,
        reuse: bool,
        energies: (u32, u32),
        ports in prop::collection::vec((1_u32.., 0..3_usize), 0..3),
    ) -> Component {
        let port = |(bits, does): (u32, usize)| Port {
            does: [vec![Direction::Read], vec![Direction::Write], both_directions()][does].clone(),
            bits_per_cycle: f64::from(bits) / 16.0,
        };
        Component::Memory(Memory {
            name: name.clone(),
            size_bits,
            may_bypass: if may_bypass { keeps.clone() } else { Vec::new() },
            value_bits: wide.map(|bits| (keeps[0], bits)).into_iter().collect(),
            keeps,
            double_buffered,
            overlap: if reuse { Overlap::Reuse } else { Overlap::Refetch },
            read_pj_per_bit: f64::from(energies.0) / 1000.0,
            write_pj_per_bit: f64::from(energies.1) / 1000.0,
            ports: ports.into_iter().map(port).collect(),
        })
    }
}

prop_compose! {
    fn fanout(name: String)(
        size in 1..64_u64,
        ranks in prop::option::of(prop::collection::vec("[a-z]", 0..3)),
        shares in prop::sample::subsequence(Role::ALL.to_vec(), 0..=3),
        multicasts in prop::sample::subsequence(Role::ALL.to_vec(), 0..=3),
        reduces: bool,
    ) -> Component {
        Component::Fanout(Fanout { name: name.clone(), size, ranks, shares, multicasts, reduces })
    }
}

/// A text that the reader takes.
fn plain_text() -> impl Strategy<Value = String> {
    ".*".prop_map(|text| crate::text::line(&text).into_owned())
}

/// A legal tree of a few components.
fn tree() -> impl Strategy<Value = Tree> {
    let middle = prop::collection::vec(any::<bool>(), 0..6).prop_flat_map(|kinds| {
        let part = |(i, is_memory): (usize, bool)| {
            let name = format!("part{i}");
            if is_memory {
                memory(name).boxed()
            } else {
                fanout(name).boxed()
            }
        };
        kinds.into_iter().enumerate().map(part).collect::<Vec<_>>()
    });
    (
        plain_text(),
        plain_text(),
        1_u64..,
        middle,
        prop::option::of(1..=1_u64 << 20),
    )
        .prop_map(|(name, description, clock_hz, middle, lanes)| {
            let clock_hz = clock_hz.min(i64::MAX as u64);
            let mut tree = read("t.toml", TREE).expect("it is legal");
            let compute = Component::Compute(Compute {
                name: "mac".to_owned(),
                pj_per_operation: 0.25,
                vector: lanes.map(|lanes| VectorUnit {
                    lanes,
                    pj_per_operation: 0.125,
                }),
            });
            tree.components.truncate(1);
            tree.components.extend(middle);
            tree.components.push(compute);
            Tree {
                name,
                description,
                clock_hz,
                ..tree
            }
        })
}

proptest! {
    #[test]
    fn text_reads_back(tree in tree()) {
        let text = tree.to_toml();
        let back = read("t.toml", &text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(back.hash(), tree.hash());
        prop_assert_eq!(back, tree);
    }

    #[test]
    fn any_text_gives_an_error_at_most(text: String) {
        let _ = read("t.toml", &text);
    }

    #[test]
    fn a_damaged_tree_gives_an_error_at_most(text in damaged()) {
        if let Ok(tree) = read("t.toml", &text) {
            prop_assert!(tree.operations_per_cycle() >= 1);
            prop_assert!(tree.compute().pj_per_operation >= 0.0);
        }
    }
}

#[test]
fn hidden_characters_are_refused_where_they_stand() {
    for (key, text, shown) in [
        (
            "name",
            "a\\nb",
            "`name` is a\\u{a}b: must be one line of characters that print",
        ),
        (
            "description",
            "a\\u202eb",
            "`description` is a\\u{202e}b: must be one line of characters that print",
        ),
    ] {
        let line = format!("{key} = \"{text}\"");
        let old = TREE
            .lines()
            .find(|l| l.starts_with(key))
            .expect("the key is there");
        let file = TREE.replacen(old, &line, 1);
        let error = read("t.toml", &file).expect_err("it is refused");
        assert_eq!(error.to_string(), shown);
        let label = miette::Diagnostic::labels(&error)
            .expect("a place")
            .next()
            .expect("one");
        assert_eq!(&file[label.offset()..][..label.len()], line);
    }
}
