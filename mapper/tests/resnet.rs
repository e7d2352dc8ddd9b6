//! One file of directives for a family of networks: written for ResNet-18, it serves ResNet-50 and edited copies.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod common;

use std::path::Path;

use common::{disobeyed, preset};
use expect_test::{Expect, expect};
use ir::arch::Arch;
use ir::directive::Placed;
use ir::network::{Einsum, Network, TensorId};
use ir::op::Kind;
use mapper::{Options, compile, idle};

fn schedule() -> Vec<Placed> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/schedules/resnet18.directives");
    let text = std::fs::read_to_string(path).expect("the example is there");
    ir::directive::read("resnet18.directives", &text).expect("the example can be read")
}

fn zoo(name: &str) -> Network {
    onnx::zoo::shapes(name, 1).expect("the zoo has it")
}

/// Maps with the schedule, and lists the layers that each directive selects, and those that say nothing.
#[track_caller]
fn check(network: &Network, arch: &Arch, expected: Expect) {
    network.validate().expect("it is a network");
    let directives = schedule();
    let options = Options {
        directives: directives.clone(),
        ..Options::default()
    };
    let compiled = compile(network, arch, &options).unwrap_or_else(|error| panic!("{error:?}"));
    if let Some(fault) = disobeyed(network, arch, &directives, &compiled) {
        panic!("{fault}");
    }
    let free = compile(network, arch, &Options::default()).expect("it fits");
    println!(
        "`{}`: {} cycles modelled, {} with the search left free",
        network.name,
        compiled.predicted_cycles(),
        free.predicted_cycles()
    );
    let mut text = String::new();
    for placed in &directives {
        let selects = |einsum: &&Einsum| placed.directive.selects(network, einsum);
        let n = network.einsums.iter().filter(selects).count();
        text += &format!("{} layers: {}\n", n, placed.directive);
    }
    for idle in idle(network, &directives) {
        text += &format!(
            "line {} says nothing: {}\n",
            idle.directive.place.line(),
            idle.reason
        );
    }
    expected.assert_eq(&text);
}

#[test]
fn resnet18() {
    check(
        &zoo("resnet18"),
        &preset("edge"),
        expect![[r#"
        1 layers: operator=conv c=3 stride=2: rows=channels tile_rows=1
        8 layers: operator=conv r=3 p>=28: dataflow=weight_stationary order=strips_outer
        4 layers: operator=conv r=3 p<=7: group_tiles=1 tile_cols=7
        2 layers: operator=conv r=1 p<=7 m>=256: tile_cols=7
        2 layers: operator=add p>=56: output=spills
        0 layers: /layer1/*/conv?/Conv: dataflow=weight_stationary
        0 layers: operator=conv downsample*: dataflow=weight_stationary
        line 20 says nothing: it selects no layer
        line 21 says nothing: it selects no layer
    "#]],
    );
}

/// Its last image has 2,048 channels and is averaged whole, which exceeds the banks of `edge`.
#[test]
fn resnet50() {
    let mut arch = preset("edge");
    arch.activations.words = 8192;
    check(
        &zoo("resnet50"),
        &arch,
        expect![[r#"
            1 layers: operator=conv c=3 stride=2: rows=channels tile_rows=1
            7 layers: operator=conv r=3 p>=28: dataflow=weight_stationary order=strips_outer
            3 layers: operator=conv r=3 p<=7: group_tiles=1 tile_cols=7
            7 layers: operator=conv r=1 p<=7 m>=256: tile_cols=7
            3 layers: operator=add p>=56: output=spills
            0 layers: /layer1/*/conv?/Conv: dataflow=weight_stationary
            0 layers: operator=conv downsample*: dataflow=weight_stationary
            line 20 says nothing: it selects no layer
            line 21 says nothing: it selects no layer
        "#]],
    );
}

/// The last 3x3 convolution of a network that keeps its channels.
fn late_conv(network: &Network) -> usize {
    let is_late = |einsum: &Einsum| matches!(&einsum.kind, Kind::Conv(op) if op.window.kernel == [3, 3] && op.out_channels == op.group_channels);
    network
        .einsums
        .iter()
        .rposition(is_late)
        .expect("there is one")
}

#[test]
fn a_layer_more() {
    let mut network = zoo("resnet18");
    let at = late_conv(&network);
    let Einsum { kind, output, .. } = network.einsums[at].clone();
    let mut tensor = network.tensor(output).clone();
    tensor.name = "more".to_owned();
    let id = TensorId(network.tensors.len() as u32);
    network.tensors.push(tensor);
    for input in network
        .einsums
        .iter_mut()
        .flat_map(|einsum| &mut einsum.inputs)
    {
        if *input == output {
            *input = id;
        }
    }
    let more = Einsum {
        name: "more".to_owned(),
        kind,
        inputs: vec![output],
        output: id,
    };
    network.einsums.insert(at + 1, more);
    check(
        &network,
        &preset("edge"),
        expect![[r#"
        1 layers: operator=conv c=3 stride=2: rows=channels tile_rows=1
        8 layers: operator=conv r=3 p>=28: dataflow=weight_stationary order=strips_outer
        5 layers: operator=conv r=3 p<=7: group_tiles=1 tile_cols=7
        2 layers: operator=conv r=1 p<=7 m>=256: tile_cols=7
        2 layers: operator=add p>=56: output=spills
        0 layers: /layer1/*/conv?/Conv: dataflow=weight_stationary
        0 layers: operator=conv downsample*: dataflow=weight_stationary
        line 20 says nothing: it selects no layer
        line 21 says nothing: it selects no layer
    "#]],
    );
}

#[test]
fn layers_renamed() {
    let mut network = zoo("resnet18");
    network.einsums[0].name = "conv1".to_owned();
    network.einsums[2].name = "/layer1/layer1.0/conv1/Conv".to_owned();
    check(
        &network,
        &preset("edge"),
        expect![[r#"
        1 layers: operator=conv c=3 stride=2: rows=channels tile_rows=1
        8 layers: operator=conv r=3 p>=28: dataflow=weight_stationary order=strips_outer
        4 layers: operator=conv r=3 p<=7: group_tiles=1 tile_cols=7
        2 layers: operator=conv r=1 p<=7 m>=256: tile_cols=7
        2 layers: operator=add p>=56: output=spills
        1 layers: /layer1/*/conv?/Conv: dataflow=weight_stationary
        0 layers: operator=conv downsample*: dataflow=weight_stationary
        line 21 says nothing: it selects no layer
    "#]],
    );
}

/// The hidden channels of the last block become fewer, and no multiple of anything.
#[test]
fn a_shape_changed() {
    let mut network = zoo("resnet18");
    let (second, channels) = (late_conv(&network), 457);
    let hidden = network.einsums[second].inputs[0];
    let first = network
        .einsums
        .iter()
        .position(|einsum| einsum.output == hidden)
        .expect("something writes it");
    network.tensors[hidden.index()].channels = channels;
    let Kind::Conv(op) = &mut network.einsums[first].kind else {
        panic!("a convolution is expected")
    };
    op.out_channels = channels;
    op.weights.truncate(channels * op.group_channels * 9);
    op.bias.truncate(channels);
    op.scales.truncate(channels);
    let Kind::Conv(op) = &mut network.einsums[second].kind else {
        panic!("a convolution is expected")
    };
    op.group_channels = channels;
    op.weights.truncate(op.out_channels * channels * 9);
    check(
        &network,
        &preset("edge"),
        expect![[r#"
        1 layers: operator=conv c=3 stride=2: rows=channels tile_rows=1
        8 layers: operator=conv r=3 p>=28: dataflow=weight_stationary order=strips_outer
        4 layers: operator=conv r=3 p<=7: group_tiles=1 tile_cols=7
        2 layers: operator=conv r=1 p<=7 m>=256: tile_cols=7
        2 layers: operator=add p>=56: output=spills
        0 layers: /layer1/*/conv?/Conv: dataflow=weight_stationary
        0 layers: operator=conv downsample*: dataflow=weight_stationary
        line 20 says nothing: it selects no layer
        line 21 says nothing: it selects no layer
    "#]],
    );
}
