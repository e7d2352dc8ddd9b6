//! Operations to instructions: registers, waits and signals.
//!
//! An operation is appended only if semaphores can put it behind everything it depends on, under any timing, and
//! without a counter that could overflow. What an operation may rely on is kept as a vector clock: for each engine the
//! last operation that has surely signalled when this one starts.

use std::collections::{BTreeMap, BTreeSet};

use ir::arch::Arch;
use ir::isa::{Engine, Instruction, Register, Semaphore, Wait};
use ir::operation::{Advance, Operation};
use ir::program::SemaphoreUse;

use super::places::{Place, Places};
use super::random::Random;

/// An operation with the seed of all that is free about its instructions.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) operation: Operation,
    pub(super) seed: u64,
}

/// For each engine the number of its operations that have signalled.
type Clock = [u32; 4];

#[derive(Clone)]
struct Emitted {
    /// Index of the run instruction.
    index: usize,
    /// What has signalled before it starts.
    known: Clock,
}

#[derive(Clone)]
struct Channel {
    producer: Engine,
    consumer: Engine,
    /// The operation, by number from 1, that raised each token.
    raised: Vec<u32>,
    /// The operation, by number from 1, that takes each token.
    taken: Vec<u32>,
}

/// One wait: the last operation that raises a token for it, and on which semaphore.
#[derive(Clone, Copy)]
struct Edge {
    semaphore: usize,
    operation: u32,
}

/// A program that grows by one operation at a time.
pub(super) struct Emitter<'a> {
    arch: &'a Arch,
    pub(super) instructions: Vec<Instruction>,
    /// The item of each instruction.
    pub(super) layer_of: Vec<u16>,
    registers: BTreeMap<Register, u32>,
    written: BTreeSet<Place>,
    readers: BTreeMap<Place, Clock>,
    writers: BTreeMap<Place, Clock>,
    operations: [Vec<Emitted>; 4],
    channels: Vec<Channel>,
    limit: usize,
}

/// How many operations back an edge may start.
const REACH: u32 = 10;

impl<'a> Emitter<'a> {
    /// A program without instructions, on `semaphores` and with memory words for which `initial` holds.
    pub(super) fn new(
        arch: &'a Arch,
        semaphores: &[(Engine, Engine)],
        initial: std::ops::Range<u32>,
        instruction_limit: usize,
    ) -> Emitter<'a> {
        let channel = |&(producer, consumer): &(Engine, Engine)| Channel {
            producer,
            consumer,
            raised: Vec::new(),
            taken: Vec::new(),
        };
        Emitter {
            arch,
            instructions: Vec::new(),
            layer_of: Vec::new(),
            registers: BTreeMap::new(),
            written: initial.map(Place::Memory).collect(),
            readers: BTreeMap::new(),
            writers: BTreeMap::new(),
            operations: Default::default(),
            channels: semaphores.iter().map(channel).collect(),
            limit: instruction_limit,
        }
    }

    /// Whether the place holds something that the program wrote.
    pub(super) fn holds(&self, place: Place) -> bool {
        self.written.contains(&place)
    }

    /// What the first field of `register` holds, if that is known.
    pub(super) fn held(&self, register: Register) -> Option<u32> {
        let mask = (1u32 << register.fields()[0].width) - 1;
        self.registers.get(&register).map(|value| value & mask)
    }

    pub(super) fn semaphores(&self) -> Vec<SemaphoreUse> {
        let meaning = |c: &Channel| format!("{} to {}", c.producer.name(), c.consumer.name());
        self.channels
            .iter()
            .map(|c| SemaphoreUse {
                meaning: meaning(c),
                producer: c.producer,
                consumer: c.consumer,
            })
            .collect()
    }

    /// Appends the operation as layer `layer`; `false`, with nothing changed, when it cannot be put in order.
    pub(super) fn push(&mut self, item: &Item, layer: u16) -> bool {
        let mut random = Random::new(item.seed);
        let Some(places) = Places::of(&item.operation, self.arch) else {
            return false;
        };
        let Ok(settings) = item.operation.settings() else {
            return false;
        };
        let mut registers: Vec<(Register, u32)> = settings.into_iter().collect();
        let holds = places
            .reads
            .iter()
            .chain(&places.partial)
            .all(|place| self.written.contains(place));
        if !holds || self.instructions.len() + registers.len() + 2 > self.limit {
            return false;
        }
        let engine = item.operation.engine();
        let mut needs: Clock = [0; 4];
        for (places, earlier) in [
            (&places.reads, &self.writers),
            (&places.writes, &self.writers),
            (&places.writes, &self.readers),
        ] {
            for clock in places.iter().filter_map(|place| earlier.get(place)) {
                merge(&mut needs, clock);
            }
        }
        // An engine works in order, and what it wrote it can read.
        needs[engine.index()] = 0;
        let Some((known, edges)) = self.edges(engine, &needs, &mut random) else {
            return false;
        };

        random.shuffle(&mut registers);
        for (register, value) in registers {
            if self.registers.get(&register) != Some(&value) || random.chance(8) {
                self.append(Instruction::Configure { register, value }, layer);
                self.registers.insert(register, value);
            }
        }
        if random.chance(3) {
            self.append(Instruction::Nop, layer);
        }
        let number = self.operations[engine.index()].len() as u32 + 1;
        let mut run = item.operation.run();
        for (slot, edge) in edges.into_iter().enumerate() {
            let amount = self.take(edge, number, &mut random);
            run.waits[slot] = Some(Wait {
                semaphore: Semaphore(edge.semaphore as u8),
                amount,
            });
        }
        self.append(Instruction::Run(run), layer);
        self.operations[engine.index()].push(Emitted {
            index: self.instructions.len() - 1,
            known,
        });
        self.note(&item.operation, engine, number, &places);
        true
    }

    fn append(&mut self, instruction: Instruction, layer: u16) {
        self.instructions.push(instruction);
        self.layer_of.push(layer);
    }

    fn note(&mut self, operation: &Operation, engine: Engine, number: u32, places: &Places) {
        for (list, table) in [
            (&places.reads, &mut self.readers),
            (&places.writes, &mut self.writers),
        ] {
            for place in list {
                table.entry(*place).or_default()[engine.index()] = number;
            }
        }
        self.written.extend(places.writes.iter().copied());
        for advance in operation.advances(self.arch) {
            self.advance(&advance);
        }
    }

    /// Moves a register as the hardware does; beyond the end of its memory nothing is known about it.
    fn advance(&mut self, advance: &Advance) {
        let known = self.registers.remove(&advance.register);
        if let Some(value) = known.and_then(|value| advance.within(value)) {
            self.registers.insert(advance.register, value);
        }
    }

    /// The waits, at most two, that make sure of `needs`, and all that is known with them.
    fn edges(
        &self,
        engine: Engine,
        needs: &Clock,
        random: &mut Random,
    ) -> Option<(Clock, Vec<Edge>)> {
        let base = self.operations[engine.index()]
            .last()
            .map_or([0; 4], |last| last.known);
        let mut base = base;
        base[engine.index()] = self.operations[engine.index()].len() as u32;
        let mut candidates = self.candidates(engine);
        random.shuffle(&mut candidates);
        let with = |known: &Clock, edge: &Edge| {
            let producer = self.channels[edge.semaphore].producer.index();
            let mut known = *known;
            merge(
                &mut known,
                &self.operations[producer][edge.operation as usize - 1].known,
            );
            known[producer] = known[producer].max(edge.operation);
            known
        };
        let enough = |known: &Clock| needs.iter().zip(known).all(|(need, have)| have >= need);
        let mut found = enough(&base).then(|| (base, Vec::new()));
        if found.is_none() {
            found = candidates
                .iter()
                .map(|edge| (with(&base, edge), vec![*edge]))
                .find(|(known, _)| enough(known));
        }
        if found.is_none() {
            'pairs: for first in &candidates {
                let known = with(&base, first);
                for second in candidates
                    .iter()
                    .filter(|second| self.producer(second) != self.producer(first))
                {
                    let both = with(&known, second);
                    if enough(&both) {
                        found = Some((both, vec![*first, *second]));
                        break 'pairs;
                    }
                }
            }
        }
        let (mut known, mut edges) = found?;
        // Waits that nothing asks for keep the clocks young, and the semaphores busy.
        if edges.len() < 2
            && random.chance(50)
            && let Some(extra) = candidates
                .iter()
                .find(|c| edges.iter().all(|e| self.producer(e) != self.producer(c)))
        {
            known = with(&known, extra);
            edges.push(*extra);
        }
        random.shuffle(&mut edges);
        Some((known, edges))
    }

    /// Two waits of one operation come from two engines, so that they never want the same slot of a signal.
    fn producer(&self, edge: &Edge) -> Engine {
        self.channels[edge.semaphore].producer
    }

    /// All single tokens that some earlier operation could raise for the next one of `engine`.
    fn candidates(&self, engine: Engine) -> Vec<Edge> {
        let mut list = Vec::new();
        for (semaphore, channel) in self
            .channels
            .iter()
            .enumerate()
            .filter(|(_, c)| c.consumer == engine)
        {
            let producers = self.operations[channel.producer.index()].len() as u32;
            let after = channel
                .raised
                .last()
                .copied()
                .unwrap_or(0)
                .max(producers.saturating_sub(REACH));
            let fits =
                |operation: &u32| self.can_raise(semaphore, *operation, channel.raised.len());
            list.extend((after + 1..=producers).filter(fits).map(|operation| Edge {
                semaphore,
                operation,
            }));
        }
        list
    }

    /// Whether `operation` can raise token `token` of the semaphore: a free slot, and no overflow under any timing.
    fn can_raise(&self, semaphore: usize, operation: u32, token: usize) -> bool {
        let channel = &self.channels[semaphore];
        let emitted = &self.operations[channel.producer.index()][operation as usize - 1];
        let Instruction::Run(run) = &self.instructions[emitted.index] else {
            return false;
        };
        let room = (1usize << self.arch.semaphores.bits) - 1;
        let taken = match token.checked_sub(room) {
            None => true,
            Some(earlier) => channel
                .taken
                .get(earlier)
                .is_some_and(|taker| emitted.known[channel.consumer.index()] >= *taker),
        };
        taken && run.signals.iter().any(Option::is_none)
    }

    /// Raises the token of `edge`, perhaps some more before it, and gives the number that the taker waits for.
    fn take(&mut self, edge: Edge, taker: u32, random: &mut Random) -> u8 {
        let channel = &self.channels[edge.semaphore];
        let after = channel.raised.last().copied().unwrap_or(0);
        let first_token = channel.raised.len();
        let mut raising = Vec::new();
        for operation in after + 1..edge.operation {
            let token = first_token + raising.len();
            // The token of the edge itself comes after this one, and must still fit.
            let fits = self.can_raise(edge.semaphore, operation, token)
                && self.can_raise(edge.semaphore, edge.operation, token + 1);
            if raising.len() < 6 && random.chance(35) && fits {
                raising.push(operation);
            }
        }
        raising.push(edge.operation);
        for &operation in &raising {
            let producer = self.channels[edge.semaphore].producer.index();
            let index = self.operations[producer][operation as usize - 1].index;
            if let Instruction::Run(run) = &mut self.instructions[index] {
                let slot = run
                    .signals
                    .iter_mut()
                    .find(|slot| slot.is_none())
                    .expect("a slot is free");
                *slot = Some(Semaphore(edge.semaphore as u8));
            }
        }
        let channel = &mut self.channels[edge.semaphore];
        channel.taken.extend(raising.iter().map(|_| taker));
        channel.raised.extend(&raising);
        raising.len() as u8
    }
}

fn merge(clock: &mut Clock, other: &Clock) {
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}
