//! The machine `rtl`: the generated design, verilated, behind the memory model's slave.
//!
//! One step of `Core::cycle` is one clock cycle: inputs of the cycle are set, the low phase lets them settle, the
//! outputs of the cycle are looked at, and the high phase ends it.

use std::path::Path;

use ir::arch::{Arch, Attachment};
use ir::isa::{Engine, Instruction};
use ir::memory::MemoryModel;
use ir::program::Checked;

use crate::Error;
use crate::machine::{Machine, MachineRun, Span};
use crate::slave::{Seen, Slave};
use crate::verilated::{Built, LoadError, Model, Optimise, Port, Rtl, build};

const NAME: &str = "rtl";

/// The top module of every design.
pub const TOP: &str = "tilewright_core";

/// Where the memory of a design with memory on chip is.
const MEMORY: &str = "tilewright_core.u_memory.u_spram.mem";

/// A verilated design with its ports.
pub struct Core {
    model: Model,
    ports: Ports,
    attached: Attached,
    counters: Option<Port>,
    word_bytes: usize,
    arch: Arch,
}

struct Ports {
    clk: Port,
    rst_n: Port,
    start: Port,
    prog_base: Port,
    prog_chunks: Port,
    busy: Port,
    fault: Port,
    cycles: Port,
    trace: Port,
}

enum Attached {
    OnChip { memory: Port },
    Port(Box<Channels>),
}

struct Channels {
    rd_valid: Port,
    rd_ready: Port,
    rd_addr: Port,
    rd_len: Port,
    rdata_valid: Port,
    rdata: Port,
    wr_valid: Port,
    wr_ready: Port,
    wr_addr: Port,
    wr_len: Port,
    wdata_valid: Port,
    wdata_ready: Port,
    wdata: Port,
    wdone: Port,
}

/// A run under way: it can be advanced cycle by cycle.
pub struct Run {
    cycle: u64,
    slave: Slave,
    starts: [Vec<u64>; 4],
    signals: [Vec<u64>; 4],
}

impl Core {
    /// Loads the library at `path` as the design of `arch`, and resets it.
    ///
    /// # Errors
    /// [`LoadError`] when it is not that of a design of `arch`.
    pub fn load(arch: &Arch, path: &Path) -> Result<Core, LoadError> {
        let mut model = Model::load(path)?;
        let word_bits = 8 * arch.word_bytes();
        let ports = Ports {
            clk: model.port("clk_i", 1)?,
            rst_n: model.port("rst_ni", 1)?,
            start: model.port("start_i", 1)?,
            prog_base: model.port("prog_base_i", 22)?,
            prog_chunks: model.port("prog_chunks_i", 22)?,
            busy: model.port("busy_o", 1)?,
            fault: model.port("fault_o", 1)?,
            cycles: model.port("cycles_o", 32)?,
            trace: model.port("trace_o", 8)?,
        };
        let attached = match arch.memory.attachment {
            Attachment::Port => Attached::Port(Box::new(Channels::find(&mut model, word_bits)?)),
            Attachment::OnChip => {
                let (memory, words) = model.memory(MEMORY, word_bits)?;
                if words != arch.memory.words as usize {
                    return Err(LoadError::Missing {
                        what: "memory",
                        name: format!("{MEMORY} of {} words", arch.memory.words),
                    });
                }
                Attached::OnChip { memory }
            }
        };
        let counters = match arch.counters {
            ir::arch::Counters::Full => {
                Some(model.port("counters_o", 32 * sim::Counters::NAMES.len() as u32)?)
            }
            ir::arch::Counters::Basic => None,
        };
        let word_bytes = arch.word_bytes() as usize;
        let mut core = Core {
            model,
            ports,
            attached,
            counters,
            word_bytes,
            arch: arch.clone(),
        };
        core.reset();
        Ok(core)
    }

    /// Resets the machine; memories keep what they hold.
    pub fn reset(&mut self) {
        let Ports {
            clk, rst_n, start, ..
        } = self.ports;
        // Without one evaluation at low clock first, the first rising edge would be none.
        self.model.set(clk, 0);
        self.model.set(start, 0);
        self.model.set(rst_n, 1);
        self.model.eval();
        self.model.set(rst_n, 0);
        for _ in 0..4 {
            for level in [0, 1] {
                self.model.set(clk, level);
                self.model.eval();
            }
        }
        self.model.set(clk, 0);
        self.model.eval();
        self.model.set(rst_n, 1);
        self.model.eval();
    }

    /// Rings the doorbell for a program of `chunks` chunks at word 0; the cycle of the doorbell is the first one.
    ///
    /// The memory has `words` words; bursts beyond it are faults.
    pub fn start(&mut self, chunks: u32, words: u32, model: MemoryModel) -> Run {
        let Ports {
            start,
            prog_base,
            prog_chunks,
            ..
        } = self.ports;
        self.model.set(prog_base, 0);
        self.model.set(prog_chunks, u64::from(chunks));
        self.model.set(start, 1);
        let arch = &self.arch;
        Run {
            cycle: 0,
            slave: Slave::new(model, arch.word_bytes(), words, arch.memory.burst_words),
            starts: Default::default(),
            signals: Default::default(),
        }
    }

    /// One clock cycle; whether the machine is quiet in it.
    fn cycle(&mut self, run: &mut Run, memory: &mut [u8]) -> Result<bool, Error> {
        let cycle = run.cycle;
        match &self.attached {
            Attached::OnChip { .. } => {
                self.model.set(self.ports.clk, 0);
                self.model.eval();
            }
            Attached::Port(channels) => {
                let drive = run.slave.drive(cycle);
                let model = &mut self.model;
                model.set(channels.rd_ready, u64::from(drive.read_ready));
                model.set(channels.wr_ready, u64::from(drive.write_ready));
                model.set(channels.wdata_ready, u64::from(drive.write_data_ready));
                model.set(channels.wdone, u64::from(drive.write_done));
                model.set(channels.rdata_valid, u64::from(drive.read_beat.is_some()));
                if let Some(word) = drive.read_beat {
                    let from = &memory[word as usize * self.word_bytes..][..self.word_bytes];
                    model.bytes_mut(channels.rdata)[..self.word_bytes].copy_from_slice(from);
                }
                model.set(self.ports.clk, 0);
                model.eval();
                let request = |valid, addr, len| {
                    (model.get(valid) == 1).then(|| (model.get(addr) as u32, model.get(len) as u32))
                };
                let seen = Seen {
                    read: request(channels.rd_valid, channels.rd_addr, channels.rd_len),
                    write: request(channels.wr_valid, channels.wr_addr, channels.wr_len),
                    write_data: (model.get(channels.wdata_valid) == 1)
                        .then(|| model.bytes(channels.wdata)),
                };
                run.slave
                    .finish(cycle, drive, seen, memory)
                    .map_err(|fault| Error::port(NAME, fault))?;
            }
        }
        let trace = self.model.get(self.ports.trace);
        if trace != 0 {
            run.note(trace);
        }
        let quiet = self.model.get(self.ports.busy) == 0;
        self.model.set(self.ports.clk, 1);
        self.model.eval();
        if cycle == 0 {
            self.model.set(self.ports.start, 0);
        }
        run.cycle += 1;
        Ok(quiet && cycle > 0)
    }

    /// Runs up to `cycles` cycles; the result once the machine is quiet.
    ///
    /// # Errors
    /// [`Error::Fault`] when the machine breaks a rule of its port or raises its fault line.
    pub fn advance(
        &mut self,
        run: &mut Run,
        memory: &mut [u8],
        cycles: u64,
    ) -> Result<Option<MachineRun>, Error> {
        if let (0, Attached::OnChip { memory: port }) = (run.cycle, &self.attached) {
            self.model.bytes_mut(*port)[..memory.len()].copy_from_slice(memory);
        }
        for _ in 0..cycles {
            if self.cycle(run, memory)? {
                if let Attached::OnChip { memory: port } = self.attached {
                    let length = memory.len();
                    memory.copy_from_slice(&self.model.bytes(port)[..length]);
                }
                return self.result(run).map(Some);
            }
        }
        Ok(None)
    }

    fn result(&mut self, run: &mut Run) -> Result<MachineRun, Error> {
        let fault = |what: String| Error::Fault {
            device: NAME,
            cycle: run.cycle - 1,
            what,
        };
        if self.model.get(self.ports.fault) != 0 {
            return Err(fault(
                "the fault line is high: a semaphore overflowed".to_owned(),
            ));
        }
        if !run.slave.is_quiet() {
            return Err(fault(
                "the machine is quiet while memory bursts are under way".to_owned(),
            ));
        }
        let cycles = self.model.get(self.ports.cycles);
        if cycles != run.cycle - 2 {
            return Err(fault(format!(
                "the cycle counter shows {cycles}, the last busy cycle was {}",
                run.cycle - 2
            )));
        }
        let mut spans = Vec::new();
        for engine in Engine::ALL {
            let (starts, signals) = (&run.starts[engine.index()], &run.signals[engine.index()]);
            if starts.len() != signals.len() {
                return Err(fault(format!(
                    "{} started {} run instructions and signalled {}",
                    engine.name(),
                    starts.len(),
                    signals.len()
                )));
            }
            let pairs = starts.iter().zip(signals).enumerate();
            spans.extend(pairs.map(|(nth, (&start, &signal))| Span {
                engine,
                nth: nth as u32,
                start,
                signal,
            }));
        }
        Ok(MachineRun {
            cycles,
            counters: self.counters(),
            spans,
        })
    }

    fn counters(&self) -> Option<Vec<(String, u64)>> {
        let bytes = self.model.bytes(self.counters?);
        let values = bytes
            .chunks_exact(4)
            .map(|b| u64::from(u32::from_le_bytes(b.try_into().expect("four bytes"))));
        Some(
            sim::Counters::NAMES
                .iter()
                .map(|name| (*name).to_owned())
                .zip(values)
                .collect(),
        )
    }
}

impl Channels {
    fn find(model: &mut Model, word_bits: u32) -> Result<Channels, LoadError> {
        Ok(Channels {
            rd_valid: model.port("rd_valid_o", 1)?,
            rd_ready: model.port("rd_ready_i", 1)?,
            rd_addr: model.port("rd_addr_o", 22)?,
            rd_len: model.port("rd_len_o", 9)?,
            rdata_valid: model.port("rdata_valid_i", 1)?,
            rdata: model.port("rdata_i", word_bits)?,
            wr_valid: model.port("wr_valid_o", 1)?,
            wr_ready: model.port("wr_ready_i", 1)?,
            wr_addr: model.port("wr_addr_o", 22)?,
            wr_len: model.port("wr_len_o", 9)?,
            wdata_valid: model.port("wdata_valid_o", 1)?,
            wdata_ready: model.port("wdata_ready_i", 1)?,
            wdata: model.port("wdata_o", word_bits)?,
            wdone: model.port("wdone_i", 1)?,
        })
    }
}

impl Run {
    fn note(&mut self, trace: u64) {
        for engine in 0..4 {
            if trace >> engine & 1 == 1 {
                self.starts[engine].push(self.cycle);
            }
            if trace >> (4 + engine) & 1 == 1 {
                self.signals[engine].push(self.cycle);
            }
        }
    }

    /// Cycles that have passed, the doorbell's included.
    pub fn cycles(&self) -> u64 {
        self.cycle
    }

    /// What each engine was doing, for the message of a run that does not end.
    pub fn state(&self, instructions: &[Instruction]) -> String {
        let mut parts = Vec::new();
        for engine in Engine::ALL {
            let runs = instructions
                .iter()
                .enumerate()
                .filter(|(_, i)| matches!(i, Instruction::Run(r) if r.opcode.engine() == engine));
            let runs: Vec<(usize, &Instruction)> = runs.collect();
            let (started, signalled) = (
                self.starts[engine.index()].len(),
                self.signals[engine.index()].len(),
            );
            let doing = match runs.get(signalled.min(started)) {
                Some((index, text)) if started > signalled => {
                    format!(", runs instruction {index} `{text}`")
                }
                Some((index, text)) => format!(", next is instruction {index} `{text}`"),
                None => String::new(),
            };
            parts.push(format!(
                "{} signalled {signalled} of {} run instructions{doing}",
                engine.name(),
                runs.len()
            ));
        }
        let [read, write] = self.slave.accepted();
        parts.push(format!(
            "memory accepted {read} read and {write} write bursts"
        ));
        parts.join("; ")
    }
}

/// The RTL of one arch as a [`Machine`]; memories keep their contents from run to run, as on a board.
pub struct RtlMachine {
    core: Core,
    built: Built,
    run: Option<Run>,
}

impl RtlMachine {
    /// Builds the design's files, or takes them from the cache, and loads them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a tool is missing, [`Error::Build`] and [`Error::Load`] when the design is at fault.
    pub fn new(
        arch: &Arch,
        files: &[(String, String)],
        optimise: Optimise,
    ) -> Result<RtlMachine, Error> {
        let rtl = Rtl {
            top: TOP,
            files: files
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()))
                .collect(),
        };
        let built = build(&rtl, optimise).map_err(|error| {
            let error = Error::from(error);
            match error.unavailable() {
                Some(reason) => Error::Unavailable {
                    device: NAME,
                    reason,
                },
                None => error,
            }
        })?;
        Ok(RtlMachine {
            core: Core::load(arch, &built.path)?,
            built,
            run: None,
        })
    }

    /// The generated design of `arch`.
    ///
    /// # Errors
    /// As [`RtlMachine::new`].
    pub fn of(arch: &Arch, optimise: Optimise) -> Result<RtlMachine, Error> {
        let design = hw::generate(arch, hw::Technology::Generic);
        RtlMachine::new(arch, &design.files, optimise)
    }

    /// How the model was built, for the provenance of results.
    pub fn built(&self) -> &Built {
        &self.built
    }
}

impl Machine for RtlMachine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn begin(&mut self, program: Checked, model: MemoryModel) {
        let Checked { program, arch } = program;
        self.run = Some(
            self.core
                .start(program.chunks(arch), program.memory_words, model),
        );
    }

    fn advance(
        &mut self,
        _: Checked,
        memory: &mut Vec<u8>,
        cycles: u64,
    ) -> Result<Option<MachineRun>, Error> {
        let mut run = self.run.take().expect("a run is under way");
        match self.core.advance(&mut run, memory, cycles) {
            Ok(None) => {
                self.run = Some(run);
                Ok(None)
            }
            Ok(result) => Ok(result),
            Err(error) => {
                self.core.reset();
                Err(error)
            }
        }
    }

    fn stop(&mut self, program: Checked) -> Error {
        let run = self.run.take().expect("a run is under way");
        self.core.reset();
        Error::Timeout {
            device: NAME,
            cycle: run.cycles(),
            state: run.state(&program.program.instructions),
        }
    }
}
