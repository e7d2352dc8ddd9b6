//! Explanations add up, and say of digits what its loop nests show.

mod common;

use common::{digits, preset, random_arch, random_network};
use expect_test::expect;
use mapper::{Options, compile};

fn explained() -> Options {
    Options {
        explain: true,
        ..Options::default()
    }
}

#[test]
fn digits_on_nano() {
    let compiled = compile(&digits(), &preset("nano"), &explained()).expect("digits fits");
    let mut text = String::new();
    for layer in &compiled.layers {
        let Some(explanation) = &layer.explanation else {
            continue;
        };
        let bound = explanation.bound;
        let edge = explanation
            .array
            .map(|array| (array.edge_cycles(), array.steps));
        text += &format!(
            "{}: {} {} of {}; edge {edge:?}\n",
            layer.name,
            bound.by.name(),
            bound.cycles,
            bound.of,
        );
        for other in explanation.next_best.iter().chain(&explanation.others) {
            text += &format!(
                "  {} {:+} {:+} {}\n",
                other.differs.join(" "),
                other.more_cycles,
                other.more_words,
                other.bound.by.name()
            );
        }
        if let Some(blocked) = &explanation.blocked {
            text += &format!(
                "  blocked {} {:+}: {}\n",
                blocked.alternative.differs.join(" "),
                blocked.alternative.more_cycles,
                blocked.limit
            );
        }
    }
    expect![[r#"
        conv0: array 4632 of 4861; edge Some((4032, 4608))
          group_tiles=2 +34 +0 array
          tile_rows=1 group_tiles=2 +116 +0 array
          tile_rows=1 tile_cols=4 group_tiles=4 +267 +0 array
          group_tiles=2 +34 +0 array
          group_tiles=3 order=weights_outer +96 +192 array
        conv1: array 4624 of 4820; edge Some((0, 4608))
          group_tiles=2 +49 +0 array
          tile_rows=2 +65 +0 array
          tile_rows=1 tile_cols=2 group_tiles=2 +293 +0 array
          group_tiles=2 +49 +0 array
        conv2: array 2320 of 2523; edge Some((0, 2304))
          group_tiles=2 +99 +0 array
          tile_rows=1 group_tiles=2 +148 +0 array
          tile_rows=1 tile_cols=1 +208 +0 array
          group_tiles=2 +99 +0 array
        gap: requantise port 208 of 342; edge None
          group_tiles=6 +46 +64 requantise port
          group_tiles=6 +46 +64 requantise port
        fc: instruction fetch 85 of 175; edge Some((0, 20))
          group_tiles=2 +5 +0 DRAM reads
          group_tiles=2 +5 +0 DRAM reads
    "#]]
    .assert_eq(&text);
}

/// No other mapping is better, what is blocked would be, and steps are never fewer than the ideal.
#[test]
fn explanations_agree_with_the_search() {
    let mut n_layers = 0;
    for seed in 0..60 {
        let (network, arch) = (random_network(seed, 4, true), random_arch(seed));
        let (Ok(plain), Ok(compiled)) = (
            compile(&network, &arch, &Options::default()),
            compile(&network, &arch, &explained()),
        ) else {
            continue;
        };
        assert_eq!(
            plain.program, compiled.program,
            "explaining changes nothing"
        );
        for layer in &compiled.layers {
            let Some(explanation) = &layer.explanation else {
                assert!(layer.choice.is_none());
                continue;
            };
            n_layers += 1;
            for other in explanation.next_best.iter().chain(&explanation.others) {
                assert!(other.more_cycles >= 0, "seed {seed}: {other:?}");
                assert!(!other.differs.is_empty());
            }
            if let Some(blocked) = &explanation.blocked {
                assert!(
                    blocked.alternative.more_cycles <= 0,
                    "seed {seed}: {blocked:?}"
                );
            }
            assert!(
                explanation.bound.cycles <= explanation.bound.of,
                "seed {seed}: {explanation:?}"
            );
            assert!(
                explanation
                    .array
                    .is_none_or(|array| array.steps >= array.ideal)
            );
        }
    }
    assert!(n_layers > 60, "{n_layers}");
}
