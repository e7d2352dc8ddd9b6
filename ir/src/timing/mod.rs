//! How long a program takes: `docs/concepts/timing.md` as a max-plus recurrence.
//!
//! An instruction starts when it is dispatched, the one before it on its engine has ended and its tokens are there: the
//! latest of the three. So one pass over the program gives every start and end, each unit running ahead as far as what
//! it waits for is known. Only the order in which bursts reach the memory depends on time: where no unit can go on, the
//! earliest burst moves.
//!
//! The cost is that of the instructions and bursts, whatever the number of cycles.
//!
//! This is the one statement of time in Rust: the search asks it what a mapping costs, and the simulator what happens when.
//! The RTL is the other, independent one; their agreement is measured for every instruction and counter.
//! Not here: values, and what the cycles are counted for.

mod fetch;
mod memory;
mod transfer;
mod unit;

use crate::arch::Arch;
use crate::isa::{Engine, Instruction};
use crate::memory::{Channel, MemoryModel};
use crate::operation::Operation;
use fetch::Fetch;
use memory::Memory;
use unit::{Next, Unit, Work};

/// A cycle that does not come.
const NEVER: u64 = u64::MAX;

/// What each unit of the machine does when, in cycles after the doorbell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Cycles from the doorbell until the machine is quiet.
    pub cycles: u64,
    /// What FETCH dispatches, in program order, with the nops that fill the last chunk.
    pub dispatches: Vec<Dispatch>,
    /// What each engine executes, in program order, by [`Engine::index`].
    pub steps: [Vec<Step>; 4],
    /// What the memory accepts, in that order.
    pub bursts: Vec<Burst>,
}

/// An instruction that FETCH dispatches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// The first cycle in which it is there, and the one before it is dispatched.
    pub ready: u64,
    /// The cycle in which its queue takes it.
    pub cycle: u64,
}

/// An instruction that an engine executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its index in the program.
    pub index: usize,
    /// The cycle in which the queue took it; the engine sees it from the next on.
    pub pushed: u64,
    /// The first cycle in which the tokens of each of its waits are there, 0 without a wait.
    pub tokens: [u64; 2],
    /// Its first cycle.
    pub start: u64,
    /// Its last cycle.
    pub last: u64,
    /// The cycle in which its semaphores are raised; none for a register that is written.
    pub signal: Option<u64>,
}

/// Words that the memory accepts in one cycle and moves later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// LOAD or STORE; none for FETCH.
    pub engine: Option<Engine>,
    /// Number of words.
    pub words: u32,
    /// The cycle in which the memory accepts it.
    pub accepted: u64,
    /// The cycle of the last word read, or of the write response.
    pub last: u64,
}

impl Timeline {
    /// What `code`, which must end, does on a machine after reset; `operations` are those of its run instructions, as
    /// [`Operation::all`] gives them. `memory` does not matter where it is on chip.
    ///
    /// # Panics
    /// When the code does not end, which [`crate::Program::check`] finds out.
    pub fn of(
        code: &[Instruction],
        operations: &[Operation],
        arch: &Arch,
        memory: MemoryModel,
    ) -> Timeline {
        let mut machine = Machine::new(code, operations, arch, memory);
        while !machine.settle() {
            machine.burst();
        }
        machine.timeline()
    }

    /// Cycles in which `engine` runs operations.
    pub fn busy(&self, engine: Engine) -> u64 {
        let steps = self.steps[engine.index()].iter();
        let runs = steps.filter(|step| step.signal.is_some());
        runs.map(|step| step.last - step.start + 1).sum()
    }

    /// Cycles in which FETCH dispatches or waits for memory.
    pub fn fetching(&self) -> u64 {
        let mut before = 0;
        let mut cycles = 0;
        for dispatch in &self.dispatches {
            cycles += dispatch.ready - before;
            before = dispatch.cycle;
        }
        cycles
    }
}

struct Machine<'a> {
    arch: &'a Arch,
    fetch: Fetch,
    units: [Unit; 4],
    /// For each semaphore the cycles in which it was raised, and how many tokens were taken.
    raised: Vec<Vec<u64>>,
    taken: Vec<usize>,
    /// The request that the read arbiter holds.
    held: Option<Granted>,
    memory: Memory,
    bursts: Vec<Burst>,
    /// The last cycle in which something happens, as far as is known.
    cycles: u64,
}

/// A read that the arbiter has granted.
struct Granted {
    reader: Reader,
    words: u32,
    /// First cycle in which the memory sees it.
    offered_from: u64,
}

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Load,
    Fetch,
}

impl Reader {
    /// Who is granted in `cycle`, given when the requests of LOAD and FETCH become valid.
    fn choose(load_from: u64, fetch_from: u64, cycle: u64) -> Option<Reader> {
        if load_from <= cycle {
            Some(Reader::Load)
        } else if fetch_from <= cycle {
            Some(Reader::Fetch)
        } else {
            None
        }
    }
}

impl<'a> Machine<'a> {
    fn new(
        code: &[Instruction],
        operations: &[Operation],
        arch: &'a Arch,
        memory: MemoryModel,
    ) -> Machine<'a> {
        let mut units: [Unit; 4] = Default::default();
        let mut operations = operations.iter();
        for (index, instruction) in code.iter().enumerate() {
            let next = match instruction {
                Instruction::Nop => continue,
                Instruction::Configure { .. } => Next::configure(index),
                Instruction::Run(run) => {
                    let operation = operations.next().expect("one for each run");
                    Next::run(index, run, operation, arch)
                }
            };
            let engine = instruction.engine().expect("nops are left out");
            units[engine.index()].queue.push(next);
        }
        let semaphores = arch.semaphores.count as usize;
        Machine {
            arch,
            fetch: Fetch::new(code, arch),
            units,
            raised: vec![Vec::new(); semaphores],
            taken: vec![0; semaphores],
            held: None,
            memory: Memory::new(arch, memory),
            bursts: Vec::new(),
            cycles: 0,
        }
    }

    fn timeline(self) -> Timeline {
        Timeline {
            cycles: self.cycles,
            dispatches: self.fetch.dispatches,
            steps: self.units.map(|unit| unit.steps),
            bursts: self.bursts,
        }
    }

    /// Lets every unit run ahead as far as it can; true when all is done.
    fn settle(&mut self) -> bool {
        loop {
            let mut moved = self.fetch.dispatch(self.arch, &mut self.units);
            for engine in Engine::ALL {
                moved |= self.run(engine);
            }
            if !moved {
                break;
            }
        }
        self.cycles = self.cycles.max(self.fetch.last_dispatch());
        self.fetch.is_done() && self.units.iter().all(Unit::is_done)
    }

    /// Lets `engine` run ahead; true if it did.
    fn run(&mut self, engine: Engine) -> bool {
        let before = self.units[engine.index()].steps.len();
        while let Some((next, seen)) = self.units[engine.index()].head() {
            let next = *next;
            let Some(tokens) = self.tokens(&next) else {
                break;
            };
            self.take(&next);
            let start = tokens.into_iter().fold(seen, u64::max);
            self.units[engine.index()].begin(start, tokens, self.arch);
            match next.work {
                Work::Configure => self.end(engine, start),
                Work::Fixed(cycles) => self.end(engine, start + cycles),
                Work::Transfer { .. } => return true,
            }
        }
        self.units[engine.index()].steps.len() > before
    }

    /// The first cycles in which the tokens of each wait are there, if that is known.
    fn tokens(&self, next: &Next) -> Option<[u64; 2]> {
        let mut cycles = [0; 2];
        for (cycle, wait) in cycles.iter_mut().zip(next.waits) {
            let Some(wait) = wait else { continue };
            let id = wait.semaphore.0 as usize;
            let last = self.taken[id] + usize::from(wait.amount) - 1;
            *cycle = self.raised[id].get(last)? + 1;
        }
        Some(cycles)
    }

    fn take(&mut self, next: &Next) {
        for wait in next.waits.iter().flatten() {
            self.taken[wait.semaphore.0 as usize] += usize::from(wait.amount);
        }
    }

    /// Notes that what runs on `engine` ends in `last`.
    fn end(&mut self, engine: Engine, last: u64) {
        let drain = match engine {
            Engine::Exec => self.arch.exec_drain_cycles(),
            Engine::Load | Engine::Vec | Engine::Store => 0,
        };
        let (signals, signal) = self.units[engine.index()].end(last, drain);
        for semaphore in signals.iter().flatten() {
            self.raised[semaphore.0 as usize].push(signal);
        }
        self.cycles = self.cycles.max(signal);
    }

    /// Moves the burst that comes next: what is not yet known comes later than it.
    fn burst(&mut self) {
        let load_from = self.units[Engine::Load.index()].request_from();
        let fetch_from = self.fetch.request_from(self.arch);
        let free_from = |channel| self.memory.free_from(channel);
        let offered = self.units[Engine::Store.index()].offered_from();
        let write_at = offered.max(free_from(Channel::Write));
        let read_at = match &self.held {
            Some(held) => held.offered_from.max(free_from(Channel::Read)),
            None => load_from.min(fetch_from),
        };
        let cycle = write_at.min(read_at);
        assert_ne!(cycle, NEVER, "a checked program ends");
        // A memory on chip prefers the write.
        if write_at == cycle {
            self.write(cycle);
            return;
        }
        if let Some(held) = self.held.take() {
            self.read(&held, cycle);
        }
        // The arbiter does not see in this cycle what the acceptance makes room for.
        self.held = Reader::choose(load_from, fetch_from, cycle).map(|reader| Granted {
            reader,
            words: match reader {
                Reader::Load => self.units[Engine::Load.index()].grant(cycle),
                Reader::Fetch => self.fetch.grant(cycle, self.arch),
            },
            offered_from: cycle + 1,
        });
    }

    /// The memory accepts the burst of STORE.
    fn write(&mut self, cycle: u64) {
        let store = &mut self.units[Engine::Store.index()];
        let words = store.grant(cycle);
        let beats = self.memory.accept(Channel::Write, cycle, words);
        let end = store.written(&beats);
        self.note(Some(Engine::Store), words, cycle, beats.response);
        if let Some(last) = end {
            self.end(Engine::Store, last);
        }
    }

    /// The memory accepts the read that the arbiter holds.
    fn read(&mut self, held: &Granted, cycle: u64) {
        let beats = self.memory.accept(Channel::Read, cycle, held.words);
        match held.reader {
            Reader::Fetch => {
                self.note(None, held.words, cycle, beats.last);
                self.fetch.accept(beats);
            }
            Reader::Load => {
                self.note(Some(Engine::Load), held.words, cycle, beats.last);
                if let Some(last) = self.units[Engine::Load.index()].read(&beats) {
                    self.end(Engine::Load, last);
                }
            }
        }
    }

    fn note(&mut self, engine: Option<Engine>, words: u32, accepted: u64, last: u64) {
        self.bursts.push(Burst {
            engine,
            words,
            accepted,
            last,
        });
    }
}
