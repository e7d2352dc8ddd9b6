//! Faults of workload files, each with its text, and what holds for any text.

use expect_test::{Expect, expect};
use miette::Diagnostic;
use proptest::prelude::*;

use super::*;

const WORKLOAD: &str = r#"format = 1
name = "w"

[[einsum]]
name = "conv"
equation = "O[m, p, q] += I[c, 2*p+r, q+2*s] * W[m, c, r, s]"
ranks = { m = 64, c = 3, p = 112, q = 56, r = 7, s = 7 }
repeat = 2
bits = { W = 4 }
partial_bits = 24

[[einsum]]
name = "scale"
equation = "Y[m, p, q] = O[m, p, q] * G[m]"
ranks = { m = 64, p = 112, q = 56 }
unit = "vector"
weights = ["G"]
"#;

const EQUATION: &str = "O[m, p, q] += I[c, 2*p+r, q+2*s] * W[m, c, r, s]";

/// Replaces `from` by `to` in the workload above and compares place, message and help.
#[track_caller]
fn check(from: &str, to: &str, expected: Expect) {
    assert!(WORKLOAD.contains(from), "`{from}` is not in the workload");
    let text = WORKLOAD.replacen(from, to, 1);
    let error = read("w.toml", &text).expect_err("the fault is found");
    let span = error.labels().expect("a place").next().expect("one place");
    let place = &text[span.offset()..span.offset() + span.len()];
    let line = text[..span.offset()].lines().count().max(1);
    let help = error.help().expect("help");
    expected.assert_eq(&format!(
        "{line}: {}\n{error}\n{help}",
        place.lines().next().unwrap_or("")
    ));
}

/// Puts `equation` in the place of the first one and compares the message; place and help are those of every equation.
#[track_caller]
fn equation(equation: &str, expected: Expect) {
    let error =
        read("w.toml", &WORKLOAD.replacen(EQUATION, equation, 1)).expect_err("the fault is found");
    expected.assert_eq(&error.to_string());
}

#[test]
fn the_workload_is_legal() {
    let workload = read("w.toml", WORKLOAD).expect("it is legal");
    let [conv, scale] = workload.einsums.as_slice() else {
        panic!("two einsums")
    };
    assert_eq!(conv.n_operations(), 64 * 3 * 112 * 56 * 49);
    assert_eq!(conv.equation(), EQUATION);
    assert_eq!(scale.equation(), "Y[m, p, q] = O[m, p, q] * G[m]");
    let sizes: Vec<u64> = conv.operands[0].dimensions.iter().map(|d| d.size).collect();
    assert_eq!(sizes, [3, 2 * 111 + 6 + 1, 55 + 2 * 6 + 1]);
    let roles: Vec<Role> = conv.operands.iter().map(|o| o.role).collect();
    assert_eq!(roles, [Role::Input, Role::Weights, Role::Output]);
    let bits: Vec<(u32, u32)> = conv
        .operands
        .iter()
        .map(|o| (o.bits, o.partial_bits))
        .collect();
    assert_eq!(bits, [(8, 8), (4, 4), (8, 24)]);
    assert!(conv.operands[0].slides_over("p") && !conv.operands[0].slides_over("c"));
    assert!(!conv.operands[1].depends_on("p"));
    assert_ne!(conv.shape(), scale.shape());
}

/// The example at the top of the module is legal.
#[test]
fn the_example_reads() {
    let source = include_str!("../workload.rs");
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
    check(
        "format = 1",
        "",
        expect![[r#"
        1: 
        missing field `format`
        `docs/reference/workload.md` lists every key"#]],
    );
    check(
        "format = 1",
        "format = 1\nkind = \"tree\"",
        expect![[r#"
        1: kind
        unknown field `kind`, expected one of `format`, `name`, `einsum`
        `docs/reference/workload.md` lists every key"#]],
    );
    check(
        "repeat",
        "repeats",
        expect![[r#"
        7: repeats
        unknown field `repeats`, expected one of `name`, `equation`, `ranks`, `repeat`, `unit`, `weights`, `bits`, `partial_bits`
        `docs/reference/workload.md` lists every key"#]],
    );
    check(
        "\"vector\"",
        "\"scalar\"",
        expect![[r#"
        16: "scalar"
        unknown variant `scalar`, expected `mac` or `vector`
        `docs/reference/workload.md` lists every key"#]],
    );
    check(
        "repeat = 2",
        "repeat = -2",
        expect![[r#"
        8: -2
        invalid value: integer `-2`, expected u64
        `docs/reference/workload.md` lists every key"#]],
    );
    check(
        "ranks = { m = 64, p",
        "ranks = { m = 64, m = 64, p",
        expect![[r#"
            15: m
            duplicate key
            `docs/reference/workload.md` lists every key"#]],
    );
    check(
        &WORKLOAD[WORKLOAD.find("[[").expect("einsums")..],
        "",
        expect![[r#"
            2: "w"
            the workload has no einsum
            write one under `[[einsum]]`"#]],
    );
}

#[test]
fn faults_of_the_values() {
    check(
        "format = 1",
        "format = 2",
        expect![[r#"
        1: 2
        `format` is 2: 1 is the only version
        write `format = 1`"#]],
    );
    check(
        "\"scale\"",
        "\"conv\"",
        expect![[r#"
        13: "conv"
        einsum `conv` is there already
        names are unique in a workload"#]],
    );
    check(
        "repeat = 2",
        "repeat = 0",
        expect![[r#"
        8: 0
        `repeat` is 0: 1 to 4294967295 is possible
        choose a number in this range"#]],
    );
    check(
        "repeat = 2",
        "repeat = 9223372036854775807",
        expect![[r#"
        8: 9223372036854775807
        `repeat` is 9223372036854775807: 1 to 4294967295 is possible
        choose a number in this range"#]],
    );
    check(
        "{ W = 4 }",
        "{ W = 0 }",
        expect![[r#"
        9: 0
        `bits.W` is 0: 1 to 64 is possible
        choose a number in this range"#]],
    );
    check(
        "{ W = 4 }",
        "{ X = 4 }",
        expect![[r#"
        9: 4
        `bits` names `X`, which is no tensor of the equation
        name a tensor of the equation"#]],
    );
    check(
        "partial_bits = 24",
        "partial_bits = 65",
        expect![[r#"
        10: 65
        `partial_bits` is 65: 1 to 64 is possible
        choose a number in this range"#]],
    );
    check(
        "[\"G\"]",
        "[\"G\", \"Y\"]",
        expect![[r#"
        17: "Y"
        `weights` names `Y`, which is no input of the equation
        name an input of the equation"#]],
    );
    check(
        "m = 64",
        "m = 0",
        expect![[r#"
        7: { m = 0, c = 3, p = 112, q = 56, r = 7, s = 7 }
        the bound of rank `m` is 0: 1 to 16777215 is possible
        write `ranks = { m = 64, c = 32 }`"#]],
    );
    check(
        "m = 64",
        "m = 16777216",
        expect![[r#"
        7: { m = 16777216, c = 3, p = 112, q = 56, r = 7, s = 7 }
        the bound of rank `m` is 16777216: 1 to 16777215 is possible
        write `ranks = { m = 64, c = 32 }`"#]],
    );
    check(
        "m = 64",
        "m = \"64\"",
        expect![[r#"
        7: { m = "64", c = 3, p = 112, q = 56, r = 7, s = 7 }
        the bound of rank `m` is "64": 1 to 16777215 is possible
        write `ranks = { m = 64, c = 32 }`"#]],
    );
    check(
        "m = 64",
        "m = 64, \"m n\" = 2",
        expect![[r#"
        7: { m = 64, "m n" = 2, c = 3, p = 112, q = 56, r = 7, s = 7 }
        `m n` is no name of a rank
        write `ranks = { m = 64, c = 32 }`"#]],
    );
    check(
        "m = 64",
        "m = 64, n = 2",
        expect![[r#"
        7: { m = 64, n = 2, c = 3, p = 112, q = 56, r = 7, s = 7 }
        rank `n` indexes no tensor
        remove it, or use it in the equation"#]],
    );
    check(
        "m = 64, c = 3, p = 112",
        "m = 16777215, c = 16777215, p = 16777215",
        expect![[r#"
            7: { m = 16777215, c = 16777215, p = 16777215, q = 56, r = 7, s = 7 }
            the ranks make more than 2^50 operations
            write `ranks = { m = 64, c = 32 }`"#]],
    );
    let many: Vec<String> = (0..13).map(|i| format!("x{i} = 16777215")).collect();
    check(
        "m = 64",
        &many.join(", "),
        expect![[r#"
        7: { x0 = 16777215, x1 = 16777215, x2 = 16777215, x3 = 16777215, x4 = 16777215, x5 = 16777215, x6 = 16777215, x7 = 16777215, x8 = 16777215, x9 = 16777215, x10 = 16777215, x11 = 16777215, x12 = 16777215, c = 3, p = 112, q = 56, r = 7, s = 7 }
        18 ranks: 12 are the limit
        write `ranks = { m = 64, c = 32 }`"#]],
    );
    let twelve: Vec<String> = (0..12).map(|i| format!("x{i} = 16777215")).collect();
    check(
        "{ m = 64, c = 3, p = 112, q = 56, r = 7, s = 7 }",
        &format!("{{ {} }}", twelve.join(", ")),
        expect![[r#"
            7: { x0 = 16777215, x1 = 16777215, x2 = 16777215, x3 = 16777215, x4 = 16777215, x5 = 16777215, x6 = 16777215, x7 = 16777215, x8 = 16777215, x9 = 16777215, x10 = 16777215, x11 = 16777215 }
            the ranks make more than 2^50 operations
            write `ranks = { m = 64, c = 32 }`"#]],
    );
    check(
        "c = 3, p = 112, q = 56, r = 7, s = 7 }\nrepeat = 2",
        "c = 30, p = 112, q = 56, r = 7, s = 7 }\nrepeat = 4294967295",
        expect![[r#"
        5: "conv"
        the workload makes more than 2^60 operations
        lower `repeat`"#]],
    );
}

#[test]
fn faults_of_the_equation() {
    equation("", expect!["the equation has no `=`"]);
    equation(
        "O[m, p, q] += ",
        expect!["`` is not a tensor with indices in brackets"],
    );
    equation(
        "+= I[c] * W[m]",
        expect!["`` is not a tensor with indices in brackets"],
    );
    equation(
        "O[m, p, q] ++= I[c, p+r, q+s] * W[m, c, r, s]",
        expect!["`O[m, p, q] +` is not a tensor with indices in brackets"],
    );
    equation(
        "O[m, p, q] == I[c, p+r, q+s] * W[m, c, r, s]",
        expect!["`= I` is no name of a tensor"],
    );
    equation(
        "O[m, p, q] = I[c, p+r, q+s] * W[m, c, r, s]",
        expect!["rank `c` does not index the output, so `=` must be `+=`"],
    );
    equation(
        "O[m, p, q] += I[c, p+r, q+s] * I[m, c, r, s]",
        expect!["tensor `I` occurs twice in the equation"],
    );
    equation(
        "O[m, p, q] += I[c, p+r, q+s] * W[m, c, r, t]",
        expect!["`t` is no rank of the einsum"],
    );
    equation(
        "O[m, p, q] += I[c, p+p, q+s] * W[m, c, r, s]",
        expect!["rank `p` occurs twice in `p+p`"],
    );
    equation(
        "O[m, p, q] += I[c, 0*p+r, q+s] * W[m, c, r, s]",
        expect!["`0` is not a factor from 1 to 65535"],
    );
    equation(
        "O[m, p, q] += I[c, 65536*p+r, q+s] * W[m, c, r, s]",
        expect!["`65536` is not a factor from 1 to 65535"],
    );
    equation(
        "O[m, p, q] += I[c, -1*p+r, q+s] * W[m, c, r, s]",
        expect!["`-1` is not a factor from 1 to 65535"],
    );
    equation(
        "O[m, p, q] += I[c, p+1, q+s] * W[m, c, r, s]",
        expect!["`1` is no rank of the einsum"],
    );
    equation(
        "O[m, p, q] += I[c, , q+s] * W[m, c, r, s]",
        expect!["`` is no rank of the einsum"],
    );
    equation(
        "O[m, p, q] += I[c, p+r, q+s * W[m, c, r, s]",
        expect!["`s` is not a factor from 1 to 65535"],
    );
    equation(
        "O[m, p, q] += I[c, p+r, q+s]] * W[m, c, r, s]",
        expect!["`s]]` is not a factor from 1 to 65535"],
    );
    equation(
        "O[m, p, q] += I c * W[m, c, r, s]",
        expect!["`I c` is not a tensor with indices in brackets"],
    );
    equation(
        "O 1[m, p, q] += I[c, p+r, q+s] * W[m, c, r, s]",
        expect!["`O 1` is no name of a tensor"],
    );
    let index = ["65535*p+65535*m"; 4].join(", ");
    equation(
        &format!("O[m, p, q] += I[{index}] * W[m, c, r, s]"),
        expect!["tensor `I` has more than 2^50 values"],
    );
}

/// The workload with some characters replaced.
fn damaged() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("16777215".to_owned()),
        Just("65535*".to_owned()),
        Just("[p, p, p]".to_owned()),
        Just("[[einsum]]\n".to_owned()),
        "[*+=,\\[\\] ]{1,3}",
        ".{0,4}",
    ];
    let place = (0..WORKLOAD.len(), 0..12_usize, piece);
    prop::collection::vec(place, 1..4).prop_map(|places| {
        let mut text: Vec<char> = WORKLOAD.chars().collect();
        for (start, length, piece) in places {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

/// The text of a legal einsum: up to four ranks, up to three inputs.
fn einsum_text() -> impl Strategy<Value = String> {
    let index = prop::sample::subsequence(vec!["a", "b", "2*a+c", "c+3*d", "d", "a+b+c+d"], 0..4);
    (
        (1..40_u32, 1..40_u32, 1..9_u32, 1..9_u32),
        prop::collection::vec(index, 1..4),
        (1..100_u32, any::<bool>(), any::<bool>(), 1..=64_u32, 1..=64_u32),
    )
        .prop_map(|((a, b, c, d), inputs, (repeat, vector, last_is_weights, bits, partial_bits))| {
            let mut inputs: Vec<String> =
                inputs.iter().enumerate().map(|(i, index)| format!("T{i}[{}]", index.join(", "))).collect();
            inputs.push("All[a, b, c, d]".to_owned());
            let unit = if vector { "vector" } else { "mac" };
            let weights = if last_is_weights { "[\"All\"]" } else { "[]" };
            format!(
                "equation = \"O[a, b+c] += {}\"\nranks = {{ a = {a}, b = {b}, c = {c}, d = {d} }}\nrepeat = {repeat}\n\
                 unit = \"{unit}\"\nweights = {weights}\nbits = {{ All = {bits}, O = 9 }}\npartial_bits = {partial_bits}\n",
                inputs.join(" * ")
            )
        })
}

proptest! {
    #[test]
    fn text_reads_back(name: String, einsums in prop::collection::vec(einsum_text(), 1..4)) {
        let einsum = |(i, text): (usize, &String)| format!("[[einsum]]\nname = \"e{i}\"\n{text}");
        let einsums: Vec<String> = einsums.iter().enumerate().map(einsum).collect();
        let text = format!("format = 1\nname = \"n\"\n{}", einsums.join("\n"));
        let mut workload = read("w.toml", &text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        workload.name = crate::text::line(&name).into_owned();
        let printed = workload.to_toml();
        let back = read("w.toml", &printed).map_err(|e| TestCaseError::fail(format!("{e}\n{printed}")))?;
        prop_assert_eq!(back, workload);
    }

    #[test]
    fn any_text_gives_an_error_at_most(text: String) {
        let _ = read("w.toml", &text);
    }

    #[test]
    fn a_damaged_workload_gives_an_error_at_most(text in damaged()) {
        if let Ok(workload) = read("w.toml", &text) {
            for einsum in &workload.einsums {
                prop_assert!(einsum.n_operations() >= 1);
                prop_assert!(einsum.operands.iter().all(|o| o.n_values() >= 1));
            }
            prop_assert_eq!(read("w.toml", &workload.to_toml()).expect("it reads back"), workload);
        }
    }
}

#[test]
fn hidden_characters_in_names_are_refused() {
    let file = |workload: &str, einsum: &str| {
        format!(
            "format = 1\nname = \"{workload}\"\n[[einsum]]\nname = \"{einsum}\"\n\
             equation = \"O[m] = I[m]\"\nranks = {{ m = 4 }}\n"
        )
    };
    read("w.toml", &file("ä b", "größer")).expect("both print");
    for (text, message) in [
        (
            file("a\\nb", "e"),
            "`name` is no name: `\\u{a}` stands in it, a character that does not print",
        ),
        (
            file("a", "\\u001b[2J"),
            "`einsum.name` is no name: `\\u{1b}` stands in it, a character that does not print",
        ),
    ] {
        assert_eq!(
            read("w.toml", &text)
                .expect_err("it is refused")
                .to_string(),
            message
        );
    }
}
