//! The verilated `tilewright_axi` between a register master and an AXI memory, with the rules of AXI checked in
//! every cycle.

use std::collections::VecDeque;
use std::path::Path;

use host_runtime::SimMachine;
use host_runtime::machine::{Machine, MachineRun};
use host_runtime::slave::{Seen, Slave};
use host_runtime::verilated::{LoadError, Model, Port};
use ir::arch::{Arch, Counters};
use ir::isa::{Instruction, Opcode, Register, Run, Semaphore};
use ir::memory::MemoryModel;
use ir::program::{Program, instruction_words};

use crate::random::Random;

/// Register addresses of `shell_axi`.
pub mod register {
    #![allow(missing_docs, reason = "`shell_axi` explains each")]
    pub const HASH_LOW: u8 = 0x00;
    pub const HASH_HIGH: u8 = 0x04;
    pub const CONTROL: u8 = 0x08;
    pub const STATUS: u8 = 0x0c;
    pub const BASE: u8 = 0x10;
    pub const CHUNKS: u8 = 0x14;
    pub const MEMORY_LOW: u8 = 0x18;
    pub const MEMORY_HIGH: u8 = 0x1c;
    pub const CYCLES: u8 = 0x20;
    pub const COUNTERS: u8 = 0x40;
}

/// How the memory answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As the timing contract says, so that cycles can be compared.
    Contract(MemoryModel),
    /// With random stalls on every channel.
    Rough {
        /// Which of a burst's address and data the memory wants first.
        order: Order,
        /// Number of the read beat and of the write response that report an error, if any.
        errors: [Option<u64>; 2],
    },
}

/// Which of a write burst's address and data the memory takes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they come.
    Any,
    /// The address waits for all data of its burst.
    DataFirst,
    /// Data wait for the address of their burst.
    AddressFirst,
}

/// What the memory drives in a cycle.
#[derive(Clone, Copy, Default)]
struct Drive {
    ar_ready: bool,
    /// Word address and response of a read beat.
    beat: Option<(usize, u64)>,
    aw_ready: bool,
    w_ready: bool,
    /// A write response.
    response: Option<u64>,
}

/// What the machine drives in a cycle.
struct Offered {
    /// First word and beats of a burst.
    read: Option<(u32, u32)>,
    write: Option<(u32, u32)>,
    data: Option<(Vec<u8>, bool)>,
}

/// The AXI memory with random stalls.
struct Rough {
    order: Order,
    errors: [Option<u64>; 2],
    random: Random,
    /// Words to be read, in order.
    reads: VecDeque<usize>,
    beat: Option<(usize, u64)>,
    n_beats: u64,
    writes: VecDeque<(u32, u32)>,
    data: VecDeque<(Vec<u8>, bool)>,
    /// Whole bursts whose last beat came, while their address has not been taken.
    ends: u64,
    done: u64,
    n_done: u64,
    response: Option<u64>,
}

enum Memory {
    Contract(Box<Slave>),
    Rough(Box<Rough>),
}

/// A payload that must not change until it is taken.
#[derive(Default)]
struct Stable(Option<Vec<u8>>);

impl Stable {
    fn check(
        &mut self,
        name: &str,
        valid: bool,
        ready: bool,
        payload: &[u8],
    ) -> Result<(), String> {
        if let Some(waiting) = &self.0 {
            if !valid {
                return Err(format!("{name}: valid fell before ready came"));
            }
            if waiting != payload {
                return Err(format!("{name}: the payload changed before ready came"));
            }
        }
        self.0 = (valid && !ready).then(|| payload.to_vec());
        Ok(())
    }
}

struct Ports {
    clk: Port,
    rst_n: Port,
    s_aw: [Port; 3],
    s_w: [Port; 3],
    s_b: [Port; 3],
    s_ar: [Port; 3],
    s_r: [Port; 3],
    s_rresp: Port,
    /// Valid, ready, address, length, size, burst.
    m_ar: [Port; 6],
    m_aw: [Port; 6],
    m_r: [Port; 4],
    /// Valid, ready, data, strobes, last.
    m_w: [Port; 5],
    m_b: [Port; 3],
}

impl Ports {
    fn find(model: &mut Model, word_bits: u32) -> Result<Ports, LoadError> {
        fn all<const N: usize>(
            model: &mut Model,
            ports: [(&str, u32); N],
        ) -> Result<[Port; N], LoadError> {
            let found: Result<Vec<Port>, LoadError> = ports
                .iter()
                .map(|(name, bits)| model.port(name, *bits))
                .collect();
            Ok(found?
                .try_into()
                .unwrap_or_else(|_| unreachable!("as many as were asked for")))
        }
        let [clk, rst_n, s_rresp] = all(model, [("clk_i", 1), ("rst_ni", 1), ("s_rresp_o", 2)])?;
        Ok(Ports {
            clk,
            rst_n,
            s_aw: all(
                model,
                [("s_awvalid_i", 1), ("s_awready_o", 1), ("s_awaddr_i", 8)],
            )?,
            s_w: all(
                model,
                [("s_wvalid_i", 1), ("s_wready_o", 1), ("s_wdata_i", 32)],
            )?,
            s_b: all(
                model,
                [("s_bvalid_o", 1), ("s_bready_i", 1), ("s_bresp_o", 2)],
            )?,
            s_ar: all(
                model,
                [("s_arvalid_i", 1), ("s_arready_o", 1), ("s_araddr_i", 8)],
            )?,
            s_r: all(
                model,
                [("s_rvalid_o", 1), ("s_rready_i", 1), ("s_rdata_o", 32)],
            )?,
            s_rresp,
            m_ar: all(
                model,
                [
                    ("m_arvalid_o", 1),
                    ("m_arready_i", 1),
                    ("m_araddr_o", 64),
                    ("m_arlen_o", 8),
                    ("m_arsize_o", 3),
                    ("m_arburst_o", 2),
                ],
            )?,
            m_aw: all(
                model,
                [
                    ("m_awvalid_o", 1),
                    ("m_awready_i", 1),
                    ("m_awaddr_o", 64),
                    ("m_awlen_o", 8),
                    ("m_awsize_o", 3),
                    ("m_awburst_o", 2),
                ],
            )?,
            m_r: all(
                model,
                [
                    ("m_rvalid_i", 1),
                    ("m_rready_o", 1),
                    ("m_rdata_i", word_bits),
                    ("m_rresp_i", 2),
                ],
            )?,
            m_w: all(
                model,
                [
                    ("m_wvalid_o", 1),
                    ("m_wready_i", 1),
                    ("m_wdata_o", word_bits),
                    ("m_wstrb_o", word_bits / 8),
                    ("m_wlast_o", 1),
                ],
            )?,
            m_b: all(
                model,
                [("m_bvalid_i", 1), ("m_bready_o", 1), ("m_bresp_i", 2)],
            )?,
        })
    }
}

/// The register master: what it wants to do and what it got.
#[derive(Default)]
struct Master {
    addresses: VecDeque<u8>,
    data: VecDeque<u32>,
    reads: VecDeque<u8>,
    /// Whether the head of each queue is offered.
    offers: [bool; 3],
    /// Writes with address and data taken, and responses that came.
    written: [u64; 3],
    asked: u64,
    values: Vec<u32>,
}

/// The machine with its surroundings.
pub struct Axi {
    model: Model,
    ports: Ports,
    arch: Arch,
    /// The contents of memory from word 0 on.
    pub memory: Vec<u8>,
    /// Byte address of word 0.
    base: u64,
    cycle: u64,
    behind: Memory,
    random: Random,
    master: Master,
    /// AR, AW, W, B of the registers, R of the registers.
    stable: [Stable; 5],
    /// Beats left of each write burst whose address was offered, in order.
    last: VecDeque<u32>,
    aw_pending: bool,
}

impl Axi {
    /// Loads the library at `path` as the design of `arch` and resets it.
    ///
    /// # Errors
    /// [`LoadError`] when it is not that of `tilewright_axi` of `arch`.
    pub fn load(arch: &Arch, path: &Path, seed: u64) -> Result<Axi, LoadError> {
        let mut model = Model::load(path)?;
        let ports = Ports::find(&mut model, arch.word_bytes() * 8)?;
        let behind = Memory::Rough(Box::new(Rough::new(Order::Any, [None; 2], 0)));
        let mut axi = Axi {
            model,
            ports,
            arch: arch.clone(),
            memory: Vec::new(),
            base: 0,
            cycle: 0,
            behind,
            random: Random(seed),
            master: Master::default(),
            stable: Default::default(),
            last: VecDeque::new(),
            aw_pending: false,
        };
        axi.reset();
        Ok(axi)
    }

    /// Resets the machine.
    ///
    /// # Panics
    /// When a valid is high in reset.
    pub fn reset(&mut self) {
        let Ports {
            clk,
            rst_n,
            s_aw,
            s_w,
            s_b,
            s_ar,
            s_r,
            m_ar,
            m_aw,
            m_r,
            m_w,
            m_b,
            ..
        } = self.ports;
        let inputs = [
            s_aw[0], s_w[0], s_b[1], s_ar[0], s_r[1], m_ar[1], m_aw[1], m_r[0], m_w[1], m_b[0],
        ];
        inputs.iter().for_each(|port| self.model.set(*port, 0));
        self.model.set(clk, 0);
        self.model.set(rst_n, 1);
        self.model.eval();
        self.model.set(rst_n, 0);
        for _ in 0..4 {
            for level in [0, 1] {
                self.model.set(clk, level);
                self.model.eval();
                let outputs = [s_b[0], s_r[0], m_ar[0], m_aw[0], m_w[0]];
                assert!(
                    outputs.iter().all(|port| self.model.get(*port) == 0),
                    "a valid is high in reset"
                );
            }
        }
        self.model.set(clk, 0);
        self.model.eval();
        self.model.set(rst_n, 1);
        self.model.eval();
    }

    /// Reads `addresses` in order, while `writes` are under way at the same time.
    ///
    /// # Errors
    /// The broken rule, or that the accesses do not end.
    pub fn access(&mut self, writes: &[(u8, u32)], addresses: &[u8]) -> Result<Vec<u32>, String> {
        self.master = Master {
            addresses: writes.iter().map(|(address, _)| *address).collect(),
            data: writes.iter().map(|(_, value)| *value).collect(),
            reads: addresses.iter().copied().collect(),
            ..Master::default()
        };
        let limit = self.cycle + 200 + 100 * (writes.len() + addresses.len()) as u64;
        while self.master.written[2] < writes.len() as u64
            || self.master.values.len() < addresses.len()
        {
            if self.cycle > limit {
                return Err("registers: accesses do not end".to_owned());
            }
            self.step()?;
        }
        Ok(std::mem::take(&mut self.master.values))
    }

    /// Writes one register.
    ///
    /// # Errors
    /// As [`Axi::access`].
    pub fn write(&mut self, address: u8, value: u32) -> Result<(), String> {
        self.access(&[(address, value)], &[]).map(|_| ())
    }

    /// Reads one register.
    ///
    /// # Errors
    /// As [`Axi::access`].
    pub fn read(&mut self, address: u8) -> Result<u32, String> {
        Ok(self.access(&[], &[address])?[0])
    }

    /// Runs the `chunks` chunks of program from word `word` of `memory` on, and waits for its end.
    ///
    /// The result has what the registers tell, without spans; the second part is the status at the end.
    ///
    /// # Errors
    /// The broken rule, or that the run does not end within `limit` cycles.
    pub fn run(
        &mut self,
        word: u32,
        chunks: u32,
        answer: Answer,
        limit: u64,
    ) -> Result<(MachineRun, u32), String> {
        // High bits and carries between word and base.
        self.base = (self.random.bits() & 0x00ff_ffff_ffff_f000) | 0x8000_0000;
        let words = (self.memory.len() / self.arch.word_bytes() as usize) as u32;
        self.behind = match answer {
            Answer::Contract(model) => Memory::Contract(Box::new(Slave::new(
                model,
                self.arch.word_bytes(),
                words,
                self.arch.memory.burst_words,
            ))),
            Answer::Rough { order, errors } => {
                Memory::Rough(Box::new(Rough::new(order, errors, self.random.bits())))
            }
        };
        let settings = [
            (register::BASE, word),
            (register::CHUNKS, chunks),
            (register::MEMORY_LOW, self.base as u32),
            (register::MEMORY_HIGH, (self.base >> 32) as u32),
        ];
        self.access(&settings, &[])?;
        let kept = self.access(&[], &settings.map(|(address, _)| address))?;
        if kept != settings.map(|(_, value)| value) {
            return Err(format!("registers: wrote {settings:x?}, read {kept:x?}"));
        }
        // A write without the bit is no doorbell.
        self.write(register::CONTROL, 0xffff_fffe)?;
        if self.read(register::STATUS)? & 1 != 0 {
            return Err("registers: busy without a doorbell".to_owned());
        }
        let end = self.cycle + limit;
        self.write(register::CONTROL, 1)?;
        let mut status = self.read(register::STATUS)?;
        let mut polls = 0;
        while status & 1 == 1 {
            polls += 1;
            if polls == 2 {
                // A second doorbell in the middle of a run has no effect.
                self.write(register::CONTROL, 1)?;
            }
            if self.cycle > end {
                return Err(format!("the machine is busy after {limit} cycles"));
            }
            status = self.read(register::STATUS)?;
        }
        if !self.is_quiet() {
            return Err("the machine is quiet while bursts are under way".to_owned());
        }
        let cycles = u64::from(self.read(register::CYCLES)?);
        let names = sim_counters(&self.arch);
        let addresses: Vec<u8> = (0..names.len())
            .map(|n| register::COUNTERS + 4 * n as u8)
            .collect();
        let values = self.access(&[], &addresses)?;
        let counters = (!names.is_empty()).then(|| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .zip(values.iter().map(|v| u64::from(*v)))
                .collect()
        });
        Ok((
            MachineRun {
                cycles,
                counters,
                spans: Vec::new(),
            },
            status,
        ))
    }

    fn is_quiet(&self) -> bool {
        match &self.behind {
            Memory::Contract(slave) => slave.is_quiet(),
            Memory::Rough(rough) => rough.is_quiet(),
        }
    }

    /// One clock cycle.
    fn step(&mut self) -> Result<(), String> {
        let fault = |cycle: u64| move |what: String| format!("cycle {cycle}: {what}");
        let drive = match &mut self.behind {
            Memory::Contract(slave) => {
                let drive = slave.drive(self.cycle);
                Drive {
                    ar_ready: drive.read_ready,
                    beat: drive.read_beat.map(|word| (word as usize, 0)),
                    aw_ready: drive.write_ready,
                    w_ready: drive.write_data_ready,
                    response: drive.write_done.then_some(0),
                }
            }
            Memory::Rough(rough) => rough.drive(),
        };
        self.drive_memory(drive);
        self.drive_master();
        self.model.set(self.ports.clk, 0);
        self.model.eval();
        let offered = self.observe().map_err(fault(self.cycle))?;
        self.finish_master().map_err(fault(self.cycle))?;
        match &mut self.behind {
            Memory::Contract(slave) => {
                let from = slave.drive(self.cycle);
                let data = offered.data.as_ref().map(|(bytes, _)| bytes.as_slice());
                let seen = Seen {
                    read: offered.read,
                    write: offered.write,
                    write_data: data,
                };
                slave
                    .finish(self.cycle, from, seen, &mut self.memory)
                    .map_err(|error| error.to_string())?;
            }
            Memory::Rough(rough) => rough
                .finish(drive, offered, &mut self.memory)
                .map_err(fault(self.cycle))?,
        }
        self.model.set(self.ports.clk, 1);
        self.model.eval();
        self.cycle += 1;
        Ok(())
    }

    fn drive_memory(&mut self, drive: Drive) {
        let (model, ports) = (&mut self.model, &self.ports);
        model.set(ports.m_ar[1], u64::from(drive.ar_ready));
        model.set(ports.m_aw[1], u64::from(drive.aw_ready));
        model.set(ports.m_w[1], u64::from(drive.w_ready));
        model.set(ports.m_r[0], u64::from(drive.beat.is_some()));
        model.set(ports.m_b[0], u64::from(drive.response.is_some()));
        let word_bytes = self.arch.word_bytes() as usize;
        // What is not valid is noise.
        let noise = self.random.bits();
        model.set(ports.m_r[3], noise);
        model.set(ports.m_b[2], drive.response.unwrap_or(noise >> 2));
        let to = &mut model.bytes_mut(ports.m_r[2])[..word_bytes];
        match drive.beat {
            Some((word, response)) => {
                to.copy_from_slice(&self.memory[word * word_bytes..][..word_bytes]);
                model.set(ports.m_r[3], response);
            }
            None => to.fill(noise as u8),
        }
    }

    /// An offer once made is kept until it is taken.
    fn drive_master(&mut self) {
        let (model, ports, master, random) = (
            &mut self.model,
            &self.ports,
            &mut self.master,
            &mut self.random,
        );
        let present = [
            !master.addresses.is_empty(),
            !master.data.is_empty(),
            !master.reads.is_empty(),
        ];
        for (offer, present) in master.offers.iter_mut().zip(present) {
            *offer = present && (*offer || random.chance(40));
        }
        let noise = random.bits();
        model.set(ports.s_aw[0], u64::from(master.offers[0]));
        model.set(ports.s_w[0], u64::from(master.offers[1]));
        model.set(ports.s_ar[0], u64::from(master.offers[2]));
        let head = |offer: bool, value: Option<u64>| value.filter(|_| offer).unwrap_or(noise);
        model.set(
            ports.s_aw[2],
            head(
                master.offers[0],
                master.addresses.front().map(|v| u64::from(*v)),
            ),
        );
        model.set(
            ports.s_w[2],
            head(master.offers[1], master.data.front().map(|v| u64::from(*v))),
        );
        model.set(
            ports.s_ar[2],
            head(
                master.offers[2],
                master.reads.front().map(|v| u64::from(*v)),
            ),
        );
        model.set(ports.s_b[1], random.below(2));
        model.set(ports.s_r[1], random.below(2));
    }

    fn finish_master(&mut self) -> Result<(), String> {
        let Axi {
            model,
            ports,
            master,
            ..
        } = self;
        let shaken = |channel: &[Port; 3]| model.get(channel[0]) == 1 && model.get(channel[1]) == 1;
        if shaken(&ports.s_aw) {
            master.addresses.pop_front();
            master.offers[0] = false;
            master.written[0] += 1;
        }
        if shaken(&ports.s_w) {
            master.data.pop_front();
            master.offers[1] = false;
            master.written[1] += 1;
        }
        if shaken(&ports.s_ar) {
            master.reads.pop_front();
            master.offers[2] = false;
            master.asked += 1;
        }
        if shaken(&ports.s_b) {
            master.written[2] += 1;
            if master.written[2] > master.written[0].min(master.written[1]) {
                return Err("registers: a response before its write".to_owned());
            }
            if model.get(ports.s_b[2]) != 0 {
                return Err("registers: a write fails".to_owned());
            }
        }
        if shaken(&ports.s_r) {
            master.values.push(model.get(ports.s_r[2]) as u32);
            if master.values.len() as u64 > master.asked {
                return Err("registers: a value before its address".to_owned());
            }
            if model.get(ports.s_rresp) != 0 {
                return Err("registers: a read fails".to_owned());
            }
        }
        Ok(())
    }

    /// The rules that the machine keeps on each channel, and what it offers.
    fn observe(&mut self) -> Result<Offered, String> {
        let Axi {
            model,
            ports,
            stable,
            arch,
            ..
        } = self;
        let word_bytes = arch.word_bytes() as usize;
        let bits = |channel: &[Port], from: usize| -> Vec<u8> {
            channel[from..]
                .iter()
                .flat_map(|port| model.get(*port).to_le_bytes())
                .collect()
        };
        let high = |port: Port| model.get(port) == 1;
        let [ar, aw, w, b, r] = stable;
        ar.check(
            "AR",
            high(ports.m_ar[0]),
            high(ports.m_ar[1]),
            &bits(&ports.m_ar, 2),
        )?;
        aw.check(
            "AW",
            high(ports.m_aw[0]),
            high(ports.m_aw[1]),
            &bits(&ports.m_aw, 2),
        )?;
        let mut beat = model.bytes(ports.m_w[2])[..word_bytes].to_vec();
        beat.extend(bits(&ports.m_w, 3));
        w.check("W", high(ports.m_w[0]), high(ports.m_w[1]), &beat)?;
        b.check(
            "B of the registers",
            high(ports.s_b[0]),
            high(ports.s_b[1]),
            &bits(&ports.s_b, 2),
        )?;
        let mut value = bits(&ports.s_r, 2);
        value.push(model.get(ports.s_rresp) as u8);
        r.check(
            "R of the registers",
            high(ports.s_r[0]),
            high(ports.s_r[1]),
            &value,
        )?;
        if high(ports.m_r[0]) && !high(ports.m_r[1]) || high(ports.m_b[0]) && !high(ports.m_b[1]) {
            return Err("a beat or a response is not taken at once".to_owned());
        }
        let [reads, writes] = [high(ports.m_ar[0]), high(ports.m_aw[0])];
        let read = reads
            .then(|| self.burst("AR", &self.ports.m_ar))
            .transpose()?;
        let write = writes
            .then(|| self.burst("AW", &self.ports.m_aw))
            .transpose()?;
        self.observe_write(write)?;
        let data = self.write_beat()?;
        Ok(Offered { read, write, data })
    }

    /// The burst that is offered on a channel, as first word and beats.
    fn burst(&self, name: &str, channel: &[Port; 6]) -> Result<(u32, u32), String> {
        let [address, length, size, kind] = [2, 3, 4, 5].map(|n| self.model.get(channel[n]));
        let (word_bytes, beats) = (u64::from(self.arch.word_bytes()), length + 1);
        if kind != 1 || 1 << size != word_bytes || address % word_bytes != 0 {
            return Err(format!(
                "{name}: burst kind {kind}, size {size}, address {address:#x}"
            ));
        }
        if address % 4096 + beats * word_bytes > 4096 {
            return Err(format!(
                "{name}: {beats} beats from {address:#x} cross 4 KiB"
            ));
        }
        let end = self.base + self.memory.len() as u64;
        if address < self.base || address + beats * word_bytes > end {
            return Err(format!(
                "{name}: {beats} beats from {address:#x} lie outside of {:#x}..{end:#x}",
                self.base
            ));
        }
        if beats > u64::from(self.arch.memory.burst_words) {
            return Err(format!("{name}: {beats} beats"));
        }
        Ok((((address - self.base) / word_bytes) as u32, beats as u32))
    }

    /// Notes a write burst when it is first offered: its data may be taken before its address is.
    fn observe_write(&mut self, write: Option<(u32, u32)>) -> Result<(), String> {
        let Some((_, beats)) = write else {
            return Ok(());
        };
        if !self.aw_pending {
            self.last.push_back(beats);
        }
        self.aw_pending = self.model.get(self.ports.m_aw[1]) == 0;
        Ok(())
    }

    fn write_beat(&mut self) -> Result<Option<(Vec<u8>, bool)>, String> {
        let [valid, ready, data, strobes, last] = self.ports.m_w;
        if self.model.get(valid) == 0 {
            return Ok(None);
        }
        let word_bytes = self.arch.word_bytes() as usize;
        if self.model.get(strobes) != (1 << word_bytes) - 1 {
            return Err("W: not all bytes are written".to_owned());
        }
        let Some(left) = self.last.front_mut() else {
            return Err("W: data before any address was offered".to_owned());
        };
        let is_last = self.model.get(last) == 1;
        if is_last != (*left == 1) {
            return Err(format!("W: last is {is_last} with {left} beats left"));
        }
        if self.model.get(ready) == 1 {
            *left -= 1;
            if *left == 0 {
                self.last.pop_front();
            }
        }
        Ok(Some((
            self.model.bytes(data)[..word_bytes].to_vec(),
            is_last,
        )))
    }
}

/// What a program must do: reference for [`check`].
pub struct Expected {
    /// The program.
    pub program: Program,
    /// Memory before and after the run, as the simulator has it.
    pub memory: [Vec<u8>; 2],
    /// The run with each memory model, as the simulator has it.
    pub runs: Vec<(MemoryModel, MachineRun)>,
}

impl Expected {
    /// Runs `program` on the simulator with M0, M1 and M2; `before` is its memory with inputs.
    ///
    /// # Errors
    /// What the simulator refuses.
    pub fn of(arch: &Arch, program: Program, before: Vec<u8>) -> Result<Expected, String> {
        let mut runs = Vec::new();
        let mut after = Vec::new();
        for model in [MemoryModel::Ideal, MemoryModel::M1, MemoryModel::M2] {
            after = before.clone();
            let checked = program.check(arch).map_err(|error| error.to_string())?;
            let run = SimMachine::new(arch)
                .run(checked, &mut after, model, u64::MAX)
                .map_err(|error| error.to_string())?;
            runs.push((model, run));
        }
        Ok(Expected {
            program,
            memory: [before, after],
            runs,
        })
    }
}

/// Runs programs with every memory: cycles, counters and memory as the simulator has them, registers as they are
/// documented, and both error bits of the status.
///
/// # Errors
/// The first difference or broken rule.
pub fn check(axi: &mut Axi, programs: &[Expected]) -> Result<(), String> {
    let arch = axi.arch.clone();
    let hash = axi.access(
        &[(register::HASH_LOW, 1), (0x24, 1)],
        &[register::HASH_LOW, register::HASH_HIGH, 0x24, 0xfc],
    )?;
    if hash != [arch.hash() as u32, (arch.hash() >> 32) as u32, 0, 0] {
        return Err(format!("the hash is {hash:x?}"));
    }
    for (nth, expected) in programs.iter().enumerate() {
        for (model, wanted) in &expected.runs {
            let run = run(axi, expected, 0, Answer::Contract(*model), 0)
                .map_err(|error| format!("program {nth}, {}: {error}", model.name()))?;
            if run.cycles != wanted.cycles
                || axi.arch.counters == Counters::Full && run.counters != wanted.counters
            {
                return Err(format!(
                    "program {nth}, {}: {run:?}, not {} cycles, {:?}",
                    model.name(),
                    wanted.cycles,
                    wanted.counters
                ));
            }
        }
        for order in [Order::Any, Order::DataFirst, Order::AddressFirst] {
            let answer = Answer::Rough {
                order,
                errors: [None; 2],
            };
            run(axi, expected, 1, answer, 0)
                .map_err(|error| format!("program {nth}, {order:?}: {error}"))?;
        }
    }
    for errors in [[Some(5), None], [None, Some(0)], [None; 2]] {
        let status = if errors == [None; 2] { 0 } else { 4 };
        run(
            axi,
            &programs[0],
            0,
            Answer::Rough {
                order: Order::Any,
                errors,
            },
            status,
        )
        .map_err(|error| format!("{errors:?}: {error}"))?;
    }
    overflow(axi)
}

/// Runs a program that lies `offset` bursts behind its memory, or in its place if that is 0.
fn run(
    axi: &mut Axi,
    expected: &Expected,
    offset: u32,
    answer: Answer,
    status: u32,
) -> Result<MachineRun, String> {
    let arch = axi.arch.clone();
    let [before, after] = &expected.memory;
    let burst = arch.memory.burst_words;
    let word = if offset == 0 {
        0
    } else {
        expected.program.memory_words.div_ceil(burst) * burst + (offset - 1) * burst
    };
    let word_bytes = arch.word_bytes() as usize;
    axi.memory.clone_from(before);
    if word > 0 {
        // The copy is the only one: what is fetched from word 0 would be seen.
        let length =
            instruction_words(&arch, expected.program.instructions.len()) as usize * word_bytes;
        axi.memory.resize(word as usize * word_bytes, 0);
        let copy = axi.memory[..length].to_vec();
        axi.memory[..length].fill(0);
        axi.memory.extend(copy);
    }
    let slow = 100 * expected.runs[0].1.cycles + 100_000;
    let (run, found) = axi.run(word, expected.program.chunks(&arch), answer, slow)?;
    if found != status {
        return Err(format!("the status is {found}, not {status}"));
    }
    let skipped = if word > 0 {
        instruction_words(&arch, expected.program.instructions.len()) as usize * word_bytes
    } else {
        0
    };
    let end = after.len();
    let differs = (skipped..end).find(|at| axi.memory[*at] != after[*at]);
    differs.map_or(Ok(run), |at| Err(format!("memory differs at byte {at:#x}")))
}

/// More tokens than a semaphore holds: the fault bit, until reset.
fn overflow(axi: &mut Axi) -> Result<(), String> {
    let arch = axi.arch.clone();
    let signal = Instruction::Run(Run {
        signals: [Some(Semaphore(1)), None],
        ..Run::new(Opcode::Load)
    });
    let set = |register: Register, values: &[i64]| Instruction::Configure {
        register,
        value: register.pack(values).expect("small numbers"),
    };
    let mut instructions = vec![
        set(Register::LoadMemory, &[0]),
        set(Register::LoadDestination, &[0, 0]),
        set(Register::LoadLength, &[1]),
    ];
    instructions.extend(std::iter::repeat_n(signal, 1 << arch.semaphores.bits));
    let words = instruction_words(&arch, instructions.len());
    let per_word = arch.instructions_per_word() as usize;
    instructions.resize(words as usize * per_word, Instruction::Nop);
    axi.memory = instructions
        .iter()
        .flat_map(|instruction| instruction.encode().to_le_bytes())
        .collect();
    // The address of LOAD advances.
    axi.memory.resize(
        axi.memory.len() + (arch.word_bytes() << arch.semaphores.bits) as usize,
        0,
    );
    let answer = Answer::Rough {
        order: Order::Any,
        errors: [None; 2],
    };
    axi.run(0, words / arch.fetch.chunk_words, answer, 100_000)?;
    // The fault shows two cycles after the last signal, when a host that polls may have seen the end already; it stays.
    let status = axi.read(register::STATUS)?;
    axi.reset();
    let after = axi.read(register::STATUS)?;
    if [status, after] == [2, 0] {
        Ok(())
    } else {
        Err(format!(
            "after an overflow the status is {status}, after reset {after}"
        ))
    }
}

/// The names of the counters of `arch`, in the order of their registers.
fn sim_counters(arch: &Arch) -> &'static [&'static str] {
    match arch.counters {
        Counters::Full => &sim::Counters::NAMES,
        Counters::Basic => &[],
    }
}

impl Rough {
    fn new(order: Order, errors: [Option<u64>; 2], seed: u64) -> Rough {
        Rough {
            order,
            errors,
            random: Random(seed),
            reads: VecDeque::new(),
            beat: None,
            n_beats: 0,
            writes: VecDeque::new(),
            data: VecDeque::new(),
            ends: 0,
            done: 0,
            n_done: 0,
            response: None,
        }
    }

    fn is_quiet(&self) -> bool {
        self.reads.is_empty()
            && self.beat.is_none()
            && self.writes.is_empty()
            && self.data.is_empty()
            && self.done == 0
            && self.response.is_none()
    }

    fn drive(&mut self) -> Drive {
        if self.beat.is_none() && self.random.chance(60) {
            self.beat = self.reads.pop_front().map(|word| (word, 0));
            if let Some((_, response)) = &mut self.beat {
                *response = if self.errors[0] == Some(self.n_beats) {
                    2
                } else {
                    0
                };
                self.n_beats += 1;
            }
        }
        if self.response.is_none() && self.done > 0 && self.random.chance(40) {
            self.done -= 1;
            self.response = Some(if self.errors[1] == Some(self.n_done) {
                3
            } else {
                0
            });
            self.n_done += 1;
        }
        let address = match self.order {
            Order::DataFirst => self.ends > self.writes.len() as u64,
            Order::Any | Order::AddressFirst => true,
        };
        let data = self.order != Order::AddressFirst || self.ends < self.writes.len() as u64;
        Drive {
            ar_ready: self.reads.len() < 64 && self.random.chance(50),
            beat: self.beat,
            aw_ready: address && self.random.chance(50),
            w_ready: data && self.random.chance(60),
            response: self.response,
        }
    }

    fn finish(&mut self, drive: Drive, offered: Offered, memory: &mut [u8]) -> Result<(), String> {
        // The machine takes beats and responses at once, which is checked elsewhere.
        self.beat = None;
        self.response = None;
        if let Some((word, beats)) = offered.read.filter(|_| drive.ar_ready) {
            self.reads
                .extend((word..word + beats).map(|word| word as usize));
        }
        if let Some(burst) = offered.write.filter(|_| drive.aw_ready) {
            self.writes.push_back(burst);
        }
        if let Some((bytes, last)) = offered.data.filter(|_| drive.w_ready) {
            self.ends += u64::from(last);
            self.data.push_back((bytes, last));
        }
        while self.ends > 0 {
            let Some((word, beats)) = self.writes.pop_front() else {
                break;
            };
            for beat in 0..beats {
                let Some((bytes, last)) = self.data.pop_front() else {
                    return Err("W: a burst lacks beats".to_owned());
                };
                if last != (beat + 1 == beats) {
                    return Err("W: last in the wrong beat".to_owned());
                }
                let at = (word + beat) as usize * bytes.len();
                memory[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            self.ends -= 1;
            self.done += 1;
        }
        Ok(())
    }
}
