//! Directives: obeyed wherever they say something, refused with what they contradict, and without influence on a bit.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod common;

use std::collections::BTreeMap;

use common::{
    Build, Random, digits, directed, disobeyed, number, preset, random_arch, random_network, verify,
};
use expect_test::{Expect, expect};
use ir::arch::Arch;
use ir::directive::{Directive, Operator, Placed, Relation, Residency, Selector, Setting, Size};
use ir::mapping::{Order, RowMapping};
use ir::network::{Network, TensorId};
use ir::op::{Kind, Window};
use mapper::{MapError, Options, compile};

fn conv3(build: &mut Build, input: TensorId, out: usize) -> TensorId {
    let window = Window {
        pads: [1; 4],
        ..Window::dense([3, 3])
    };
    build.conv(input, out, 1, window).expect("it fits")
}

/// Two convolutions of 12x12 pixels.
fn small() -> Build {
    let mut build = Build::new(3, [24, 12, 12]);
    let a = conv3(&mut build, TensorId(0), 40);
    conv3(&mut build, a, 16);
    build
}

#[track_caller]
fn check_refused(network: &Network, arch: &Arch, lines: &str, expected: Expect) {
    let text = match compile(network, arch, &directed(lines)) {
        Ok(compiled) => format!("{:?}", compiled.layers[0].choice),
        Err(MapError::Directives(conflict)) => {
            let text = format!("directives {}\n{lines}\n", ir::directive::FORMAT);
            let place = |offset: usize| {
                let before = &text[..offset];
                let column = offset - before.rfind('\n').map_or(0, |at| at + 1);
                format!("{}:{}", before.matches('\n').count() + 1, column + 1)
            };
            let places: Vec<String> = conflict
                .places
                .iter()
                .map(|label| place(label.offset()))
                .collect();
            format!(
                "{} [{}]\nhelp: {}\n",
                conflict.message,
                places.join(" "),
                conflict.help
            )
        }
        Err(other) => format!("no fault of directives: {other}"),
    };
    expected.assert_eq(&text);
}

#[test]
fn each_conflict_names_the_other_directive_or_the_limit() {
    let (network, edge, nano) = (small().finish(), preset("edge"), preset("nano"));
    // Another directive.
    check_refused(
        &network,
        &edge,
        "conv0: tile_rows=2\noperator=conv: tile_rows=4",
        expect![[r#"
            `conv0`: `tile_rows=2` and `tile_rows=4` cannot both hold [2:8 3:16]
            help: change one of them, or select fewer layers with it
        "#]],
    );
    check_refused(
        &network,
        &edge,
        "conv0: output=stays\nconv1: inputs=spills",
        expect![[r#"
            tensor `t1`: `output=stays` of `conv0` and `inputs=spills` of `conv1` cannot both hold [2:8 3:8]
            help: change one of them, or select fewer layers with it
        "#]],
    );
    check_refused(
        &network,
        &edge,
        "r=3: strip_rows=3\nconv*: tile_rows=4",
        expect![[r#"
            `conv0`: a tile of 4 rows is larger than a strip of 3 [3:8 2:6]
            help: decide smaller tiles or larger strips
        "#]],
    );
    // A limit of the arch.
    check_refused(
        &network,
        &edge,
        "*: dataflow=output_stationary",
        expect![[r#"
            `conv0`: the arch has no `output_stationary` dataflow [2:4]
            help: add it to `array.dataflows` in the arch
        "#]],
    );
    let mut shallow = preset("edge");
    shallow.accumulators.pixels = 64;
    check_refused(
        &network,
        &shallow,
        "conv0: tile_rows=12\n*: group_tiles=1\nconv*: tile_cols=6",
        expect![[r#"
            `conv0`: no mapping obeys `tile_rows=12` with `tile_cols=6`: a tile needs 72 pixels in a half of the accumulators, arch `edge` has 64 [2:8 4:8]
            help: decide smaller tiles, or raise `accumulators.pixels` in the arch
        "#]],
    );
    check_refused(
        &network,
        &nano,
        "conv*: tile_rows=12\n*: group_tiles=8",
        expect![[r#"
            `conv0`: no mapping obeys `tile_rows=12`: a tile needs 12 rows, a strip has 1 [2:8]
            help: decide fewer rows, or more room with `activations.words` in the arch
        "#]],
    );
    check_refused(
        &network,
        &nano,
        "*: group_tiles=8 tile_rows=1",
        expect![[r#"
            `conv1`: no mapping obeys `group_tiles=8`: a group needs 720 words of weights, arch `nano` has 512 [2:4]
            help: decide smaller groups, or raise `weights.words` in the arch
        "#]],
    );
    check_refused(
        &network,
        &nano,
        "*: output=stays",
        expect![[r#"
            tensor `t1`: `output=stays` of `conv0` needs 720 words in one bank, arch `nano` has 256 [2:4]
            help: let it spill, or raise `activations.words` in the arch
        "#]],
    );
    check_refused(
        &network,
        &edge,
        "*: strip_rows=5 order=weights_outer\nconv0: output=spills\n*: group_tiles=1",
        expect![[r#"
            `conv0`: no mapping obeys `order=weights_outer` with `group_tiles=1` with `output=spills`: a strip needs all weights before the next strip comes [2:17 4:4 3:8]
            help: use `order=strips_outer`; the other order is for whole sums whose output stays
        "#]],
    );
    // What a layer is.
    check_refused(
        &network,
        &edge,
        "conv1: rows=taps",
        expect![[r#"
            `conv1` cannot pack taps: `t1` does not come from the host alone [2:8]
            help: use `rows=channels`, or select fewer layers
        "#]],
    );
    check_refused(
        &digits(),
        &edge,
        "conv0: rows=taps\nconv0: inputs=spills",
        expect![[r#"
            tensor `image`: `rows=taps` of `conv0` needs it whole, `inputs=spills` of `conv0` does not let it stay [2:8 3:8]
            help: use `rows=channels`, or let it stay
        "#]],
    );
    let mut narrow = preset("edge");
    narrow.activations.words = 256;
    check_refused(
        &network,
        &narrow,
        "*: strip_rows=12",
        expect![[r#"
            no plan of the banks obeys `strip_rows=12` of `conv1`: `conv1`: a strip of 12 rows of `t1` in a bank needs 432 words, arch `edge` has 256 [2:4]
            help: let tensors spill, decide smaller strips, or raise `activations.words` in the arch
        "#]],
    );
    check_refused(
        &network,
        &narrow,
        "conv1: output=stays\nconv0: strip_rows=1\n*: order=strips_outer\nconv0: inputs=stays",
        expect![[r#"
            no plan of the banks obeys `inputs=stays` of `conv0`: `conv0`: a strip of one row of `t0` in a bank needs 288 words, arch `edge` has 256 [5:8]
            help: let tensors spill, decide smaller strips, or raise `activations.words` in the arch
        "#]],
    );
    // Layers that are to run depth first.
    check_refused(
        &network,
        &narrow,
        "conv1: output=passes",
        expect![[r#"
            tensor `t2`: `output=passes` of `conv1` needs a run of at most 5 layers from the one that computes it, whose results nobody else reads and whose constants fit arch `edge` together [2:8]
            help: let it stay or spill, or raise `weights.words` and `parameters.channels` in the arch
        "#]],
    );
    check_refused(
        &network,
        &narrow,
        "conv0: output=passes strip_rows=2",
        expect![[r#"
            no plan of the banks obeys `output=passes` of `conv0`, `strip_rows=2` of `conv0`: `conv0`: no run of layers from here has strips that fit: those of the last layer decide all others, none may be empty, and what passes takes two strips in the banks [2:8 2:22]
            help: let tensors spill, decide smaller strips, or raise `activations.words` in the arch
        "#]],
    );
    check_refused(
        &network,
        &narrow,
        "conv0: output=passes\nconv1: inputs=stays",
        expect![[r#"
            tensor `t1`: `output=passes` of `conv0` and `inputs=stays` of `conv1` cannot both hold [2:8 3:8]
            help: change one of them, or select fewer layers with it
        "#]],
    );
}

#[test]
fn directives_without_effect_are_listed() {
    let lines = "conv9: tile_rows=1\noperator=conv m>=100: tile_rows=1\ntable*: dataflow=weight_stationary\n*: order=strips_outer\ntable*: output=spills tile_rows=3";
    let mut build = small();
    let output = build.tensor([16, 12, 12]);
    let table = ir::op::Table {
        values: vec![3; 256],
    };
    build.push(Kind::Table(table), &[TensorId(2)], output);
    let idle: Vec<String> = mapper::idle(&build.finish(), &directed(lines).directives)
        .iter()
        .map(|idle| {
            format!(
                "{} {}: {}\n",
                idle.directive.place, idle.directive.directive, idle.reason
            )
        })
        .collect();
    expect![[r#"
        test:2:1 conv9: tile_rows=1: it selects no layer
        test:3:1 operator=conv m>=100: tile_rows=1: it selects no layer
        test:4:1 table*: dataflow=weight_stationary: the layers it selects do not run on the array
    "#]]
    .assert_eq(&idle.concat());
}

/// What `exactly` says of a result gives the same program again.
#[test]
fn a_result_as_directives_gives_the_same_program() {
    for arch in ["edge", "nano", "both"] {
        let (network, arch) = (digits(), preset(arch));
        let best = compile(&network, &arch, &Options::default()).expect("digits fits");
        let layers = best.layers.iter();
        let directives =
            layers.filter_map(|layer| Some(mapper::exactly(&layer.name, &layer.choice?)));
        let options = Options {
            directives: directives.collect(),
            ..Options::default()
        };
        let again = compile(&network, &arch, &options).expect("it fitted before");
        assert_eq!(again.program, best.program);
        assert_eq!(again.schedule, best.schedule);
    }
}

/// A random directive that may hold for some layers of a network.
fn random_directive(random: &mut Random, network: &Network, arch: &Arch) -> Directive {
    let einsum = random.pick(&network.einsums);
    let output = network.tensor(einsum.output);
    let selector = match random.within(0, 5) {
        0 => Selector::Name("*".to_owned()),
        1 => Selector::Operator(random.pick(Operator::ALL)),
        2 => Selector::Size(Size::P, random.pick(Relation::ALL), output.height as u64),
        3 => Selector::Size(Size::M, random.pick(Relation::ALL), output.channels as u64),
        4 => Selector::Name(format!("*{}", einsum.name.chars().last().unwrap_or('0'))),
        _ => Selector::Name(einsum.name.clone()),
    };
    let mut settings: Vec<Setting> = Vec::new();
    for _ in 0..random.within(1, 3) {
        let n_tiles = output.channels.div_ceil(arch.array.cols as usize);
        let setting = match random.within(0, 9) {
            0 => Setting::Rows(random.pick(&RowMapping::ALL)),
            1 => Setting::Dataflow(random.pick(&arch.array.dataflows)),
            2 => Setting::Order(random.pick(&Order::ALL)),
            3 => Setting::TileRows(random.within(1, output.height.min(4) + 1)),
            4 => Setting::TileCols(random.within(1, output.width + 1)),
            5 => Setting::GroupTiles(random.within(1, n_tiles + 1)),
            6 | 7 => Setting::StripRows(random.within(1, output.height + 1)),
            8 => Setting::Inputs(random.pick(Residency::ALL)),
            _ => Setting::Output(random.pick(Residency::ALL)),
        };
        if settings.iter().all(|other| other.key() != setting.key()) {
            settings.push(setting);
        }
    }
    Directive {
        selectors: vec![selector],
        settings,
    }
}

/// Directives that can be obeyed are obeyed, and every tensor still equals the reference.
///
/// `SCHEDULES` is how many, `SEED` the first network.
#[test]
fn random_directives_change_no_bit() {
    let wanted = number("SCHEDULES", 1000);
    let mut seed = number("SEED", 0);
    let (mut legal, mut refused) = (0, 0);
    let mut keys: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    while legal < wanted && failed.len() < 5 {
        seed += 1;
        let (network, arch) = match seed % 10 {
            0 => (
                digits(),
                preset(["edge", "nano", "both"][seed as usize / 10 % 3]),
            ),
            _ => (random_network(seed, 4, true), random_arch(seed)),
        };
        let kept = Options {
            keep_all: true,
            ..Options::default()
        };
        if compile(&network, &arch, &kept).is_err() {
            continue;
        }
        let mut random = Random(seed ^ 0xd14e);
        for _ in 0..12 {
            let directives: Vec<Placed> = (0..random.within(1, 4))
                .map(|_| Placed::of(random_directive(&mut random, &network, &arch), "random"))
                .collect();
            let options = Options {
                directives: directives.clone(),
                keep_all: random.chance(50),
                ..Options::default()
            };
            let listed = || {
                let lines: Vec<String> = directives
                    .iter()
                    .map(|placed| placed.directive.to_string())
                    .collect();
                lines.join("\n  ")
            };
            match compile(&network, &arch, &options) {
                Ok(compiled) => {
                    legal += 1;
                    for setting in directives
                        .iter()
                        .flat_map(|placed| &placed.directive.settings)
                    {
                        *keys.entry(setting.key()).or_insert(0) += 1;
                    }
                    let fault = disobeyed(&network, &arch, &directives, &compiled)
                        .or_else(|| verify(&network, &arch, &compiled, seed).err())
                        .or_else(|| {
                            let mut checks = compiled.schedule.mappings.iter();
                            checks.find_map(|mapping| {
                                let error = mapper::check::check(mapping, &arch).err()?;
                                Some(format!("{error}\n{mapping}"))
                            })
                        });
                    failed
                        .extend(fault.map(|fault| format!("seed {seed}: {fault}\n  {}", listed())));
                }
                Err(MapError::Directives(_)) => refused += 1,
                // A program can be too large for the memory of an arch only when it is there.
                Err(MapError::Memory { .. } | MapError::Semaphores { .. }) => refused += 1,
                Err(error) => failed.push(format!("seed {seed}: {error}\n  {}", listed())),
            }
        }
    }
    println!("{legal} legal schedules, {refused} refused, last seed {seed}; settings: {keys:?}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(
        keys.len(),
        Setting::KEYS.len(),
        "every setting was tried: {keys:?}"
    );
}
