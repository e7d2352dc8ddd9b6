//! The machine in time: FETCH, the engines, the read arbiter and the memory, as `docs/concepts/timing.md` says.
//!
//! All units are asked for the next cycle in which they can act, and the machine moves on to the earliest one.
//! In that cycle all of them act on the state at its start, so the order in which they are called does not show:
//! each part of the state has one writer, or is written after all its readers.
//! Between two such cycles every unit stays in one state, whose cycles are counted at once.
//! The cost is that of the instructions and bursts of the program, not of its cycles.

mod fetch;
mod memory;
mod queue;
mod read_port;
mod semaphores;
mod transfer;

use ir::arch::Arch;
use ir::isa::{Engine, Instruction, Run};
use ir::memory::Channel;
use ir::operation::{OperandError, Operation, Registers};
use ir::program::{Checked, Program};

pub use memory::MemoryTiming;

use crate::error::SimError;
use crate::function::Values;
use crate::record::{EngineState, Record};
use fetch::Fetch;
pub(crate) use fetch::FetchStep;
use memory::Memory;
use queue::Queue;
use read_port::{Granted, ReadPort, Reader};
use semaphores::Semaphores;
use transfer::{LoadBursts, StoreBursts};

/// A cycle that does not come.
const NEVER: u64 = u64::MAX;

/// One of something for each engine, by [`Engine::index`].
type PerEngine<T> = [T; 4];

/// An operation that an engine runs.
struct Running {
    index: usize,
    start: u64,
    /// Known at the start, or when the memory has accepted the last burst.
    last: Option<u64>,
}

struct Machine<'a> {
    program: &'a Program,
    arch: &'a Arch,
    fetch: Fetch<'a>,
    queues: PerEngine<Queue>,
    running: PerEngine<Option<Running>>,
    semaphores: Semaphores,
    read_port: ReadPort,
    load: Option<LoadBursts>,
    store: Option<StoreBursts>,
    memory: Memory,
}

/// Runs the program from the doorbell in cycle 0 until the machine is quiet.
///
/// Operations are given to `values` in the order of their starts.
pub(crate) fn run(
    checked: Checked<'_>,
    timing: MemoryTiming,
    registers: &mut Registers,
    mut values: Option<&mut Values<'_>>,
    record: &mut Record<'_>,
) -> Result<(), SimError> {
    let mut machine = Machine::new(checked, timing)?;
    let mut cycle = 0;
    while !machine.quiet() {
        let next = machine.next(cycle);
        assert_ne!(next, NEVER, "a checked program ends");
        machine.idle(cycle + 1, next - cycle - 1, record);
        cycle = next;
        machine.step(cycle, registers, values.as_deref_mut(), record)?;
    }
    record.finish(cycle);
    Ok(())
}

impl<'a> Machine<'a> {
    fn new(checked: Checked<'a>, timing: MemoryTiming) -> Result<Machine<'a>, SimError> {
        let (program, arch) = (checked.program, checked.arch);
        Ok(Machine {
            program,
            arch,
            fetch: Fetch::new(checked),
            queues: Engine::ALL.map(|engine| Queue::new(program, engine, arch.queues.depth)),
            running: [const { None }; 4],
            semaphores: Semaphores::new(arch),
            read_port: ReadPort::default(),
            load: None,
            store: None,
            memory: Memory::new(arch, timing)?,
        })
    }

    fn quiet(&self) -> bool {
        self.fetch.done()
            && self.queues.iter().all(Queue::is_empty)
            && self.semaphores.next() == NEVER
    }

    /// The next cycle in which any unit acts, after `cycle`.
    fn next(&self, cycle: u64) -> u64 {
        let engines = Engine::ALL.map(|engine| self.next_of_engine(engine));
        let units = [
            self.next_of_read_port(),
            self.next_of_write_port(),
            self.fetch.next(cycle, &self.queues),
            self.semaphores.next(),
        ];
        let next = engines.into_iter().chain(units).fold(NEVER, u64::min);
        next.max(cycle + 1)
    }

    fn next_of_engine(&self, engine: Engine) -> u64 {
        if let Some(running) = &self.running[engine.index()] {
            return running.last.unwrap_or(NEVER);
        }
        match self.head(engine) {
            Some((_, Instruction::Run(run))) if self.semaphores.missing(run).is_some() => NEVER,
            Some(_) => 0,
            None => NEVER,
        }
    }

    fn next_of_read_port(&self) -> u64 {
        let load_from = self.load.as_ref().map_or(NEVER, LoadBursts::request_from);
        let memory = self.memory.free_from(Channel::Read);
        self.read_port
            .next(load_from, self.fetch.request_from(), memory)
    }

    fn next_of_write_port(&self) -> u64 {
        let offered = self.store.as_ref().map_or(NEVER, StoreBursts::offered_from);
        offered.max(self.memory.free_from(Channel::Write))
    }

    fn head(&self, engine: Engine) -> Option<(usize, &'a Instruction)> {
        let index = self.queues[engine.index()].head()?;
        Some((index, &self.program.instructions[index]))
    }

    /// Counts `n` cycles from `from` on in which no unit acts.
    fn idle(&self, from: u64, n: u64, record: &mut Record<'_>) {
        if n == 0 {
            return;
        }
        for engine in Engine::ALL {
            let state = self.engine_state(engine);
            let next = self.queues[engine.index()].next();
            record.engine(engine, state, next, from, n);
        }
        record.fetch(self.fetch.decide(from, &self.queues), from, n);
    }

    /// The state of an engine that does not act.
    fn engine_state(&self, engine: Engine) -> EngineState {
        if self.running[engine.index()].is_some() {
            return EngineState::Busy;
        }
        match self.head(engine) {
            Some((_, Instruction::Run(run))) => {
                let missing = self.semaphores.missing(run);
                let wait = missing.expect("an engine whose head can start acts");
                EngineState::Wait(self.program.semaphores[wait.semaphore.0 as usize].producer)
            }
            _ => EngineState::Empty,
        }
    }

    fn step(
        &mut self,
        cycle: u64,
        registers: &mut Registers,
        mut values: Option<&mut Values<'_>>,
        record: &mut Record<'_>,
    ) -> Result<(), SimError> {
        // A memory on chip prefers the write.
        self.step_write_port(cycle, record);
        self.step_read_port(cycle, record);
        let fetch = self.fetch.decide(cycle, &self.queues);
        record.fetch(fetch, cycle, 1);
        for engine in Engine::ALL {
            let next = self.queues[engine.index()].next();
            let state =
                self.step_engine(engine, cycle, registers, values.as_deref_mut(), record)?;
            record.engine(engine, state, next, cycle, 1);
        }
        // What follows is visible from the next cycle on.
        self.semaphores.raise(cycle, self.program)?;
        if fetch == FetchStep::Dispatch {
            self.fetch.dispatch(cycle, &mut self.queues);
        }
        Ok(())
    }

    fn step_write_port(&mut self, cycle: u64, record: &mut Record<'_>) {
        if self.next_of_write_port() > cycle {
            return;
        }
        let store = self.store.as_mut().expect("a STORE offers the burst");
        let words = store.burst();
        let beats = self.memory.accept(Channel::Write, cycle, words);
        record.store_burst(words, cycle, beats.response);
        if let Some(last) = store.accept(beats) {
            self.store = None;
            self.end(Engine::Store, last, record);
        }
    }

    fn step_read_port(&mut self, cycle: u64, record: &mut Record<'_>) {
        let load_from = self.load.as_ref().map_or(NEVER, LoadBursts::request_from);
        let fetch_from = self.fetch.request_from();
        if let Some(granted) = self.read_port.held {
            let accepted = granted
                .offered_from
                .max(self.memory.free_from(Channel::Read))
                <= cycle;
            if !accepted {
                return;
            }
            self.accept_read(granted, cycle, record);
        }
        let reader = ReadPort::choose(load_from, fetch_from, cycle);
        self.read_port.held = reader.map(|reader| Granted {
            reader,
            words: match reader {
                Reader::Load => self.load.as_mut().expect("LOAD requests").grant(cycle),
                Reader::Fetch => self.fetch.grant(cycle),
            },
            offered_from: cycle + 1,
        });
    }

    fn accept_read(&mut self, granted: Granted, cycle: u64, record: &mut Record<'_>) {
        let beats = self.memory.accept(Channel::Read, cycle, granted.words);
        match granted.reader {
            Reader::Fetch => {
                record.fetch_burst(granted.words, cycle, beats.last);
                self.fetch.accept(beats);
            }
            Reader::Load => {
                record.load_burst(granted.words, cycle, beats.last);
                let load = self.load.as_mut().expect("a LOAD waits for the burst");
                if let Some(last) = load.accept(beats) {
                    self.load = None;
                    self.end(Engine::Load, last, record);
                }
            }
        }
    }

    /// Lets `engine` act in `cycle`; gives its state in this cycle.
    fn step_engine(
        &mut self,
        engine: Engine,
        cycle: u64,
        registers: &mut Registers,
        values: Option<&mut Values<'_>>,
        record: &mut Record<'_>,
    ) -> Result<EngineState, SimError> {
        let e = engine.index();
        if let Some(running) = &self.running[e] {
            if running.last == Some(cycle) {
                self.running[e] = None;
                self.queues[e].pop();
            }
            return Ok(EngineState::Busy);
        }
        match self.head(engine) {
            None => Ok(EngineState::Empty),
            Some((_, Instruction::Nop)) => unreachable!("a nop goes to no queue"),
            Some((_, &Instruction::Configure { register, value })) => {
                registers.set(register, value);
                self.queues[e].pop();
                Ok(EngineState::Configure)
            }
            Some((_, Instruction::Run(run))) if self.semaphores.missing(run).is_some() => {
                Ok(self.engine_state(engine))
            }
            Some((index, Instruction::Run(run))) => {
                self.semaphores.take(run);
                self.start(engine, index, run, cycle, registers, values, record)?;
                Ok(EngineState::Busy)
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a start touches every part of a run"
    )]
    fn start(
        &mut self,
        engine: Engine,
        index: usize,
        run: &Run,
        cycle: u64,
        registers: &mut Registers,
        values: Option<&mut Values<'_>>,
        record: &mut Record<'_>,
    ) -> Result<(), SimError> {
        let fault = |error: OperandError| SimError::Operand {
            index,
            instruction: self.program.instructions[index].to_string(),
            reason: error.to_string(),
        };
        let operation = Operation::read(registers, run).map_err(fault)?;
        operation.fits(self.arch).map_err(fault)?;
        if let Some(values) = values {
            values.execute(index, run, &operation)?;
        }
        for advance in operation.advances(self.arch) {
            registers.advance(&advance);
        }
        self.running[engine.index()] = Some(Running {
            index,
            start: cycle,
            last: None,
        });
        match &operation {
            Operation::Load(load) => self.load = Some(LoadBursts::new(load, cycle, self.arch)),
            Operation::Store(store) => self.store = Some(StoreBursts::new(store, cycle, self.arch)),
            Operation::Exec(exec) => record.macs(&exec.window),
            Operation::Requantise(_)
            | Operation::MaxPool(_)
            | Operation::Lookup(_)
            | Operation::Pack(_) => {}
        }
        if let Some(cycles) = operation.cycles(self.arch) {
            self.end(engine, cycle + cycles, record);
        }
        Ok(())
    }

    /// Notes that the operation on `engine` ends in `last`, which is still to come.
    fn end(&mut self, engine: Engine, last: u64, record: &mut Record<'_>) {
        let running = self.running[engine.index()].as_mut();
        let running = running.expect("an operation runs until its end");
        running.last = Some(last);
        let drain = if engine == Engine::Exec {
            self.arch.exec_drain_cycles()
        } else {
            0
        };
        let signal = last + drain;
        record.span(running.index, engine, running.start, last, signal);
        if let Instruction::Run(run) = &self.program.instructions[running.index] {
            self.semaphores.schedule(run, running.index, signal);
        }
    }
}
