//! What a nest costs by formula, against walking it.
//!
//! The last long run (`CASES=20000 SEED=10000`, release): all equal.

use crate::exact::cost::evaluate;
use crate::exact::problem::Problem;
use crate::exact::walk::walk;
use crate::exact::{Model, text};

use super::cases;
use super::random::{Random, einsum, nest, tree};

#[test]
fn formulas_count_what_a_walk_sees() {
    for seed in cases(3000) {
        let mut random = Random::new(seed);
        let einsum = einsum(&mut random, 12, 600);
        let tree = tree(&mut random, 3);
        let model = if random.one_in(4) {
            Model::ACCELFORGE
        } else {
            Model::MACHINE
        };
        let problem = Problem::new(&einsum, &tree, model);
        let nest = nest(&mut random, &problem);
        let cost = evaluate(&problem, &nest);
        let walked = walk(&problem, &nest);
        let context = || {
            let mapping = text::mapping(&einsum, &tree, &nest);
            format!(
                "seed {seed}: {}\n{}\n{mapping}",
                einsum.shape(),
                tree.to_toml()
            )
        };
        for (formula, walk) in cost.accesses.iter().zip(&walked.accesses) {
            assert_eq!(formula, walk, "{}", context());
        }
        assert_eq!(cost.compute_cycles, walked.compute_cycles, "{}", context());
    }
}
