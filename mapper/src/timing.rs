//! How long a program takes: `docs/concepts/timing.md` as a max-plus recurrence.
//!
//! An instruction starts when it is dispatched, the one before it on its engine has ended and its tokens are there: the
//! latest of the three. So one pass over the program gives every start and end, each unit running ahead as far as what
//! it waits for is known. Only the order in which bursts reach the memory depends on time: where no unit can go on, the
//! earliest burst moves.
//!
//! The cost is that of the instructions and bursts, whatever the number of cycles.
//! Written from the contract and not from the simulator, so that their agreement is a test of both.
//! Deliberately not here: values, and the reason of each wait; the simulator has both.

use ir::arch::latency::{ON_CHIP_READ, ON_CHIP_WRITE, STORE_LEAD};
use ir::arch::{Arch, Attachment};
use ir::isa::{Engine, Instruction, Run, Semaphore, Wait};
use ir::memory::{Channel, MemoryModel};
use ir::operation::{Load, Operation, Registers, Store};
use ir::program::instruction_words;

/// A cycle that does not come.
const NEVER: u64 = u64::MAX;

/// How long a program takes, and what its units do meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Cycles from the doorbell until the machine is quiet.
    pub(crate) cycles: u64,
    /// Busy cycles of each engine.
    pub(crate) busy: [u64; 4],
    /// Cycles in which FETCH dispatches or waits for memory.
    pub(crate) fetch: u64,
    /// Words that LOAD and STORE move.
    pub(crate) traffic_words: u64,
}

/// Runs `code`, which must end, on a machine after reset.
pub(crate) fn times(code: &[Instruction], arch: &Arch, memory: MemoryModel) -> Times {
    let mut machine = Machine::new(code, arch, memory);
    while !machine.settle() {
        machine.burst();
    }
    machine.times
}

/// What an instruction keeps its engine busy with.
#[derive(Clone, Copy)]
enum Work {
    Configure,
    /// Cycles from the start to the last cycle.
    Fixed(u64),
    Transfer {
        address: u32,
        words: u32,
    },
}

/// One instruction in the queue of its engine.
struct Step {
    work: Work,
    waits: [Option<Wait>; 2],
    signals: [Option<Semaphore>; 2],
}

/// An engine with all it will ever receive.
#[derive(Default)]
struct Unit {
    steps: Vec<Step>,
    /// Cycles in which instructions were dispatched to it.
    pushed: Vec<u64>,
    /// Last cycles of its instructions.
    popped: Vec<u64>,
    free_from: u64,
    /// The transfer under way, with its start.
    transfer: Option<(u64, Transfer)>,
}

/// A LOAD or STORE between its start and its last burst.
struct Transfer {
    address: u32,
    words: u32,
    burst_words: u32,
    granted: usize,
    accepted: usize,
    /// First cycle in which the next burst may be requested, its room apart.
    from: u64,
    /// Last beats of accepted bursts, by burst number modulo their length.
    last_beats: Vec<u64>,
}

impl Transfer {
    fn new(address: u32, words: u32, arch: &Arch, from: u64) -> Transfer {
        Transfer {
            address,
            words,
            burst_words: arch.memory.burst_words,
            granted: 0,
            accepted: 0,
            from,
            last_beats: vec![0; arch.load.outstanding as usize],
        }
    }

    /// Takes the words of the next burst: to the next multiple of the burst length, or to the end.
    fn cut(&mut self) -> u64 {
        let words = self
            .words
            .min(self.burst_words - self.address % self.burst_words);
        self.address = self.address.wrapping_add(words);
        self.words -= words;
        words.into()
    }

    /// The cycle from which the request for the next burst of a LOAD is valid.
    fn request_from(&self) -> u64 {
        let outstanding = self.last_beats.len();
        let room = match self.granted.checked_sub(outstanding) {
            None => 0,
            Some(before) if before < self.accepted => self.last_beats[before % outstanding] + 1,
            Some(_) => NEVER,
        };
        if self.words == 0 {
            NEVER
        } else {
            room.max(self.from)
        }
    }
}

/// When the words of an accepted burst move.
#[derive(Clone, Copy)]
struct Beats {
    first: u64,
    gap: u64,
    last: u64,
    response: u64,
}

/// One channel of the memory behind a port; memory on chip has one for both.
#[derive(Default)]
struct Port {
    number: u64,
    free_from: u64,
    last_beat: u64,
    last_response: u64,
}

/// The request that the read arbiter holds.
struct Granted {
    fetch: bool,
    words: u64,
    offered_from: u64,
}

struct Machine<'a> {
    arch: &'a Arch,
    memory: MemoryModel,
    /// The engine of each instruction; none for a nop.
    engines: Vec<Option<Engine>>,
    units: [Unit; 4],
    /// For each semaphore the cycles in which it was raised, and how many tokens were taken.
    raised: Vec<Vec<u64>>,
    taken: Vec<usize>,
    per_word: usize,
    per_chunk: usize,
    next: usize,
    last_dispatch: u64,
    /// The last dispatch of each chunk.
    dispatched: Vec<u64>,
    chunks_granted: usize,
    chunk_from: u64,
    chunks: Vec<Beats>,
    held: Option<Granted>,
    read: Port,
    write: Port,
    times: Times,
}

impl<'a> Machine<'a> {
    fn new(code: &[Instruction], arch: &'a Arch, memory: MemoryModel) -> Machine<'a> {
        let per_word = arch.instructions_per_word() as usize;
        let total = instruction_words(arch, code.len()) as usize * per_word;
        let mut engines: Vec<Option<Engine>> = code.iter().map(Instruction::engine).collect();
        engines.resize(total, None);
        let semaphores = arch.semaphores.count as usize;
        let mut machine = Machine {
            arch,
            memory,
            engines,
            units: Default::default(),
            raised: vec![Vec::new(); semaphores],
            taken: vec![0; semaphores],
            per_word,
            per_chunk: per_word * arch.fetch.chunk_words as usize,
            next: 0,
            last_dispatch: 0,
            dispatched: Vec::new(),
            chunks_granted: 0,
            chunk_from: 1,
            chunks: Vec::new(),
            held: None,
            read: Port::default(),
            write: Port::default(),
            times: Times::default(),
        };
        let mut registers = Registers::default();
        for instruction in code {
            match instruction {
                Instruction::Nop => {}
                Instruction::Configure { register, value } => {
                    registers.set(*register, *value);
                    machine.units[register.engine().index()].steps.push(Step {
                        work: Work::Configure,
                        waits: [None; 2],
                        signals: [None; 2],
                    });
                }
                Instruction::Run(run) => {
                    let step = Step {
                        work: work(&mut registers, run, arch),
                        waits: run.waits,
                        signals: run.signals,
                    };
                    if let Work::Transfer { words, .. } = step.work {
                        machine.times.traffic_words += u64::from(words);
                    }
                    machine.units[run.opcode.engine().index()].steps.push(step);
                }
            }
        }
        machine
    }

    /// Lets every unit run ahead as far as it can; true when all is done.
    fn settle(&mut self) -> bool {
        loop {
            let mut moved = self.dispatch();
            for engine in Engine::ALL {
                moved |= self.run(engine);
            }
            if !moved {
                break;
            }
        }
        let all = |unit: &Unit| unit.popped.len() == unit.steps.len();
        self.next == self.engines.len() && self.units.iter().all(all)
    }

    fn dispatch(&mut self) -> bool {
        let before = self.next;
        while let Some(engine) = self.engines.get(self.next) {
            let Some(beats) = self.chunks.get(self.next / self.per_chunk) else {
                break;
            };
            let word = (self.next % self.per_chunk / self.per_word) as u64;
            let ready = (self.last_dispatch + 1).max(beats.first + word * beats.gap + 1);
            let mut cycle = ready;
            if let Some(engine) = engine {
                let unit = &mut self.units[engine.index()];
                if let Some(full) = unit
                    .pushed
                    .len()
                    .checked_sub(self.arch.queues.depth as usize)
                {
                    let Some(popped) = unit.popped.get(full) else {
                        break;
                    };
                    cycle = cycle.max(popped + 1);
                }
                unit.pushed.push(cycle);
            }
            self.times.fetch += ready - self.last_dispatch;
            self.last_dispatch = cycle;
            self.next += 1;
            if self.next.is_multiple_of(self.per_chunk) {
                self.dispatched.push(cycle);
            }
        }
        self.times.cycles = self.times.cycles.max(self.last_dispatch);
        self.next > before
    }

    fn run(&mut self, engine: Engine) -> bool {
        let e = engine.index();
        let before = self.units[e].popped.len();
        while self.units[e].transfer.is_none() {
            let unit = &mut self.units[e];
            let at = unit.popped.len();
            let Some(pushed) = unit.pushed.get(at) else {
                break;
            };
            let step = &unit.steps[at];
            let mut start = unit.free_from.max(pushed + 1);
            if let Work::Configure = step.work {
                unit.popped.push(start);
                unit.free_from = start + 1;
                self.times.cycles = self.times.cycles.max(start);
                continue;
            }
            let token = |wait: &Wait| {
                let id = wait.semaphore.0 as usize;
                let last = self.taken[id] + usize::from(wait.amount) - 1;
                self.raised[id].get(last).copied()
            };
            let tokens = step
                .waits
                .iter()
                .flatten()
                .try_fold(0, |latest: u64, wait| {
                    token(wait).map(|raised| latest.max(raised + 1))
                });
            let Some(tokens) = tokens else {
                break;
            };
            start = start.max(tokens);
            for wait in step.waits.iter().flatten() {
                self.taken[wait.semaphore.0 as usize] += usize::from(wait.amount);
            }
            match step.work {
                Work::Configure => unreachable!("handled above"),
                Work::Fixed(cycles) => self.end(engine, start, start + cycles),
                Work::Transfer { address, words } => {
                    let lead = if engine == Engine::Store {
                        STORE_LEAD
                    } else {
                        1
                    };
                    let transfer = Transfer::new(address, words, self.arch, start + lead);
                    unit.transfer = Some((start, transfer));
                    return true;
                }
            }
        }
        self.units[e].popped.len() > before
    }

    /// Notes that the next instruction of `engine`, started in `start`, ends in `last`.
    fn end(&mut self, engine: Engine, start: u64, last: u64) {
        let unit = &mut self.units[engine.index()];
        let step = &unit.steps[unit.popped.len()];
        let signal = match engine {
            Engine::Exec => last + self.arch.exec_drain_cycles(),
            Engine::Load | Engine::Vec | Engine::Store => last,
        };
        for semaphore in step.signals.iter().flatten() {
            self.raised[semaphore.0 as usize].push(signal);
        }
        unit.popped.push(last);
        unit.free_from = last + 1;
        unit.transfer = None;
        self.times.busy[engine.index()] += last - start + 1;
        self.times.cycles = self.times.cycles.max(signal);
    }

    /// The cycle from which the request for the next chunk is valid.
    fn chunk_request_from(&self) -> u64 {
        let chunk = self.chunks_granted;
        if chunk * self.per_chunk == self.engines.len() {
            return NEVER;
        }
        match chunk.checked_sub(self.arch.fetch.chunks as usize) {
            None => self.chunk_from,
            Some(before) => self
                .dispatched
                .get(before)
                .map_or(NEVER, |last| self.chunk_from.max(last + 1)),
        }
    }

    /// Moves the burst that comes next: what is not yet known comes later than it.
    fn burst(&mut self) {
        let transfer = |engine: Engine| self.units[engine.index()].transfer.as_ref();
        let load_from = transfer(Engine::Load).map_or(NEVER, |(_, load)| load.request_from());
        let fetch_from = self.chunk_request_from();
        let write_at = transfer(Engine::Store).map_or(NEVER, |(_, store)| {
            store.from.max(self.free_from(Channel::Write))
        });
        let read_at = match &self.held {
            Some(held) => held.offered_from.max(self.free_from(Channel::Read)),
            None => load_from.min(fetch_from),
        };
        let cycle = write_at.min(read_at);
        assert_ne!(cycle, NEVER, "a program of this crate ends");
        // A memory on chip prefers the write.
        if write_at == cycle {
            self.store_burst(cycle);
            return;
        }
        if let Some(held) = self.held.take() {
            self.accept_read(&held, cycle);
        }
        let fetch = load_from > cycle;
        if fetch && fetch_from > cycle {
            return;
        }
        let words = if fetch {
            self.chunks_granted += 1;
            self.chunk_from = cycle + 1;
            self.arch.fetch.chunk_words.into()
        } else {
            let (_, load) = self.units[Engine::Load.index()]
                .transfer
                .as_mut()
                .expect("LOAD requests");
            load.granted += 1;
            load.from = cycle + 1;
            load.cut()
        };
        self.held = Some(Granted {
            fetch,
            words,
            offered_from: cycle + 1,
        });
    }

    fn store_burst(&mut self, cycle: u64) {
        let (start, store) = self.units[Engine::Store.index()]
            .transfer
            .as_mut()
            .expect("STORE offers a burst");
        let (start, words) = (*start, store.cut());
        let done = store.words == 0;
        let beats = self.accept(Channel::Write, cycle, words);
        if done {
            self.end(Engine::Store, start, beats.response);
        } else if let Some((_, store)) = &mut self.units[Engine::Store.index()].transfer {
            store.from = beats.last + 1;
        }
    }

    fn accept_read(&mut self, held: &Granted, cycle: u64) {
        let beats = self.accept(Channel::Read, cycle, held.words);
        if held.fetch {
            self.chunks.push(beats);
            return;
        }
        let (start, load) = self.units[Engine::Load.index()]
            .transfer
            .as_mut()
            .expect("LOAD waits for the burst");
        let slot = load.accepted % load.last_beats.len();
        load.last_beats[slot] = beats.last;
        load.accepted += 1;
        if load.words == 0 && load.accepted == load.granted {
            let start = *start;
            self.end(Engine::Load, start, beats.last + 1);
        }
    }

    fn free_from(&self, channel: Channel) -> u64 {
        match (self.arch.memory.attachment, channel) {
            (Attachment::OnChip, _) | (_, Channel::Read) => self.read.free_from,
            (Attachment::Port, Channel::Write) => self.write.free_from,
        }
    }

    /// The memory accepts a burst in `cycle`.
    fn accept(&mut self, channel: Channel, cycle: u64, words: u64) -> Beats {
        if self.arch.memory.attachment == Attachment::OnChip {
            self.read.free_from = cycle + words;
            let first = cycle
                + match channel {
                    Channel::Read => ON_CHIP_READ,
                    Channel::Write => ON_CHIP_WRITE,
                };
            return Beats {
                first,
                gap: 1,
                last: first + words - 1,
                response: cycle + words + 1,
            };
        }
        let port = match channel {
            Channel::Read => &mut self.read,
            Channel::Write => &mut self.write,
        };
        let burst = self.memory.burst(channel, port.number);
        let first = (cycle + burst.latency).max(port.last_beat + 1);
        let last = first + (words - 1) * burst.beat_gap;
        port.number += 1;
        port.last_beat = last;
        port.last_response = (last + burst.response).max(port.last_response + 1);
        port.free_from = cycle + 1 + self.memory.burst(channel, port.number).accept_stall;
        Beats {
            first,
            gap: burst.beat_gap,
            last,
            response: port.last_response,
        }
    }
}

/// What `run` does; the registers advance.
fn work(registers: &mut Registers, run: &Run, arch: &Arch) -> Work {
    let operation = Operation::read(registers, run);
    let operation = operation.expect("a program of this crate has operands");
    for advance in operation.advances(arch) {
        registers.advance(&advance);
    }
    match (&operation, operation.cycles(arch)) {
        (_, Some(cycles)) => Work::Fixed(cycles),
        (
            Operation::Load(Load { memory, words, .. })
            | Operation::Store(Store { memory, words, .. }),
            None,
        ) => Work::Transfer {
            address: *memory,
            words: *words,
        },
        (_, None) => unreachable!("only transfers depend on the memory"),
    }
}
