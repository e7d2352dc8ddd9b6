//! The whole program and mapping of one small layer, to be read by people.

mod common;

use common::{Build, preset};
use expect_test::expect_file;
use ir::network::TensorId;
use ir::op::Window;
use mapper::check::{MappingFault, check};
use mapper::{Options, compile};

#[test]
fn one_small_layer() {
    let mut build = Build::new(2, [3, 4, 4]);
    build.conv(
        TensorId(0),
        4,
        1,
        Window {
            pads: [1; 4],
            ..Window::dense([3, 3])
        },
    );
    let compiled = compile(&build.finish(), &preset("nano"), &Options::default()).expect("it fits");
    expect_file!["golden/small_conv.s"].assert_eq(&compiled.program.disassembly());
    expect_file!["golden/small_conv.mapping"].assert_eq(&compiled.schedule.to_string());
}

#[test]
fn the_checker_finds_faults() {
    let mut build = Build::new(2, [8, 6, 6]);
    build.conv(TensorId(0), 16, 1, Window::dense([3, 3]));
    let arch = preset("edge");
    let mapping = compile(&build.finish(), &arch, &Options::default())
        .expect("it fits")
        .schedule
        .mappings
        .remove(0);
    let accesses = check(&mapping, &arch).expect("it is legal");
    assert_eq!(accesses.points, 4 * 4 * 16 * 16 * 9);
    assert_eq!(
        accesses.fills[&("constants".to_owned(), "weights".to_owned())],
        9 * 16
    );
    for index in 0..mapping.nodes.len() {
        let mut broken = mapping.clone();
        let keeps = matches!(broken.nodes[index], ir::mapping::Node::Keep { .. });
        broken.nodes.remove(index);
        assert_eq!(
            check(&broken, &arch).is_ok(),
            keeps,
            "node {index} of\n{mapping}"
        );
    }
    let mut small = arch.clone();
    small.weights.words = 128;
    assert!(matches!(
        check(&mapping, &small),
        Err(MappingFault::Capacity { .. })
    ));
}
