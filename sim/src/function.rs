//! What each operation does to memories and local memories, without time.

mod exec;
mod kernel;
mod scale;
mod transfer;
mod vec;

use ir::arch::{Arch, clog2};
use ir::operation::Operation;
use ir::program::Checked;

use crate::error::SimError;
use crate::hazard::Hazard;
use crate::state::{Memory, State};
use crate::watch::Watch;

use kernel::{Kernel, Tile};

/// Why an operation cannot be done.
enum Fault {
    Hazard(Hazard),
    Operand(String),
}

impl From<Hazard> for Fault {
    fn from(hazard: Hazard) -> Fault {
        Fault::Hazard(hazard)
    }
}

/// What of a machine's state the kernels have in a form of their own, from one run to the next.
pub(crate) struct Scratch {
    /// A word of padding.
    padding: Vec<u8>,
    /// The weight tiles as the kernel reads them, and whether nothing was loaded since.
    tiles: Vec<(Tile, bool)>,
}

impl Scratch {
    /// That of a machine after reset.
    pub(crate) fn new(arch: &Arch) -> Scratch {
        let (rows, cols) = (arch.array.rows as usize, arch.array.cols as usize);
        let kernels = Kernel::all().into_iter();
        let mut fitting = kernels.filter(|kernel| kernel.fits(rows, cols));
        let tile = Tile::new(fitting.next_back().expect("one fits all"), rows, cols);
        Scratch {
            padding: vec![0; arch.word_bytes() as usize],
            tiles: vec![(tile, false); arch.weight_tiles() as usize],
        }
    }
}

/// The values of a machine in a run.
pub(crate) struct Values<'a, W> {
    checked: Checked<'a>,
    state: &'a mut State,
    memory: &'a mut Memory,
    watch: W,
    scratch: &'a mut Scratch,
}

impl<'a, W: Watch> Values<'a, W> {
    pub(crate) fn new(
        checked: Checked<'a>,
        state: &'a mut State,
        memory: &'a mut Memory,
        scratch: &'a mut Scratch,
        watch: W,
    ) -> Values<'a, W> {
        Values {
            checked,
            state,
            memory,
            watch,
            scratch,
        }
    }

    /// Does `operation`, which is instruction `index`, from its first read to its last write.
    ///
    /// That is right although engines overlap: instructions come in the order of their starts, and those that
    /// overlap touch nothing in common, or it is a hazard.
    pub(crate) fn execute(&mut self, index: usize, operation: &Operation) -> Result<(), SimError> {
        self.watch.begin(index);
        let done = match operation {
            Operation::Load(op) => self.load(op),
            Operation::Store(op) => self.store(op),
            Operation::Exec(op) => self.exec(op),
            Operation::Requantise(op) => self.requantise(op),
            Operation::MaxPool(op) => self.max_pool(op),
            Operation::Lookup(op) => self.lookup(op),
            Operation::Pack(op) => self.pack(op),
        };
        done.map_err(|fault| match fault {
            Fault::Hazard(hazard) => SimError::Hazard(hazard),
            Fault::Operand(reason) => SimError::Operand {
                index,
                instruction: self.checked.program.instructions[index].to_string(),
                reason,
            },
        })
    }

    fn arch(&self) -> &'a Arch {
        self.checked.arch
    }
}

/// Activation addresses: they wrap at a power of two, and the banks may not fill it.
#[derive(Clone, Copy)]
struct Addresses {
    mask: i64,
    words: usize,
}

impl Addresses {
    fn of(arch: &Arch) -> Addresses {
        let bits = clog2(arch.activations.banks) + clog2(arch.activations.words);
        Addresses {
            mask: (1 << bits) - 1,
            words: arch.activations.banks as usize * arch.activations.words as usize,
        }
    }

    /// The words at `n` addresses from `first` on, `step` apart, where they are as far apart from each other: the first.
    fn line(self, first: i64, step: i64, n: usize) -> Option<usize> {
        let last = first + step * (n.max(1) as i64 - 1);
        let is_near = (first & !self.mask) == (last & !self.mask);
        let both = [first, last].map(|address| (address & self.mask) as usize);
        (is_near && both.iter().all(|&word| word < self.words)).then_some(both[0])
    }

    /// The word at `address`, counted from the first word of bank 0.
    fn word(self, address: i64) -> Result<usize, Fault> {
        let word = (address & self.mask) as usize;
        if word < self.words {
            Ok(word)
        } else {
            Err(Fault::Operand(format!(
                "address {word} is in a bank that does not exist"
            )))
        }
    }
}
