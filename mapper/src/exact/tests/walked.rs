//! What a nest costs by formula, against walking it.

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
        let same = cost.accesses == walked.accesses && cost.compute_cycles == walked.compute_cycles;
        if !same {
            println!(
                "seed {seed}: {}\n{}\n{}",
                einsum.shape(),
                tree.to_toml(),
                text::mapping(&einsum, &tree, &nest)
            );
            for (formula, walk) in cost.accesses.iter().zip(&walked.accesses) {
                if formula != walk {
                    println!("formula {formula:?}\nwalk    {walk:?}");
                }
            }
            println!("{} {}", cost.compute_cycles, walked.compute_cycles);
            panic!("seed {seed}");
        }
    }
}
