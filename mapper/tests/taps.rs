//! The row mapping `taps`: images with few channels are packed, and give the reference's values.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod common;

use common::{Build, Random, compile_and_verify, digits, directed, preset, random_arch, verify};
use expect_test::expect_file;
use ir::mapping::{Node, RowMapping};
use ir::network::TensorId;
use ir::op::Window;
use ir::program::Layout;
use mapper::{Compiled, MapError, Options, compile};

fn directed_to(rows: RowMapping, keep_all: bool) -> Options {
    Options {
        keep_all,
        ..directed(&format!("*: rows={}", rows.name()))
    }
}

fn rows(compiled: &Compiled) -> RowMapping {
    compiled.layers[0]
        .choice
        .expect("the layer runs on the array")
        .rows
}

#[test]
fn digits_packs_its_image_on_edge() {
    let (network, arch) = (digits(), preset("edge"));
    let (packed, outcome) = compile_and_verify(&network, &arch).expect("it fits");
    assert_eq!(rows(&packed), RowMapping::Taps);
    assert_eq!(packed.program.inputs[0].layout, Layout::Planes);
    let options = directed_to(RowMapping::Channels, false);
    let plain = compile(&network, &arch, &options).expect("it fits");
    assert_eq!(plain.program.inputs[0].layout, Layout::Blocks);
    let slower = verify(&network, &arch, &plain, 7).expect("it is right");
    println!("{} cycles, {} without", outcome.cycles, slower.cycles);
    assert!(outcome.cycles < slower.cycles);
    expect_file!["golden/digits_taps.mapping"].assert_eq(&packed.schedule.mappings[0].to_string());
}

/// A second reader of the image wants channels in lanes.
#[test]
fn an_image_with_two_readers_is_not_packed() {
    let mut build = Build::new(4, [1, 12, 12]);
    build.conv(TensorId(0), 16, 1, Window::dense([3, 3]));
    build.conv(TensorId(0), 8, 1, Window::dense([1, 1]));
    let network = build.finish();
    let (compiled, _) = compile_and_verify(&network, &preset("edge")).expect("it fits");
    assert_eq!(rows(&compiled), RowMapping::Channels);
    let options = directed_to(RowMapping::Taps, false);
    let refused = compile(&network, &preset("edge"), &options);
    assert!(
        matches!(refused, Err(MapError::Directives(_))),
        "{refused:?}"
    );
}

#[test]
fn random_images_with_few_channels() {
    let (mut packed, mut refused, mut chosen, mut strips) = (0, 0, 0, 0);
    let mut failed = Vec::new();
    for seed in 0..200u64 {
        let mut random = Random(seed ^ 0x7a95);
        let image = [
            random.within(1, 4),
            random.within(1, 24),
            random.within(1, 40),
        ];
        let mut build = Build::new(seed, image);
        let mut window = build.window(image);
        window.stride = [random.within(1, 4), random.within(1, 4)];
        window.dilation = [random.within(1, 2), 1];
        let out = random.within(1, 40);
        if build.conv(TensorId(0), out, 1, window).is_none() {
            continue;
        }
        let network = build.finish();
        let mut arch = random_arch(seed);
        arch.vector.pack = true;
        for keep_all in [false, true] {
            let options = directed_to(RowMapping::Taps, keep_all);
            match compile(&network, &arch, &options) {
                Ok(compiled) => {
                    packed += 1;
                    assert_eq!(compiled.program.inputs[0].layout, Layout::Planes);
                    let mapping = &compiled.schedule.mappings[0];
                    let nodes = &mapping.nodes;
                    let is_loop =
                        |node: &Node| matches!(node, Node::For { .. } | Node::Strips { .. });
                    let keeps = |node: &Node| matches!(node, Node::Keep { level, tensors } if level == "banks" && tensors.contains(&"packed".to_owned()));
                    strips +=
                        usize::from(nodes.iter().position(keeps) > nodes.iter().position(is_loop));
                    if let Err(error) = mapper::check::check(mapping, &arch) {
                        failed.push(format!("seed {seed}: {error}\n{mapping}"));
                    }
                    if let Err(error) = verify(&network, &arch, &compiled, seed) {
                        failed.push(format!("seed {seed}: {error}"));
                    }
                }
                Err(_) => refused += 1,
            }
        }
        if let Ok((compiled, _)) = compile_and_verify(&network, &arch) {
            chosen += usize::from(rows(&compiled) == RowMapping::Taps);
        }
    }
    println!(
        "{packed} packed, {strips} of them in strips, {refused} refused; {chosen} by the search"
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(packed > 100 && strips > 10 && chosen > 10);
}
