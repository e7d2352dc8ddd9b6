//! Tokens: which operation waits for which, and with which semaphore.
//!
//! Operations of one engine run in order. So for each ordered pair of engines it is enough that the consumer waits for
//! the latest producer it depends on, and one semaphore per pair carries all of its tokens in order; no dependency that
//! follows from others gets a token. A clock per operation (Lamport's vector clock, one component per engine) decides
//! what follows.
//!
//! Limits of the machine (two waits, two signals, the range of a counter) are met by further dependencies,
//! each from an earlier to a later operation. In the worst case these are a chain through all operations, which needs
//! one wait and one signal each; so a solution always exists, and program order is always free of deadlock.

use ir::fit::Fit;
use std::collections::BTreeMap;

use ir::arch::Arch;
use ir::isa::{Engine, Semaphore, Wait};
use ir::program::SemaphoreUse;

use crate::op::{Access, Op, Storage};

/// The tokens of a program.
pub(crate) struct Tokens {
    pub(crate) waits: Vec<[Option<Wait>; 2]>,
    pub(crate) signals: Vec<[Option<Semaphore>; 2]>,
    pub(crate) semaphores: Vec<SemaphoreUse>,
}

/// For each engine one more than the position of its latest operation that is known to have ended.
type Clock = [usize; 4];

/// For each operation and engine, one more than the position of the operation that it depends on; 0 for none.
type Needs = Vec<Clock>;

/// Finds the tokens of `ops`, which are in program order, or the number of semaphores that they would take.
pub(crate) fn synchronise(ops: &[Op], arch: &Arch) -> Result<Tokens, usize> {
    let engines: Vec<usize> = ops.iter().map(|op| op.engine().index()).collect();
    let mut needs = dependencies(ops, arch);
    loop {
        let solved = Solution::new(&engines, &needs);
        let mut more = solved.too_many_waits();
        more.extend(solved.too_many_signals());
        more.extend(solved.overflows((1 << arch.semaphores.bits) - 1, arch.queues.depth as usize));
        if more.is_empty() {
            let pairs = solved.pairs();
            if pairs.len() <= arch.semaphores.count as usize {
                return Ok(solved.tokens());
            }
            more = solved.detours().ok_or(pairs.len())?;
        }
        for (from, to) in more {
            let need = &mut needs[to][engines[from]];
            *need = (*need).max(from + 1);
        }
    }
}

/// The latest operation of each other engine that each operation depends on, as far as it does not follow.
fn dependencies(ops: &[Op], arch: &Arch) -> Needs {
    let bank_words = i64::from(arch.activations.words);
    let mut history: Vec<[Vec<(usize, Access)>; 4]> =
        (0..Storage::COUNT).map(|_| Default::default()).collect();
    let mut needs = vec![[0; 4]; ops.len()];
    let mut ends: Vec<Clock> = Vec::with_capacity(ops.len());
    let mut starts = [[0; 4]; 4];
    for (index, op) in ops.iter().enumerate() {
        let engine = op.engine().index();
        let mut clock: Clock = starts[engine];
        for access in &op.accesses {
            for (other, list) in history[access.storage.index()].iter().enumerate() {
                if other == engine {
                    continue;
                }
                let known = clock[other].max(needs[index][other]);
                let conflict = list
                    .iter()
                    .rev()
                    .take_while(|(at, _)| *at + 1 > known)
                    .find(|(_, earlier)| {
                        earlier.depends(access) || earlier.shares_port(access, bank_words)
                    });
                if let Some((at, _)) = conflict {
                    needs[index][other] = at + 1;
                }
            }
        }
        for need in needs[index].into_iter().filter(|n| *n > 0) {
            join(&mut clock, &ends[need - 1]);
        }
        starts[engine] = clock;
        clock[engine] = index + 1;
        ends.push(clock);
        for access in &op.accesses {
            history[access.storage.index()][engine].push((index, *access));
        }
    }
    needs
}

fn join(clock: &mut Clock, other: &Clock) {
    clock
        .iter_mut()
        .zip(other)
        .for_each(|(a, b)| *a = (*a).max(*b));
}

/// The waits that remain of a set of dependencies when all that follow from others are left out.
struct Solution<'a> {
    engines: &'a [usize],
    /// For each operation the operations it waits for, in program order.
    waits: Vec<Vec<usize>>,
    /// For each operation the operations that wait for it, in program order.
    signals: Vec<Vec<usize>>,
    /// What is known when an operation starts.
    starts: Vec<Clock>,
    /// The position of the operation before it on the same engine.
    previous: Vec<Option<usize>>,
    /// The position of the operation after it on the same engine.
    next: Vec<Option<usize>>,
    /// How many operations of each engine stand before each position.
    before: Vec<[usize; 4]>,
}

impl<'a> Solution<'a> {
    fn new(engines: &'a [usize], needs: &Needs) -> Self {
        let n = engines.len();
        let mut s = Solution {
            engines,
            waits: vec![Vec::new(); n],
            signals: vec![Vec::new(); n],
            starts: vec![[0; 4]; n],
            previous: vec![None; n],
            next: vec![None; n],
            before: vec![[0; 4]; n],
        };
        let mut ends: Vec<Clock> = Vec::with_capacity(n);
        let mut last: [Option<usize>; 4] = [None; 4];
        let mut count = [0; 4];
        for (index, &engine) in engines.iter().enumerate() {
            s.before[index] = count;
            count[engine] += 1;
            s.previous[index] = last[engine];
            if let Some(previous) = last[engine] {
                s.next[previous] = Some(index);
            }
            let base = last[engine].map_or([0; 4], |p| s.starts[p]);
            last[engine] = Some(index);
            let open: Vec<usize> = (0..4)
                .filter(|&e| needs[index][e] > base[e])
                .map(|e| needs[index][e] - 1)
                .collect();
            let follows = |&from: &usize| {
                open.iter()
                    .any(|&other| other != from && ends[other][engines[from]] > from)
            };
            let mut waits: Vec<usize> =
                open.iter().copied().filter(|from| !follows(from)).collect();
            waits.sort_unstable();
            let mut clock = base;
            for &from in &waits {
                join(&mut clock, &ends[from]);
                s.signals[from].push(index);
            }
            s.starts[index] = clock;
            s.waits[index] = waits;
            clock[engine] = index + 1;
            ends.push(clock);
        }
        s
    }

    /// A third wait moves to the operation before, or behind another of the three.
    fn too_many_waits(&self) -> Vec<(usize, usize)> {
        let full = self
            .waits
            .iter()
            .enumerate()
            .filter(|(_, waits)| waits.len() > 2);
        full.map(|(index, waits)| match self.previous[index] {
            Some(previous) if previous > waits[0] => (waits[0], previous),
            _ => (waits[0], waits[1]),
        })
        .collect()
    }

    /// A third signal moves to the operation after, or follows from another of the three.
    fn too_many_signals(&self) -> Vec<(usize, usize)> {
        let full = self
            .signals
            .iter()
            .enumerate()
            .filter(|(_, signals)| signals.len() > 2);
        full.map(
            |(index, signals)| match (self.next[index], signals[signals.len() - 1]) {
                (Some(next), last) if next < last => (next, last),
                (_, last) => (signals[signals.len() - 2], last),
            },
        )
        .collect()
    }

    /// A counter that could pass `max` either makes its producer wait, or gets fewer tokens.
    fn overflows(&self, max: usize, depth: usize) -> Vec<(usize, usize)> {
        let mut more = Vec::new();
        for tokens in self.pairs().values() {
            for (&(_, taker), &(signaller, _)) in tokens.iter().zip(tokens.iter().skip(max)) {
                let consumer = self.engines[taker];
                if taker > signaller {
                    // As many of the tokens that are raised by then as the counter cannot hold become one.
                    let raised = tokens.partition_point(|t| t.0 < taker);
                    more.push((tokens[raised - max].0, taker));
                } else if self.starts[signaller][consumer] <= taker
                    && self.before[signaller][consumer] - self.before[taker][consumer] <= depth
                {
                    more.push((taker, signaller));
                }
            }
        }
        more
    }

    /// The tokens of each pair of engines, as (signaller, taker), in order.
    fn pairs(&self) -> BTreeMap<(usize, usize), Vec<(usize, usize)>> {
        let mut pairs: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for (taker, waits) in self.waits.iter().enumerate() {
            for &signaller in waits {
                pairs
                    .entry((self.engines[signaller], self.engines[taker]))
                    .or_default()
                    .push((signaller, taker));
            }
        }
        pairs
    }

    /// Sends all tokens of one pair through a third engine, so that one semaphore fewer is needed.
    fn detours(&self) -> Option<Vec<(usize, usize)>> {
        let pairs = self.pairs();
        let mut by_use: Vec<_> = pairs.iter().collect();
        by_use.sort_by_key(|(pair, tokens)| (tokens.len(), **pair));
        by_use
            .into_iter()
            .find_map(|((producer, consumer), tokens)| {
                (0..4)
                    .filter(|via| {
                        pairs.contains_key(&(*producer, *via))
                            && pairs.contains_key(&(*via, *consumer))
                    })
                    .find_map(|via| {
                        let hops = tokens.iter().map(|&(from, to)| {
                            let hop = (from + 1..to).find(|&at| self.engines[at] == via)?;
                            Some([(from, hop), (hop, to)])
                        });
                        Some(
                            hops.collect::<Option<Vec<_>>>()?
                                .into_iter()
                                .flatten()
                                .collect(),
                        )
                    })
            })
    }

    fn tokens(&self) -> Tokens {
        let pairs = self.pairs();
        let name = |e: usize| Engine::ALL[e];
        let id = |pair: (usize, usize)| {
            Semaphore(
                pairs
                    .keys()
                    .position(|p| *p == pair)
                    .expect("every token has a pair")
                    .fit::<u8>(),
            )
        };
        let two = |list: &[usize], id: &dyn Fn(usize) -> Semaphore| {
            let mut slots = [None; 2];
            list.iter()
                .zip(&mut slots)
                .for_each(|(&other, slot)| *slot = Some(id(other)));
            slots
        };
        let of = |index: usize| self.engines[index];
        let waits = self.waits.iter().enumerate().map(|(to, list)| {
            two(list, &|from| id((of(from), of(to)))).map(|s| {
                s.map(|semaphore| Wait {
                    semaphore,
                    amount: 1,
                })
            })
        });
        let signals = self
            .signals
            .iter()
            .enumerate()
            .map(|(from, list)| two(list, &|to| id((of(from), of(to)))));
        let semaphores = pairs.keys().map(|&(producer, consumer)| SemaphoreUse {
            meaning: meaning(name(producer), name(consumer)).to_owned(),
            producer: name(producer),
            consumer: name(consumer),
        });
        Tokens {
            waits: waits.collect(),
            signals: signals.collect(),
            semaphores: semaphores.collect(),
        }
    }
}

fn meaning(producer: Engine, consumer: Engine) -> &'static str {
    match (producer, consumer) {
        (Engine::Load, Engine::Exec) => "weights or activations loaded",
        (Engine::Load, Engine::Vec) => "parameters, tables or activations loaded",
        (Engine::Load, Engine::Store) => "bank no longer written by load",
        (Engine::Exec, Engine::Load) => "weights or activations no longer read by exec",
        (Engine::Exec, Engine::Vec) => "sums ready",
        (Engine::Exec, Engine::Store) => "bank no longer read by exec",
        (Engine::Vec, Engine::Load) => "parameters or bank no longer used by vec",
        (Engine::Vec, Engine::Exec) => "sums taken, activations ready",
        (Engine::Vec, Engine::Store) => "results ready",
        (Engine::Store, Engine::Load) => "tensor in memory",
        (Engine::Store, Engine::Exec) => "bank no longer read by store",
        (Engine::Store, Engine::Vec) => "results stored",
        _ => "order",
    }
}
