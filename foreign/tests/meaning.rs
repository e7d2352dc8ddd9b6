//! What is read of each format: whole files of our own, after the documentation of the formats.

use expect_test::{Expect, expect};
use foreign::{Finding, Foreign};
use ir::tree::{Component, Tree};
use ir::workload::Workload;

/// Reads a sample and compares everything that comes of it, one line each.
#[track_caller]
fn check(sample: &str, expected: Expect) {
    let path = format!("{}/tests/samples/{sample}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the sample is there");
    let foreign = foreign::read(sample, &text).unwrap_or_else(|e| panic!("{e}"));
    expected.assert_eq(&print(&foreign));
}

fn print(foreign: &Foreign) -> String {
    let mut lines = vec![foreign.format.name().to_owned()];
    lines.extend(foreign.tree.iter().flat_map(tree));
    lines.extend(foreign.workload.iter().flat_map(workload));
    lines.extend(foreign.ignored.iter().map(Finding::to_string));
    lines.join("\n") + "\n"
}

fn tree(tree: &Tree) -> Vec<String> {
    let back = ir::tree::read("back", &tree.to_toml()).expect("it reads back");
    assert_eq!(back, *tree);
    let component = |component: &Component| match component {
        Component::Memory(m) => {
            let doubled = if m.double_buffered { " doubled" } else { "" };
            let ports: Vec<String> = m
                .ports
                .iter()
                .map(|p| format!("{:?}:{}", p.does, p.bits_per_cycle))
                .collect();
            format!(
                "memory {} {:?} keeps {:?} bypass {:?} bits {:?}{doubled} pj {} {} ports {}",
                m.name,
                m.size_bits,
                m.keeps,
                m.may_bypass,
                m.value_bits,
                m.read_pj_per_bit,
                m.write_pj_per_bit,
                ports.join(" ")
            )
        }
        Component::Fanout(f) => format!(
            "fanout {} {} ranks {:?} shares {:?} multicasts {:?} reduces {}",
            f.name, f.size, f.ranks, f.shares, f.multicasts, f.reduces
        ),
        Component::Compute(c) => format!("compute {} pj {}", c.name, c.pj_per_operation),
    };
    let mut lines = vec![format!("tree {} at {} Hz", tree.name, tree.clock_hz)];
    lines.extend(tree.components.iter().map(component));
    lines
}

fn workload(workload: &Workload) -> Vec<String> {
    let einsum = |e: &ir::workload::Einsum| {
        format!("{} x{}: {} {}", e.name, e.repeat, e.equation(), e.shape())
    };
    let mut lines = vec![format!("workload {}", workload.name)];
    lines.extend(workload.einsums.iter().map(einsum));
    lines
}

#[test]
fn timeloop_architecture() {
    check(
        "timeloop_arch.yaml",
        expect![[r#"
            Timeloop v4
            tree timeloop_arch at 500000000 Hz
            memory DRAM None keeps [Input, Weights, Output] bypass [] bits {Input: 8, Weights: 8, Output: 8} pj 8 10 ports [Read, Write]:64
            memory buffer Some(524288) keeps [Input, Output] bypass [] bits {Input: 8, Output: 8} doubled pj 0.25 0.375 ports [Read]:128 [Write]:64
            fanout PEX 16 ranks Some(["C", "R", "S", "M"]) shares [] multicasts [Input] reduces true
            fanout PEY 4 ranks Some(["C", "R", "S", "M"]) shares [] multicasts [Input] reduces true
            memory weight_register Some(8) keeps [Weights] bypass [] bits {Weights: 8} pj 0.01 0.01 ports 
            memory sum_register Some(256) keeps [Output] bypass [] bits {Output: 16} pj 0.01 0 ports 
            compute mac pj 0.2
            line 12, `architecture.nodes[0].attributes.technology`: is for the energy and area of Accelergy
            line 37, `architecture.nodes[3].constraints.spatial.permutation`: as an order narrows the search only; mappings outside it are found too
            line 39, `architecture.nodes[3].constraints.spatial.split`: narrows the search only; mappings outside it are found too
            line 50, `architecture.nodes[4].nodes[0].constraints.temporal.permutation`: narrows the search only; mappings outside it are found too
            line 51, `architecture.nodes[4].nodes[1]`: the ERT has no `write` of `sum_register`: its energy is 0
            line 61, `architecture.nodes[5].attributes`: is for the energy and area of Accelergy
        "#]],
    );
}

#[test]
fn timeloop_problem() {
    check(
        "timeloop_problem.yaml",
        expect![[r#"
            Timeloop v4
            workload timeloop_problem
            conv x1: Outputs[N, M, P, Q] += Weights[M, C, R, S] * Inputs[N, C, 2*P+R, 2*Q+3*S] Mac N=1 M=64 C=16 P=28 Q=28 R=3 S=3 weights:8/8[M, C, R, S] input:8/8[N, C, 2*P+R, 2*Q+3*S] output:8/32[N, M, P, Q]
            line 3, `problem`: no widths in the format: 8 bits, and 32 of a partial sum, where a memory has no `datawidth`
            line 40, `mapper`: steers the search of Timeloop
        "#]],
    );
}

#[test]
fn accelforge() {
    check(
        "accelforge.yaml",
        expect![[r#"
            AccelForge 1.0
            tree accelforge at 500000000 Hz
            memory Main None keeps [Input, Weights, Output] bypass [] bits {} pj 10 10 ports [Read, Write]:128
            memory Buffer Some(524288) keeps [Input, Output] bypass [Input, Output] bits {Output: 32} pj 0.125 0.25 ports [Read]:256 [Write]:128
            fanout columns 8 ranks None shares [Input] multicasts [Input] reduces false
            fanout rows 4 ranks Some(["k", "r"]) shares [] multicasts [] reduces true
            memory Register Some(8) keeps [Weights] bypass [] bits {} pj 0 0 ports 
            compute MAC pj 0.25
            workload accelforge
            First x1: Y[m, n1] += X[m, k] * W1[k, n1] Mac m=32 k=40 n1=24 input:8/8[m, k] weights:8/8[k, n1] output:16/16[m, n1]
            Window x3: T[q] += V[r] * U[2*q+r] Mac r=3 q=10 weights:8/8[r] input:8/8[2*q+r] output:8/8[q]
            Z x1: Z[m, n2] += Y[m, n1] * W2[n1, n2] Mac m=32 n2=16 n1=24 input:8/8[m, n1] weights:8/8[n1, n2] output:8/8[m, n2]
            line 27, `arch.nodes[2].spatial[0].min_usage`: narrows the search only; mappings outside it are found too
            line 33, `arch.nodes[2].spatial[1].loop_bounds[1]`: narrows the search only; mappings outside it are found too
            line 38, `arch.nodes[3].leak_power`: leakage is not here
            line 52, `workload.persistent_tensors`: does not change what one Einsum costs
        "#]],
    );
}

#[test]
fn zigzag_accelerator() {
    check(
        "zigzag_accelerator.yaml",
        expect![[r#"
            ZigZag 3.9
            tree small at 1000000000 Hz
            memory dram None keeps [Input, Weights, Output] bypass [] bits {} pj 10 11 ports [Read, Write]:64
            memory buffer Some(1048576) keeps [Input, Weights, Output] bypass [] bits {} doubled pj 0.25 0.375 ports [Read]:192 [Write]:128
            fanout D1 16 ranks Some(["K"]) shares [] multicasts [Input, Weights] reduces true
            memory accumulator Some(4096) keeps [Output] bypass [] bits {} pj 0.05 0.1 ports [Read, Write]:32
            fanout D2 8 ranks Some(["C", "FX"]) shares [] multicasts [Input, Weights] reduces true
            memory weight_register Some(8) keeps [Weights] bypass [] bits {} pj 0.01 0.02 ports [Read]:8 [Write]:8
            compute operational_array pj 0.2
            line 2, `the file`: no clock in the format: it is 1 GHz
            line 9, `memories.weight_register.area`: is not in the cost model
            line 10, `memories.weight_register.latency`: is not in the cost model
            line 13, `memories.weight_register.ports[0].bandwidth_min`: is not in the cost model
            line 13, `memories.weight_register.ports[0].allocation`: is not in the cost model
            line 14, `memories.weight_register.ports[1].bandwidth_min`: is not in the cost model
            line 14, `memories.weight_register.ports[1].allocation`: is not in the cost model
            line 21, `memories.accumulator.area`: is not in the cost model
            line 22, `memories.accumulator.latency`: is not in the cost model
            line 25, `memories.accumulator.ports[0].bandwidth_min`: is not in the cost model
            line 25, `memories.accumulator.ports[0].allocation`: is not in the cost model
            line 32, `memories.buffer.area`: is not in the cost model
            line 33, `memories.buffer.latency`: is not in the cost model
            line 37, `memories.buffer.ports[0].bandwidth_min`: is not in the cost model
            line 37, `memories.buffer.ports[0].allocation`: is not in the cost model
            line 38, `memories.buffer.ports[1]`: added to the port of the same directions, which every operand may use
            line 38, `memories.buffer.ports[1].bandwidth_min`: is not in the cost model
            line 38, `memories.buffer.ports[1].allocation`: is not in the cost model
            line 39, `memories.buffer.ports[2].bandwidth_min`: is not in the cost model
            line 39, `memories.buffer.ports[2].allocation`: is not in the cost model
            line 43, `memories.dram.size`: the outermost memory is as large as needed
            line 46, `memories.dram.area`: is not in the cost model
            line 47, `memories.dram.latency`: is not in the cost model
            line 50, `memories.dram.ports[0].bandwidth_min`: is not in the cost model
            line 50, `memories.dram.ports[0].allocation`: is not in the cost model
            line 55, `operational_array.unit_area`: is not in the cost model
            line 60, `dataflows.D1[0]`: the size of the loop narrows the search only; mappings outside it are found too
            line 61, `dataflows.D2[0]`: the size of the loop narrows the search only; mappings outside it are found too
            line 61, `dataflows.D2[1]`: the size of the loop narrows the search only; mappings outside it are found too
        "#]],
    );
}

#[test]
fn zigzag_workload() {
    check(
        "zigzag_workload.yaml",
        expect![[r#"
            ZigZag 3.9
            workload zigzag_workload
            Layer0 x1: O0[B, K, OY, OX] += I0[B, C, 2*OY+3*FY, 2*OX+FX] * W0[K, C, FY, FX] Mac B=1 K=32 C=3 OY=14 OX=14 FY=3 FX=3 input:8/8[B, C, 2*OY+3*FY, 2*OX+FX] weights:4/4[K, C, FY, FX] output:8/16[B, K, OY, OX]
            pool x1: O1[B, G, OY, OX] += O0[B, G, OY+FY, OX+FX] Vector B=1 G=32 OY=14 OX=14 FX=3 FY=3 input:8/8[B, G, OY+FY, OX+FX] output:8/16[B, G, OY, OX]
            Layer2 x1: O2[B, G, OY, OX] = O1[B, G, OY, OX] * O0[B, G, OY, OX] Vector B=1 G=32 OY=14 OX=14 input:8/8[B, G, OY, OX] weights:8/8[B, G, OY, OX] output:8/16[B, G, OY, OX]
            line 19, `[1].operand_source.W`: an operand of 0 bits is none
            line 20, `[1].pr_loop_dims`: padding is part of the input here
            line 21, `[1].padding`: padding is part of the input here
        "#]],
    );
}

#[test]
fn timeloop_older_problem() {
    check(
        "timeloop_older_problem.yaml",
        expect![[r#"
        Timeloop v4
        workload timeloop_older_problem
        CNN-Layer x1: Outputs[N, M, Q, P] += Weights[C, M, R, S] * Inputs[N, C, R+P, S+Q] Mac C=48 M=256 R=5 S=5 N=1 P=27 Q=27 weights:8/8[C, M, R, S] input:8/8[N, C, R+P, S+Q] output:8/32[N, M, Q, P]
        line 3, `problem`: no widths in the format: 8 bits, and 32 of a partial sum, where a memory has no `datawidth`
        line 37, `problem.instance.Wpad`: is neither a dimension nor a coefficient of the shape
    "#]],
    );
}

/// Every kind of constraint and setting that users write at once.
#[test]
fn timeloop_whole() {
    check(
        "timeloop_whole.yaml",
        expect![[r#"
            Timeloop v4
            tree timeloop_whole at 1000000000 Hz
            memory DRAM None keeps [Input, Weights, Output] bypass [] bits {Input: 16, Weights: 16, Output: 16} pj 8 8 ports 
            memory shared_glb Some(1048576) keeps [Input, Output] bypass [] bits {Input: 16, Output: 16} pj 0 0 ports [Read]:256 [Write]:256
            fanout PEX 14 ranks Some(["C", "M", "R", "S", "Q"]) shares [] multicasts [Input, Weights] reduces true
            fanout PEY 12 ranks Some(["C", "M", "R", "S", "Q"]) shares [] multicasts [Input, Weights] reduces true
            memory ifmap_spad Some(192) keeps [Input] bypass [] bits {Input: 16} pj 0 0 ports 
            memory weights_spad Some(3072) keeps [Weights] bypass [] bits {Weights: 16} pj 0 0 ports 
            memory psum_spad Some(256) keeps [Output] bypass [] bits {Output: 16} pj 0 0 ports 
            compute mac pj 2.2
            workload timeloop_whole
            CNN_Layer x1: Outputs[N, M, Q, P] += Weights[C, M, R, S] * Inputs[N, C, R+P, S+2*Q] Mac C=4 M=6 R=3 S=3 N=1 P=5 Q=5 weights:8/8[C, M, R, S] input:8/8[N, C, R+P, S+2*Q] output:8/32[N, M, Q, P]
            line 4, `variables.technology`: is no number
            line 9, `variables.cell_width`: no expression that is read names it
            line 16, `architecture.nodes[0].attributes.technology`: is for the energy and area of Accelergy
            line 16, `architecture.nodes[0].attributes.has_power_gating`: leakage is not here
            line 21, `architecture.nodes[1].subclass`: is for the energy and area of Accelergy
            line 22, `architecture.nodes[1].attributes.type`: is for the energy and area of Accelergy
            line 22, `architecture.nodes[1].attributes.block_size`: is for the energy and area of Accelergy
            line 23, `architecture.nodes[1].required_actions`: is for the energy and area of Accelergy
            line 25, `architecture.nodes[1].constraints.temporal.permutation`: narrows the search only; mappings outside it are found too
            line 30, `architecture.nodes[2].constraints.spatial`: constrains a fan-out, and without `meshX` or `meshY` is none
            line 31, `architecture.nodes[2].constraints.dataspace`: only a memory keeps anything
            line 32, `architecture.nodes[2].constraints.temporal.factors`: narrows the search only; mappings outside it are found too
            line 34, `architecture.nodes[3]`: the ERT has no `read` of `shared_glb`: its energy is 0
            line 34, `architecture.nodes[3]`: the ERT has no `write` of `shared_glb`: its energy is 0
            line 40, `architecture.nodes[3].attributes.n_banks`: is for the energy and area of Accelergy
            line 42, `architecture.nodes[3].attributes.block_size`: is for the energy and area of Accelergy
            line 46, `architecture.nodes[3].attributes.min_utilization`: narrows the search only; mappings outside it are found too
            line 47, `architecture.nodes[3].attributes.n_buffets`: is for the energy and area of Accelergy
            line 49, `architecture.nodes[3].constraints.dataspace.no_coalesce`: is not in the cost model
            line 50, `architecture.nodes[3].constraints.temporal.permutation`: narrows the search only; mappings outside it are found too
            line 50, `architecture.nodes[3].constraints.temporal.factors`: narrows the search only; mappings outside it are found too
            line 50, `architecture.nodes[3].constraints.temporal.no_reuse`: is not in the cost model
            line 50, `architecture.nodes[3].constraints.temporal.rmw_first_update`: is not in the cost model
            line 51, `architecture.nodes[3].constraints.max_overbooked_proportion`: a tile must fit into its memory here
            line 60, `architecture.nodes[4].nodes[0].constraints.spatial.permutation`: as an order narrows the search only; mappings outside it are found too
            line 61, `architecture.nodes[4].nodes[0].constraints.spatial.factors[2]`: `C=4` narrows the search only; mappings outside it are found too
            line 62, `architecture.nodes[4].nodes[0].constraints.spatial.split`: narrows the search only; mappings outside it are found too
            line 63, `architecture.nodes[4].nodes[0].constraints.spatial.no_link_transfer`: is not in the cost model
            line 64, `architecture.nodes[4].nodes[1]`: is nothing
            line 70, `architecture.nodes[5].nodes[0]`: the ERT has no `read` of `ifmap_spad`: its energy is 0
            line 70, `architecture.nodes[5].nodes[0]`: the ERT has no `write` of `ifmap_spad`: its energy is 0
            line 73, `architecture.nodes[5].nodes[0].attributes.cycle_time`: is for the energy and area of Accelergy
            line 76, `architecture.nodes[5].nodes[1]`: the ERT has no `read` of `weights_spad`: its energy is 0
            line 76, `architecture.nodes[5].nodes[1]`: the ERT has no `write` of `weights_spad`: its energy is 0
            line 82, `architecture.nodes[5].nodes[2]`: the ERT has no `read` of `psum_spad`: its energy is 0
            line 82, `architecture.nodes[5].nodes[2]`: the ERT has no `write` of `psum_spad`: its energy is 0
            line 88, `architecture.nodes[5].nodes[2].constraints.spatial`: constrains a fan-out, and without `meshX` or `meshY` is none
            line 93, `architecture.nodes[6].subclass`: is for the energy and area of Accelergy
            line 95, `architecture.nodes[6].attributes`: is for the energy and area of Accelergy
            line 97, `architecture.nodes[6].constraints.temporal.factors`: narrows the search only; mappings outside it are found too
            line 98, `architecture.nodes[6].constraints.dataspace`: only a memory keeps anything
            line 99, `architecture.nodes[6].constraints.spatial`: constrains a fan-out, and without `meshX` or `meshY` is none
            line 102, `problem`: no widths in the format: 8 bits, and 32 of a partial sum, where a memory has no `datawidth`
            line 113, `problem.instance.Hdilation`: is neither a dimension nor a coefficient of the shape
            line 115, `mapper`: steers the search of Timeloop
            line 121, `mapspace`: steers the search of Timeloop
            line 123, `globals`: steers the search of Timeloop
            line 125, `components`: is for the energy and area of Accelergy
            line 129, `constraints`: constraints are read at the nodes of the architecture only
            line 139, `ERT.tables[0].actions[0].arguments`: one energy per action is read
            line 141, `ERT.tables[0].actions[2]`: no component here has this action
            line 146, `ART`: is for the energy and area of Accelergy
        "#]],
    );
}

#[test]
fn accelforge_whole() {
    check(
        "accelforge_whole.yaml",
        expect![[r#"
        AccelForge 1.0
        tree accelforge_whole at 1000000000 Hz
        memory MainMemory None keeps [Input, Weights, Output] bypass [] bits {} pj 7.812500000000001 7.812500000000001 ports [Read, Write]:63.99999999999999
        memory GlobalBuffer Some(524288) keeps [Input, Output] bypass [] bits {Input: 8, Output: 16} pj 1 2 ports [Read]:64 [Write]:32
        fanout X 8 ranks None shares [] multicasts [Input] reduces false
        fanout Y 4 ranks Some(["k"]) shares [Output] multicasts [] reduces true
        memory Register Some(8) keeps [Weights] bypass [] bits {} pj 0 0 ports 
        compute MAC pj 0.2
        workload accelforge_whole
        Product x2: Z[m, n] += A[m, k] * W[k, n] Mac m=32 k=24 n=16 input:8/8[m, k] weights:8/8[k, n] output:16/16[m, n]
        line 5, `variables.node`: no expression that is read names it
        line 6, `variables.cell`: is no number
        line 9, `arch.extra_attributes_for_all_component_models`: is for the component models, which are not here
        line 13, `arch.nodes[0].component_class`: is for the component models, which are not here
        line 21, `arch.nodes[0].actions[2]`: is not among the actions that are counted here
        line 22, `arch.nodes[0].tensors.tile_shape`: narrows the search only; mappings outside it are found too
        line 29, `arch.nodes[1].nodes[0].component_class`: is for the component models, which are not here
        line 31, `arch.nodes[1].nodes[0].area`: area is not here
        line 32, `arch.nodes[1].nodes[0].leak_power`: leakage is not here
        line 36, `arch.nodes[1].nodes[0].extra_attributes_for_component_model`: is for the component models, which are not here
        line 43, `arch.nodes[1].nodes[0].actions[0].extra_attributes_for_component_model`: is for the component models, which are not here
        line 45, `arch.nodes[1].nodes[0].tensors.tensor_order_options`: narrows the search only; mappings outside it are found too
        line 45, `arch.nodes[1].nodes[0].tensors.force_memory_hierarchy_order`: narrows the search only; mappings outside it are found too
        line 50, `arch.nodes[1].nodes[1].spatial[0].min_usage`: narrows the search only; mappings outside it are found too
        line 50, `arch.nodes[1].nodes[1].spatial[0].power_gateable`: leakage is not here
        line 56, `arch.nodes[1].nodes[2].bits_per_value.output`: the memory keeps no such tensor
        line 65, `arch.nodes[2].component_class`: is for the component models, which are not here
        line 70, `workload.rank_sizes.B`: no tensor of an Einsum has this rank
        line 71, `workload.iteration_space_shape.x`: no tensor is indexed by it
        line 73, `workload.persistent_tensors`: does not change what one Einsum costs
        line 78, `workload.einsums[0].rank_sizes.E`: no tensor of an Einsum has this rank
        line 80, `workload.einsums[0].tensor_accesses[0].persistent`: does not change what one Einsum costs
        line 83, `workload.einsums[0].renames.other`: only the inputs have use here, as `input` and `weight`
        line 85, `renames`: says which tensor is `input`, `weight` and `output`; here the weights of an Einsum are its second input
        line 89, `mapper`: steers the search of AccelForge
        line 91, `model`: steers the search of AccelForge
        line 93, `config`: steers the search of AccelForge
    "#]],
    );
}
