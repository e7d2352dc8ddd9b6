//! Functions of one value: no result is so near a tie that the arithmetic of the tables could round it the other way.

use crate::node::Node;
use crate::ops::function::{named, names};
use crate::proto::NodeProto;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The error of f64 in steps of a result of at most 2^8 steps, with room for what functions lose.
const DOUBT: f64 = 1e-11;

#[test]
fn every_code_of_every_function_is_rounded_as_the_real_function() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut unit = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let proto = NodeProto::default();
    let node = Node::new(&proto);
    for name in names() {
        let function = named(name).expect("it is in the list");
        let mut nearest = f64::INFINITY;
        for _ in 0..1000 {
            let scales = [unit(), unit()].map(|at| (0.001 + 0.2 * at) as f32);
            let zero_point = (unit() * 255.0).floor() - 128.0;
            for code in -128..128 {
                let real = (f64::from(code) - zero_point) * f64::from(scales[0]);
                let steps = function(&node, real) / f64::from(scales[1]);
                let off = (steps - steps.floor() - 0.5).abs();
                // Straight parts have exact ties, and products of a few bits are exact.
                if steps.abs() < 256.0 && off > 0.0 {
                    nearest = nearest.min(off);
                }
            }
        }
        assert!(
            nearest > DOUBT,
            "a result of `{name}` is {nearest:e} steps from a tie"
        );
    }
}
