//! The machine `sim`: the simulator behind the same interface as the RTL.

use ir::arch::Arch;
use ir::memory::MemoryModel;
use ir::program::Checked;
use sim::{Counters, Simulator};

use crate::Error;
use crate::machine::{Machine, MachineRun, Span};

const NAME: &str = "sim";

/// The simulator of one arch as a [`Machine`].
pub struct SimMachine {
    simulator: Simulator,
    arch: Arch,
    begun: Option<MemoryModel>,
}

impl SimMachine {
    /// A machine after reset.
    pub fn new(arch: &Arch) -> SimMachine {
        SimMachine {
            simulator: Simulator::new(arch),
            arch: arch.clone(),
            begun: None,
        }
    }
}

impl Machine for SimMachine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn begin(&mut self, _: Checked, model: MemoryModel) {
        self.begun = Some(model);
    }

    /// The whole run at once, however few `cycles` are asked for: a program that was checked ends.
    fn advance(
        &mut self,
        program: Checked,
        memory: &mut Vec<u8>,
        _: u64,
    ) -> Result<Option<MachineRun>, Error> {
        let model = self.begun.take().expect("a run is under way");
        let mut image = sim::Memory {
            bytes: std::mem::take(memory),
        };
        let result = self.simulator.run(program, &mut image, model);
        *memory = image.bytes;
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => {
                self.simulator = Simulator::new(&self.arch);
                return Err(Error::Simulation(Box::new(error)));
            }
        };
        let mut nth = [0; 4];
        let mut spans: Vec<Span> = Vec::with_capacity(outcome.instructions.len());
        for span in &outcome.instructions {
            let count = &mut nth[span.engine.index()];
            spans.push(Span {
                engine: span.engine,
                nth: *count,
                start: span.start,
                signal: span.signal,
            });
            *count += 1;
        }
        spans.sort();
        let values = outcome.counters.values();
        let counters = Counters::NAMES
            .iter()
            .map(|name| (*name).to_owned())
            .zip(values)
            .collect();
        Ok(Some(MachineRun {
            cycles: outcome.cycles,
            counters: Some(counters),
            spans,
        }))
    }

    fn stop(&mut self, _: Checked) -> Error {
        self.begun = None;
        Error::Timeout {
            device: NAME,
            cycle: 0,
            state: "not started".to_owned(),
        }
    }
}
