//! What cannot be read, each with its text; all faults of a file are named in one go.

use expect_test::{Expect, expect};
use miette::Diagnostic;
use proptest::prelude::*;

const SAMPLES: [(&str, &str); 7] = [
    (
        "timeloop_arch.yaml",
        include_str!("samples/timeloop_arch.yaml"),
    ),
    (
        "timeloop_problem.yaml",
        include_str!("samples/timeloop_problem.yaml"),
    ),
    (
        "timeloop_whole.yaml",
        include_str!("samples/timeloop_whole.yaml"),
    ),
    ("accelforge.yaml", include_str!("samples/accelforge.yaml")),
    (
        "accelforge_whole.yaml",
        include_str!("samples/accelforge_whole.yaml"),
    ),
    (
        "zigzag_accelerator.yaml",
        include_str!("samples/zigzag_accelerator.yaml"),
    ),
    (
        "zigzag_workload.yaml",
        include_str!("samples/zigzag_workload.yaml"),
    ),
];

fn sample(name: &str) -> &'static str {
    SAMPLES
        .iter()
        .find(|(n, _)| *n == name)
        .expect("the sample is there")
        .1
}

/// Makes some replacements in a sample and compares the error.
#[track_caller]
fn check(name: &str, replacements: &[(&str, &str)], expected: Expect) {
    let mut text = sample(name).to_owned();
    for (from, to) in replacements {
        assert!(text.contains(from), "`{from}` is not in the sample");
        text = text.replacen(from, to, 1);
    }
    check_text(&text, expected);
}

#[track_caller]
fn check_text(text: &str, expected: Expect) {
    let error = foreign::read("f.yaml", text).expect_err("the fault is found");
    assert_eq!(
        error.labels().expect("places").count(),
        error.findings().len()
    );
    for finding in error.findings() {
        assert!(
            text.get(finding.span.clone()).is_some(),
            "{finding}: {:?}",
            finding.span
        );
    }
    expected.assert_eq(&error.to_string());
}

#[test]
fn no_format() {
    check_text("", expect!["f.yaml: line 1, `the file`: empty"]);
    check_text(
        "a: [1, 2",
        expect![
            "f.yaml: line 2, `the file`: no YAML: while parsing a flow sequence, expected ',' or ']'"
        ],
    );
    check_text(
        "a: 1\n---\nb: 2",
        expect!["f.yaml: line 2, `the file`: a second document: only one is read"],
    );
    check_text(
        "a: 1\na: 2",
        expect!["f.yaml: line 2, `the file`: `a` is there already"],
    );
    check_text(
        "{[1]: 2}",
        expect!["f.yaml: line 1, `the file`: a key that is no text"],
    );
    check_text(
        "a: *b",
        expect!["f.yaml: line 1, `the file`: no YAML: while parsing node, found unknown anchor"],
    );
    check_text(
        "format: 1",
        expect![
            "f.yaml: line 1, `the file`: neither `architecture` or `problem` (Timeloop), `arch` or `workload` (AccelForge), `memories` with `operational_array`, nor a list of layers (ZigZag): name the file that has them; constraints, components and settings of a search are not read alone"
        ],
    );
    check_text(
        "just text",
        expect![
            "f.yaml: line 1, `the file`: neither `architecture` or `problem` (Timeloop), `arch` or `workload` (AccelForge), `memories` with `operational_array`, nor a list of layers (ZigZag): name the file that has them; constraints, components and settings of a search are not read alone"
        ],
    );
    check_text(
        &"[".repeat(100),
        expect!["f.yaml: line 1, `the file`: nested deeper than 64"],
    );
    check_text(
        "arch:\n  nodes: [{{NODES}}]\n{% set A = 1 %}\n# {{a comment}}\n",
        expect![
            "f.yaml: line 2, `the file`: a template (and 1 more): render it first, this reads plain YAML"
        ],
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let last = format!("*a{}", i - 1);
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![last; 10].join(", "));
    }
    check_text(
        &bomb,
        expect!["f.yaml: line 5, `the file`: more than 200000 values"],
    );
}

#[test]
fn timeloop() {
    let arch = "timeloop_arch.yaml";
    check(
        arch,
        &[("nodes:\n  - !Container", "subtree:\n  - !Container")],
        expect![
            "f.yaml: line 10, `architecture.subtree`: an architecture of Timeloop v3: write it with `nodes`, as v4 does, each component with a tag, and `PE[0..167]` as `spatial: {meshX: 168}`"
        ],
    );
    check(
        arch,
        &[
            ("!Parallel", "!Pipelined"),
            ("- !Component\n    name: DRAM", "- name: DRAM"),
            ("depth: 8 * kib", "depth: max(8, kib)"),
            ("class: intmac", "class: router"),
        ],
        expect![[r#"
            f.yaml: line 14, `architecture.nodes[1]`: a node without `!Component` or `!Container`
            line 22, `architecture.nodes[2].attributes.depth`: `max(8, kib)` is an expression that is not understood
            line 41, `architecture.nodes[4]`: `!Pipelined` is not here
            line 57, `architecture.nodes[5]`: class `router` is neither a memory nor a multiplier"#]],
    );
    check(
        arch,
        &[
            ("multiple_buffering: 2", "multiple_buffering: 3"),
            ("meshX: 16", "meshX: 2.5"),
            ("meshY: 4", "meshY: 0"),
            ("keep: [Inputs, Outputs]", "keep: [Inputs, Partials]"),
            ("read_bandwidth: 16", "read_bandwidth: -16"),
            (
                "{width: 64, datawidth: 8,",
                "{width: 64, datawidth: 8, metadata_storage_width: 8,",
            ),
        ],
        expect![[r#"
            f.yaml: line 17, `architecture.nodes[1].attributes.metadata_storage_width`: sparsity is not here
            line 19, `architecture.nodes[2]`: `multiple_buffering` is 3: 1 and 2 are here
            line 30, `architecture.nodes[2].constraints.dataspace.keep`: `Partials` is no data space of the problem
            line 34, `architecture.nodes[3].spatial.meshX`: is 2.5: a whole number from 1 to 1048576 is possible
            line 34, `architecture.nodes[3].spatial.meshY`: is 0: a whole number from 1 to 1048576 is possible"#]],
    );
    check(
        arch,
        &[("architecture:", "sparse_optimizations: {}\narchitecture:")],
        expect!["f.yaml: line 7, `sparse_optimizations`: sparsity is not here"],
    );
    check(
        arch,
        &[("        permutation: [N, C, P, Q, R, S, M]\n", "")],
        expect![
            "f.yaml: line 37, `architecture.nodes[3].constraints.spatial.factors`: excludes dimensions, but without `permutation` or `problem` no list of all is there"
        ],
    );

    let whole = "timeloop_whole.yaml";
    check(
        whole,
        &[
            (
                "dataspace: {keep: [Outputs]}",
                "dataspace: {keep: [Weights]}",
            ),
            ("name: chip", "name: chip[0..3]"),
            ("technology: \"45nm\", has_power", "datawidth: 8, has_power"),
            ("reduction_supported: True", "reduction_supported: False"),
            ("n_buffets: 1", "sizeKB: 128"),
            ("name: leak,", "name: read,"),
        ],
        expect![[r#"
            f.yaml: line 16, `architecture.nodes[0].attributes.datawidth`: a container hands no attributes on here: write it at the components inside
            line 28, `architecture.nodes[2].name`: `chip[0..3]`: how many there are stands in `spatial` as `meshX`
            line 45, `architecture.nodes[3].attributes.reduction_supported`: another value than where it is left out is not here
            line 47, `architecture.nodes[3].attributes.sizeKB`: is not here: say it with `depth`, `width` and `datawidth`
            line 76, `architecture.nodes[5].nodes[1]`: may keep what its neighbour keeps: say with `keep` what each of them has
            line 82, `architecture.nodes[5].nodes[2]`: may keep what its neighbour keeps: say with `keep` what each of them has
            line 141, `ERT.tables[0].actions[2]`: a second energy of `read` of `DRAM`: one is possible"#]],
    );
    check(
        whole,
        &[(
            "- !Component\n      name: ifmap_spad",
            "- !Container\n      name: row\n      spatial: {meshX: 2}\n    - !Component\n      name: ifmap_spad",
        )],
        expect![
            "f.yaml: line 70, `architecture.nodes[5].nodes[0]`: only memories can stand beside each other: put the rest behind `!Parallel`"
        ],
    );

    let problem = "timeloop_problem.yaml";
    check(
        problem,
        &[
            ("densities: {Inputs: 1.0}", "densities: {Inputs: 0.5}"),
            ("[P, Hstride]", "[P, Pstride]"),
            ("[[C]]", "[[D]]"),
            ("    M: 64\n", ""),
            ("read_write: True", "read_write: maybe"),
        ],
        expect![[r#"
            f.yaml: line 3, `problem`: no data space is written
            line 15, `problem.shape.data_spaces[0].projection[1][0]`: `D` is no dimension of the shape
            line 22, `problem.shape.data_spaces[1].projection[2][0]`: is no dimension with a coefficient of the shape
            line 26, `problem.shape.data_spaces[2].read_write`: must be true or false
            line 28, `problem.instance`: `M` is missing
            line 37, `problem.instance.densities.Inputs`: sparsity is not here"#]],
    );
    check(
        problem,
        &[("C: 16", "C: 0"), ("Hstride: 2", "Hstride: 0")],
        expect![[r#"
        f.yaml: line 30, `problem.instance.C`: is 0: a whole number from 1 to 16777215 is possible
        line 35, `problem.instance.Hstride`: is 0: a whole number from 1 to 65535 is possible"#]],
    );
    check(
        problem,
        &[
            ("M: 64", "M: 16777215"),
            ("C: 16", "C: 16777215"),
            ("P: 28", "P: 16777215"),
        ],
        expect!["f.yaml: line 3, `problem`: the ranks make more than 2^50 operations"],
    );
    check_text(
        "problem: {shape: cnn-layer, instance: {C: 1}}",
        expect![
            "f.yaml: line 1, `problem.shape`: the shape `cnn-layer` that Timeloop knows by name: write it out"
        ],
    );
}

#[test]
fn accelforge() {
    let name = "accelforge.yaml";
    check(
        name,
        &[
            (
                "size: 64 * 1024 * 8",
                "size: weight.bits_per_value if weight else 1",
            ),
            (
                "keep: ~Main, may_keep: input | output",
                "keep: ~Elsewhere, may_keep: [input]",
            ),
            ("reuse: input", "reuse: bias"),
            ("- !Container", "- !Network"),
            (
                "size: 8\n",
                "size: 8\n    energy_scale: 2\n    enabled: len(All) == 3\n",
            ),
        ],
        expect![[r#"
            f.yaml: line 16, `arch.nodes[1].size`: `weight.bits_per_value if weight else 1` is more than arithmetic of numbers
            line 22, `arch.nodes[1].tensors.keep`: `~Elsewhere` is no set of `input`, `weight` and `output`
            line 22, `arch.nodes[1].tensors.may_keep`: must be a text
            line 24, `arch.nodes[2]`: `!Network` is not here
            line 38, `arch.nodes[3].energy_scale`: a scale other than 1 is not here
            line 39, `arch.nodes[3].enabled`: a component that is there for some Einsums only"#]],
    );
    check(
        name,
        &[(
            "total_latency: max(a.n_calls / a.throughput for a in actions)\n",
            "\n",
        )],
        expect![
            "f.yaml: line 14, `arch.nodes[1]`: reads and writes share a port, but differ in throughput"
        ],
    );
    check(
        name,
        &[
            (
                "total_latency: max(a.n_calls / a.throughput for a in actions)",
                "total_latency: sum(a.n_calls for a in actions) / 32",
            ),
            (
                "bits_per_value: {output: 32}",
                "bits_per_value: {output: 3 * output.bits_per_value}",
            ),
        ],
        expect![[r#"
            f.yaml: line 17, `arch.nodes[1].total_latency`: a latency other than the sum or the maximum over the actions
            line 18, `arch.nodes[1].bits_per_value.output`: `3 * output.bits_per_value` is more than arithmetic of numbers"#]],
    );
    check(
        name,
        &[
            ("0 <= k < 2 * 20", "1 <= k < 40"),
            ("2 * q + r", "2 * q - r"),
            ("W2[n1, n2]", "W2[n1, n3]"),
        ],
        expect![[r#"
            f.yaml: line 54, `workload.einsums[0]`: `k` has no bound in `rank_sizes` or `iteration_space_shape`
            line 55, `workload.einsums[0].iteration_space_shape[0]`: is not of the form `0 <= m < 128`
            line 65, `workload.einsums[1].tensor_accesses[1].projection.C`: `2 * q - r` is no sum of multiples of ranks
            line 68, `workload.einsums[2]`: `n3` has no bound in `rank_sizes` or `iteration_space_shape`"#]],
    );
    check(
        name,
        &[
            ("projection: [m, n1], output: True", "projection: [m, n1]"),
            ("bits_per_value: {All: 8}", "bits_per_value: {weight: 8}"),
            (
                "{name: V, projection: [r]}",
                "{name: V, projection: [r], weight: True}",
            ),
        ],
        expect![[r#"
            f.yaml: line 51, `workload.bits_per_value.weight`: only `All` has a width here; write the others at the accesses
            line 54, `workload.einsums[0]`: 0 outputs: an Einsum has one
            line 64, `workload.einsums[1].tensor_accesses[0].weight`: is not understood; if nothing here depends on it, leave it out"#]],
    );
    check(
        name,
        &[(
            "Z[m, n2] = Y[m, n1] * W2[n1, n2]",
            "Z[m, n2] = Y[m, n1] * Y[n1, n2]",
        )],
        expect!["f.yaml: line 68, `workload.einsums[2]`: tensor `Y` occurs twice"],
    );
}

#[test]
fn accelforge_whole() {
    check(
        "accelforge_whole.yaml",
        &[
            ("keep: ~Intermediates, may_keep: All", "keep: weight"),
            (
                "skip_initial_output_write: True",
                "skip_initial_output_write: False",
            ),
            ("{name: leak, energy: 1e-12}", "{name: read, energy: 1e-12}"),
            ("usage_scale: 1", "usage_scale: 2"),
            ("variables:\n", "variables: !mine\n"),
        ],
        expect![[r#"
            f.yaml: line 2, `variables`: the tag `!mine` is not understood; if nothing here depends on it, leave it out
            line 11, `arch.nodes[0]`: the outermost memory keeps every tensor here
            line 21, `arch.nodes[0].actions[2]`: an action that is there already
            line 35, `arch.nodes[1].nodes[0].skip_initial_output_write`: outputs that begin with a value from above are not here
            line 50, `arch.nodes[1].nodes[1].spatial[0].usage_scale`: a scale other than 1 is not here"#]],
    );
}

#[test]
fn zigzag() {
    let accelerator = "zigzag_accelerator.yaml";
    check(
        accelerator,
        &[("unit_area: 1", "is_imc: true\n  adc_resolution: 8")],
        expect!["f.yaml: line 54, `operational_array`: compute in memory is not here"],
    );
    check(
        accelerator,
        &[
            ("served_dimensions: []", "served_dimensions: [D1]"),
            ("operands: [O]", "operands: [I3]"),
            ("type: read_write", "type: both"),
        ],
        expect![[r#"
            f.yaml: line 6, `memories.weight_register`: serves `D1`, which a memory outside of it does not: the axes that memories serve make no tree
            line 23, `memories.accumulator.operands`: `I3` is not `I1`, `I2` or `O`
            line 25, `memories.accumulator.ports[0]`: `both` is not `read`, `write` or `read_write`"#]],
    );
    check(
        accelerator,
        &[
            ("sizes: [16, 8]", "sizes: [16]"),
            ("r_cost: 32", "r_cost: cheap"),
        ],
        expect![[r#"
            f.yaml: line 29, `memories.buffer`: `r_cost` is missing
            line 30, `memories.buffer.r_cost`: `cheap` is more than arithmetic of numbers
            line 54, `operational_array`: 2 `dimensions`, but 1 `sizes`"#]],
    );
    check(
        accelerator,
        &[
            ("size: 1048576", "size: 0"),
            ("r_cost: 32\n", "\n"),
            (
                "name: r_port_2, type: read,",
                "name: r_port_2, type: read_write,",
            ),
        ],
        expect![[r#"
            f.yaml: line 29, `memories.buffer`: `r_cost` is missing
            line 29, `memories.buffer.size`: is 0: a whole number from 1 to 1125899906842624 is possible
            line 38, `memories.buffer.ports[1]`: a port of both directions beside one of a single direction"#]],
    );
    check(
        accelerator,
        &[("sizes: [16, 8]", "sizes: [16, 8388608]")],
        expect![
            "f.yaml: line 57, `operational_array.sizes[1]`: is 8388608: a whole number from 1 to 1048576 is possible"
        ],
    );

    check(
        accelerator,
        &[
            ("served_dimensions: [D2]", "served_dimensions: [D3]"),
            ("D1: [\"K, 16\"]", "D4: [\"K, 16\"]"),
        ],
        expect![[r#"
            f.yaml: line 18, `memories.accumulator`: serves `D3`, which is no axis of the array
            line 60, `dataflows.D4`: is no axis of the array"#]],
    );
    check_text(
        "- {name: default, spatial_mapping: {D1: [\"K, 32\"]}, memory_operand_links: {O: O}}",
        expect![
            "f.yaml: line 1, `the file`: a mapping of ZigZag: it is searched for, not read; what an axis may unroll stands in the accelerator as `dataflows`"
        ],
    );

    let workload = "zigzag_workload.yaml";
    check(
        workload,
        &[
            ("+=W[k][c][fy][fx]", "+=W[k][c](fy)[fx]"),
            ("ix=1*ox+1*fx", "ix=1*ox-1*fx"),
            ("loop_sizes: [1, 32, 14, 14]\n", "loop_sizes: [1, 32, 14]\n"),
        ],
        expect![[r#"
            f.yaml: line 2, `[0]`: `C](FY)[FX` is no rank of the einsum
            line 15, `[1].dimension_relations[0]`: `1*ox-1*fx` is no sum of multiples of ranks
            line 23, `[2]`: 4 `loop_dims`, but 3 `loop_sizes`"#]],
    );
    check(
        workload,
        &[
            ("loop_dims: [B, K, C, OY,", "loop_dims: [B, K, D, OY,"),
            ("  operator_type: Add\n", ""),
        ],
        expect![[r#"
        f.yaml: line 2, `[0]`: `C` is no rank of the einsum
        line 23, `[2]`: `operator_type` is missing"#]],
    );
    check(
        workload,
        &[("- id: 2", "- id: 1")],
        expect!["f.yaml: line 23, `[2]`: its `id` is there already"],
    );
}

/// A sample with some characters replaced.
fn damaged() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("18446744073709551615".to_owned()),
        Just("-1".to_owned()),
        Just("1e400".to_owned()),
        Just("((((".to_owned()),
        Just("inf".to_owned()),
        Just("\n- ".to_owned()),
        Just(": ".to_owned()),
        Just("*transfer".to_owned()),
        "[*&!|>{}\\[\\],:#%@`]{1,3}",
        ".{0,4}",
    ];
    let places = prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, piece), 1..5);
    (0..SAMPLES.len(), places).prop_map(|(sample, places)| {
        let mut text: Vec<char> = SAMPLES[sample].1.chars().collect();
        for (start, length, piece) in places {
            let start = start.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_gives_an_error_at_most(text: String) {
        let _ = foreign::read("f.yaml", &text);
    }

    /// What still reads is legal, and what does not has places in the text.
    #[test]
    fn a_damaged_file_gives_an_error_at_most(text in damaged()) {
        match foreign::read("f.yaml", &text) {
            Ok(foreign) => {
                if let Some(tree) = foreign.tree {
                    let text = tree.to_toml();
                    prop_assert_eq!(ir::tree::read("t.toml", &text).expect("it is legal"), tree);
                }
                if let Some(workload) = foreign.workload {
                    let text = workload.to_toml();
                    prop_assert_eq!(ir::workload::read("w.toml", &text).expect("it is legal"), workload);
                }
            }
            Err(error) => {
                prop_assert!(!error.findings().is_empty());
                for finding in error.findings() {
                    prop_assert!(text.get(finding.span.clone()).is_some(), "{} {:?}", finding, finding.span);
                    prop_assert!(finding.line >= 1);
                }
            }
        }
    }
}
