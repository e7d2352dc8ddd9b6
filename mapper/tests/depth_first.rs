//! Layers that run depth first: every bit is as it was, every row is computed once, and the prediction holds.

#![expect(
    clippy::print_stdout,
    reason = "what was met is shown with `--nocapture`"
)]

mod common;

use common::{Random, disobeyed, number, random_arch, random_chain, verify};
use ir::directive::{Directive, Placed, Residency, Selector, Setting};
use ir::mapping::Node;
use mapper::{MapError, Options, compile};

fn passes(name: &str) -> Placed {
    let directive = Directive {
        selectors: vec![Selector::Name(name.to_owned())],
        settings: vec![Setting::Output(Residency::Passes)],
    };
    Placed::of(directive, "random")
}

/// `CHAINS` is how many runs are wanted, `SEED` the first network.
#[test]
fn depth_first_runs_change_no_bit() {
    let wanted = number("CHAINS", 150);
    let mut seed = number("SEED", 0);
    let (mut runs, mut refused, mut longest, mut uneven, mut chosen) = (0, 0, 0, 0, 0);
    let mut failed = Vec::new();
    while runs < wanted && failed.len() < 5 {
        seed += 1;
        let (network, mut arch) = (random_chain(seed, 5, true), random_arch(seed));
        // The constants of a run have to fit together.
        arch.weights.words = arch.weights.words.max(128 * arch.array.cols);
        arch.parameters.channels = arch.parameters.channels.max(512);
        let mut random = Random(seed ^ 0xdf);
        let plain = Options {
            keep_all: random.chance(30),
            ..Options::default()
        };
        let Ok(free) = compile(&network, &arch, &plain) else {
            continue;
        };
        chosen += free
            .residency
            .map_or(0, |proof| if proof.taken { proof.runs } else { 0 });
        if let Err(error) = verify(&network, &arch, &free, seed) {
            failed.push(format!("seed {seed}, left free: {error}"));
        }
        for _ in 0..3 {
            let first = random.within(0, network.einsums.len() - 1);
            let count = random.within(1, 3).min(network.einsums.len() - first);
            let names = network.einsums[first..first + count]
                .iter()
                .map(|e| &e.name);
            let directives: Vec<Placed> = names.map(|name| passes(name)).collect();
            let options = Options {
                directives: directives.clone(),
                ..plain.clone()
            };
            let compiled = match compile(&network, &arch, &options) {
                Ok(compiled) => compiled,
                Err(MapError::Directives(_) | MapError::Semaphores { .. }) => {
                    refused += 1;
                    continue;
                }
                Err(error) => {
                    failed.push(format!("seed {seed}, {count} from {first}: {error}"));
                    continue;
                }
            };
            runs += 1;
            longest = longest.max(count + 1);
            let mappings = &compiled.schedule.mappings;
            let strips = |node: &Node| matches!(node, Node::Strips { .. });
            uneven += mappings
                .iter()
                .filter(|m| m.nodes.iter().any(strips))
                .count();
            let fault = disobeyed(&network, &arch, &directives, &compiled);
            let fault = fault.or_else(|| {
                let mut checks = mappings.iter();
                checks.find_map(|m| {
                    mapper::check::check(m, &arch)
                        .err()
                        .map(|e| format!("{e}\n{m}"))
                })
            });
            let fault = fault.or_else(|| match verify(&network, &arch, &compiled, seed) {
                Ok(outcome) if outcome.cycles == compiled.predicted_cycles() => None,
                Ok(outcome) => Some(format!(
                    "{} cycles, not {}",
                    outcome.cycles,
                    compiled.predicted_cycles()
                )),
                Err(error) => Some(error),
            });
            failed.extend(fault.map(|fault| format!("seed {seed}, {count} from {first}: {fault}")));
        }
    }
    println!(
        "{runs} runs of up to {longest} layers, {uneven} layers with uneven strips, {refused} refused, {chosen} runs by \
         the search; last seed {seed}"
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(
        longest == 4 && uneven >= 50 && chosen >= 10,
        "too few of a kind"
    );
}
