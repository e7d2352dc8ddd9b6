//! The instruction set: the single definition of every instruction, register and field.
//!
//! The tables in this file give the Rust enums, the encoder and decoder, the assembly text, the
//! SystemVerilog package and the reference page (`docs/reference/isa.md`). Simulator, generator and
//! compiler match on these enums, so an instruction without a meaning does not compile.
//!
//! An instruction is 32 bits. There are two formats:
//!
//! ```text
//! run        opcode[31:28] wait0[27:24] amount0[23:21] wait1[20:17] amount1[16:14]
//!            signal0[13:10] valid0[9] signal1[8:5] valid1[4] flags[3:0]
//! configure  opcode[31:28] register[27:22] value[21:0]
//! ```
//!
//! `docs/concepts/isa.md` says why the set looks as it does.

mod reference;
mod text;

use crate::fit::Fit;
pub use reference::reference_page;
pub use text::ParseError;

use serde::{Deserialize, Serialize};

/// Number of bits in an instruction.
pub const INSTRUCTION_BITS: u32 = 32;
/// Number of bits of a `configure` value.
pub const VALUE_BITS: u32 = 22;

/// A unit with its own in-order queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Moves words from memory to a local memory.
    Load,
    /// Runs one tile of a convolution on the array.
    Exec,
    /// Requantises, pools, adds and looks up tables.
    Vec,
    /// Moves words from an activation bank to memory.
    Store,
}

impl Engine {
    /// All engines, in the order of their index in the hardware.
    pub const ALL: [Engine; 4] = [Engine::Load, Engine::Exec, Engine::Vec, Engine::Store];

    /// The name used in assembly text, traces and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Load => "load",
            Engine::Exec => "exec",
            Engine::Vec => "vec",
            Engine::Store => "store",
        }
    }

    /// The index in the hardware's flat vectors.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// One bit field of a register value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name in assembly text and in the SystemVerilog package.
    pub name: &'static str,
    /// Position of the least significant bit in the value.
    pub lsb: u32,
    /// Width in bits.
    pub width: u32,
    /// Whether the field is two's complement.
    pub signed: bool,
}

impl Field {
    /// Whether `value` can be held by this field.
    pub const fn holds(&self, value: i64) -> bool {
        let (low, high) = if self.signed {
            (-(1i64 << (self.width - 1)), (1i64 << (self.width - 1)) - 1)
        } else {
            (0, (1i64 << self.width) - 1)
        };
        low <= value && value <= high
    }

    /// The field's value in the register value `raw`.
    pub const fn extract(&self, raw: u32) -> i64 {
        let bits = ((raw >> self.lsb) & mask(self.width)) as i64;
        if self.signed && bits >> (self.width - 1) != 0 {
            bits - (1 << self.width)
        } else {
            bits
        }
    }
}

const fn mask(width: u32) -> u32 {
    if width >= 32 {
        u32::MAX
    } else {
        (1 << width) - 1
    }
}

macro_rules! field {
    ($name:ident, $lsb:literal, u $width:literal) => {
        Field {
            name: stringify!($name),
            lsb: $lsb,
            width: $width,
            signed: false,
        }
    };
    ($name:ident, $lsb:literal, i $width:literal) => {
        Field {
            name: stringify!($name),
            lsb: $lsb,
            width: $width,
            signed: true,
        }
    };
}

macro_rules! opcodes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $name:literal, $engine:expr, flags [$($flag:literal),*];)+) => {
        /// The operation of a `run` instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Opcode { $($(#[doc = $doc])+ $variant = $code,)+ }

        impl Opcode {
            /// All operations, by ascending code.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$variant),+];

            /// The name in assembly text.
            pub const fn name(self) -> &'static str { match self { $(Opcode::$variant => $name),+ } }

            /// The engine that runs it.
            pub const fn engine(self) -> Engine { match self { $(Opcode::$variant => $engine),+ } }

            /// The names of its flags, from bit 0 up.
            pub const fn flags(self) -> &'static [&'static str] { match self { $(Opcode::$variant => &[$($flag),*]),+ } }

            /// What it does, for the reference page.
            pub const fn doc(self) -> &'static str { match self { $(Opcode::$variant => concat!($($doc),+)),+ } }

            /// The bit of the flag `name` in [`Run::flags`].
            ///
            /// # Panics
            /// When the operation has no such flag: a bug in the caller, which a constant shows when it is compiled.
            pub const fn flag(self, name: &str) -> u8 {
                let flags = self.flags();
                let mut bit = 0;
                while bit < flags.len() {
                    if is_same(flags[bit], name) {
                        return 1 << bit;
                    }
                    bit += 1;
                }
                panic!("the operation has this flag")
            }
        }
    };
}

/// Whether two names are the same, as `==` cannot yet say in a constant.
const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    a.len() == b.len() && i == a.len()
}

opcodes! {
    /// Copies `length` words from memory at `memory` to the local memory at `destination`; then advances both by `length`.
    Load = 1, "load", Engine::Load, flags [];
    /// Runs one convolution tile: for every pixel and reduction step, multiplies one activation word with one weight tile and accumulates; then advances `weights` by the number of steps.
    /// Flag `half` picks the accumulator half, `accumulate` keeps what is in it (weight-stationary only), `output` picks output-stationary loop order.
    Exec = 2, "exec", Engine::Exec, flags ["half", "accumulate", "output"];
    /// Copies `length` words from the activation banks at `source` to memory at `memory`; then advances both by `length`.
    Store = 3, "store", Engine::Store, flags [];
    /// Turns the accumulators of one tile into int8 and writes them to a bank; then advances `parameters` by one tile of columns.
    /// Flag `half` picks the accumulator half.
    Requantise = 4, "requantise", Engine::Vec, flags ["half"];
    /// Lane-wise maximum over a window of words; a window of one word is a copy.
    MaxPool = 5, "max_pool", Engine::Vec, flags [];
    /// Lane-wise look-up of one word in the first table; with flag `pair` the sum of two words through both tables.
    /// Entries are fixed-point numbers with `20 - dropped` bits of fraction; the result is rounded, ties to even.
    Lookup = 6, "lookup", Engine::Vec, flags ["pair"];
    /// Packs `kernel_x` neighbouring bytes of an image row into lanes of one word for each output pixel: the row mapping `taps`.
    Pack = 7, "pack", Engine::Vec, flags [];
}

macro_rules! registers {
    ($($(#[doc = $doc:literal])+ $variant:ident = $engine:ident $index:literal, $name:literal,
        [$($field:ident @ $lsb:literal : $sign:ident $width:literal),+];)+) => {
        /// A configuration register of one engine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Register { $($(#[doc = $doc])+ $variant,)+ }

        impl Register {
            /// All registers, grouped by engine.
            pub const ALL: &'static [Register] = &[$(Register::$variant),+];

            /// The engine that owns the register.
            pub const fn engine(self) -> Engine { match self { $(Register::$variant => Engine::$engine),+ } }

            /// The index of the register in its engine.
            pub const fn index(self) -> u32 { match self { $(Register::$variant => $index),+ } }

            /// The name in assembly text, without the engine.
            pub const fn name(self) -> &'static str { match self { $(Register::$variant => $name),+ } }

            /// The fields of its value, from bit 0 up.
            pub const fn fields(self) -> &'static [Field] {
                match self { $(Register::$variant => &[$(field!($field, $lsb, $sign $width)),+]),+ }
            }

            /// What it holds, for the reference page.
            pub const fn doc(self) -> &'static str { match self { $(Register::$variant => concat!($($doc),+)),+ } }
        }
    };
}

registers! {
    /// Word address in memory.
    LoadMemory = Load 0, "memory", [address @ 0: u 22];
    /// Local memory and word address in it; `space` is 0 activations, 1 weights, 2 parameters, 3 tables.
    LoadDestination = Load 1, "destination", [address @ 0: u 20, space @ 20: u 2];
    /// Words to copy, at least 1.
    LoadLength = Load 2, "length", [words @ 0: u 20];

    /// Word address in the activation banks.
    StoreSource = Store 0, "source", [address @ 0: u 20];
    /// Word address in memory.
    StoreMemory = Store 1, "memory", [address @ 0: u 22];
    /// Words to copy, at least 1.
    StoreLength = Store 2, "length", [words @ 0: u 20];

    /// Address of the first step's activation word, modulo the address space (it may lie in the padding).
    ExecSource = Exec 0, "source", [address @ 0: u 20];
    /// Input coordinates of the first step; negative in the padding.
    ExecOrigin = Exec 1, "origin", [x @ 0: i 11, y @ 11: i 11];
    /// Valid input coordinates are `0..width` and `0..height`; all others read the padding value.
    ExecExtent = Exec 2, "extent", [width @ 0: u 11, height @ 11: u 11];
    /// Input coordinates per output pixel (`stride`) and per kernel tap (`dilation`).
    ExecStep = Exec 3, "step", [stride_x @ 0: u 5, stride_y @ 5: u 5, dilation_x @ 10: u 5, dilation_y @ 15: u 5];
    /// Reduction bounds: kernel width and height, and channel blocks; each at least 1.
    ExecReduction = Exec 4, "reduction", [kernel_x @ 0: u 6, kernel_y @ 6: u 6, blocks @ 12: u 10];
    /// Output pixels of the tile, each at least 1.
    ExecPixels = Exec 5, "pixels", [x @ 0: u 11, y @ 11: u 11];
    /// Address change when the `kernel_x` loop advances.
    ExecDeltaKernelX = Exec 6, "delta_kernel_x", [address @ 0: i 20];
    /// Address change when the `kernel_y` loop advances and all loops inside it restart.
    ExecDeltaKernelY = Exec 7, "delta_kernel_y", [address @ 0: i 20];
    /// Address change when the `blocks` loop advances and all loops inside it restart.
    ExecDeltaBlock = Exec 8, "delta_block", [address @ 0: i 20];
    /// Address change when the `x` loop advances and all loops inside it restart.
    ExecDeltaX = Exec 9, "delta_x", [address @ 0: i 20];
    /// Address change when the `y` loop advances and all loops inside it restart.
    ExecDeltaY = Exec 10, "delta_y", [address @ 0: i 20];
    /// The value read in the padding: the input's zero point.
    ExecPadding = Exec 11, "padding", [value @ 0: i 8];
    /// First weight tile (a tile is `cols` words).
    ExecWeights = Exec 12, "weights", [tile @ 0: u 18];

    /// Word address of the first output in the activation banks.
    VecDestination = Vec 0, "destination", [address @ 0: u 20];
    /// Column group of the destination word that a requantised tile fills: its first byte is `group * cols`.
    VecGroup = Vec 1, "group", [group @ 0: u 5];
    /// Output pixels, each at least 1; lookup treats them as words.
    VecPixels = Vec 2, "pixels", [x @ 0: u 11, y @ 11: u 11];
    /// Change of the destination address when the `y` loop advances and all loops inside it restart; inside a row it is 1.
    VecDestinationDeltaY = Vec 3, "destination_delta_y", [address @ 0: i 20];
    /// First channel group in the parameter memory (a group is `requantise_lanes` channels).
    VecParameters = Vec 4, "parameters", [group @ 0: u 18];
    /// Smallest and largest output code; for lookup also `dropped`, the bits of fraction, at most 19, that its tables have less than 20.
    VecClamp = Vec 5, "clamp", [low @ 0: i 8, high @ 8: i 8, dropped @ 16: u 5];
    /// Zero point of the output.
    VecZeroPoint = Vec 6, "zero_point", [value @ 0: i 8];
    /// Address of the first source word, modulo the address space; for pack the word of column 0 in the first row.
    VecSource = Vec 7, "source", [address @ 0: u 20];
    /// Address of the first word of the second operand, which is walked with the same address changes as the first.
    VecSourceB = Vec 8, "source_b", [address @ 0: u 20];
    /// Source coordinates of the first step; negative in the padding. Pack counts x in bytes of a row.
    VecOrigin = Vec 9, "origin", [x @ 0: i 11, y @ 11: i 11];
    /// Valid source coordinates are `0..width` and `0..height`; all others read -128, or pack's padding value.
    VecExtent = Vec 10, "extent", [width @ 0: u 11, height @ 11: u 11];
    /// Source coordinates per output pixel and per window tap.
    VecStep = Vec 11, "step", [stride_x @ 0: u 5, stride_y @ 5: u 5, dilation_x @ 10: u 5, dilation_y @ 15: u 5];
    /// Window width and height, and channel blocks; each at least 1.
    VecWindow = Vec 12, "window", [kernel_x @ 0: u 6, kernel_y @ 6: u 6, blocks @ 12: u 10];
    /// Source address change when the `kernel_x` loop advances.
    VecDeltaKernelX = Vec 13, "delta_kernel_x", [address @ 0: i 20];
    /// Source address change when the `kernel_y` loop advances and all loops inside it restart.
    VecDeltaKernelY = Vec 14, "delta_kernel_y", [address @ 0: i 20];
    /// Source address change when the `x` loop advances and all loops inside it restart.
    VecDeltaX = Vec 15, "delta_x", [address @ 0: i 20];
    /// Source address change when the `blocks` loop advances and all loops inside it restart.
    VecDeltaBlock = Vec 16, "delta_block", [address @ 0: i 20];
    /// Source address change when the `y` loop advances and all loops inside it restart.
    VecDeltaY = Vec 17, "delta_y", [address @ 0: i 20];
    /// Change of the destination address when the `blocks` loop advances and the loops inside it restart.
    VecDestinationDeltaBlock = Vec 18, "destination_delta_block", [address @ 0: i 20];
    /// First lane that pack fills, and the value it reads in the padding.
    VecPack = Vec 19, "pack", [lane @ 0: u 5, padding @ 5: i 8];
}

impl Register {
    /// The register value that holds the values of all fields, in the order of [`Register::fields`].
    ///
    /// # Errors
    /// The first field that cannot hold its value, by [`FieldOverflow`].
    ///
    /// # Panics
    /// When the number of values differs from the number of fields: a bug in the caller.
    pub fn pack(self, values: &[i64]) -> Result<u32, FieldOverflow> {
        let fields = self.fields();
        assert_eq!(
            fields.len(),
            values.len(),
            "register `{}` has {} fields",
            self.name(),
            fields.len()
        );
        let mut raw = 0;
        for (field, &value) in fields.iter().zip(values) {
            if !field.holds(value) {
                return Err(FieldOverflow {
                    register: self,
                    field: *field,
                    value,
                });
            }
            raw |= (value & i64::from(mask(field.width))).fit::<u32>() << field.lsb;
        }
        Ok(raw)
    }

    fn from_index(engine: Engine, index: u32) -> Option<Register> {
        Register::ALL
            .iter()
            .copied()
            .find(|r| r.engine() == engine && r.index() == index)
    }
}

/// A value does not fit its field: the program asks for more than the instruction set can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}.{}` field `{}` cannot hold {value}: it has {} bits{}", register.engine().name(), register.name(), field.name, field.width, if field.signed { " and a sign" } else { "" })]
pub struct FieldOverflow {
    /// The register.
    pub register: Register,
    /// The field that is too narrow.
    pub field: Field,
    /// The value that does not fit.
    pub value: i64,
}

/// A counting semaphore, by its index in the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Semaphore(pub u8);

/// Waits until `semaphore` holds at least `amount` (1 to 7), then takes that many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wait {
    /// The semaphore that is waited for.
    pub semaphore: Semaphore,
    /// Tokens taken, 1 to 7.
    pub amount: u8,
}

/// A `run` instruction: waits, does one operation, signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Run {
    /// The operation.
    pub opcode: Opcode,
    /// Up to two waits, taken together before the start.
    pub waits: [Option<Wait>; 2],
    /// Up to two semaphores that gain one token when the last result is readable.
    pub signals: [Option<Semaphore>; 2],
    /// Flags, named by [`Opcode::flags`].
    pub flags: u8,
}

impl Run {
    /// An operation without waits, signals or flags.
    pub const fn new(opcode: Opcode) -> Run {
        Run {
            opcode,
            waits: [None; 2],
            signals: [None; 2],
            flags: 0,
        }
    }
}

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruction {
    /// Does nothing; fills the last word of a program.
    Nop,
    /// Starts an operation.
    Run(Run),
    /// Writes a configuration register.
    Configure {
        /// The register.
        register: Register,
        /// Its value, [`VALUE_BITS`] bits.
        value: u32,
    },
}

/// First opcode of the `configure` format; the engine's index is added to it.
pub const CONFIGURE_OPCODE: u32 = 8;

/// A 32-bit word that is no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("word {0:#010x} is not an instruction")]
pub struct DecodeError(pub u32);

impl Instruction {
    /// The engine whose queue the instruction goes to; a nop goes to none.
    pub const fn engine(&self) -> Option<Engine> {
        match self {
            Instruction::Nop => None,
            Instruction::Run(run) => Some(run.opcode.engine()),
            Instruction::Configure { register, .. } => Some(register.engine()),
        }
    }

    /// The 32-bit word.
    pub fn encode(&self) -> u32 {
        match self {
            Instruction::Nop => 0,
            Instruction::Configure { register, value } => {
                (CONFIGURE_OPCODE + register.engine().index().fit::<u32>()) << 28
                    | register.index() << 22
                    | value
            }
            Instruction::Run(run) => {
                let wait = |w: Option<Wait>| {
                    w.map_or(0, |w| u32::from(w.semaphore.0) << 3 | u32::from(w.amount))
                };
                let signal = |s: Option<Semaphore>| s.map_or(0, |s| u32::from(s.0) << 1 | 1);
                (run.opcode as u32) << 28
                    | wait(run.waits[0]) << 21
                    | wait(run.waits[1]) << 14
                    | signal(run.signals[0]) << 9
                    | signal(run.signals[1]) << 4
                    | u32::from(run.flags)
            }
        }
    }

    /// The instruction of a 32-bit word; the inverse of [`Instruction::encode`].
    ///
    /// # Errors
    /// [`DecodeError`] for any word that `encode` cannot give.
    pub fn decode(word: u32) -> Result<Instruction, DecodeError> {
        let decoded = Instruction::decode_fields(word).ok_or(DecodeError(word))?;
        if decoded.encode() == word {
            Ok(decoded)
        } else {
            Err(DecodeError(word))
        }
    }

    fn decode_fields(word: u32) -> Option<Instruction> {
        let opcode = word >> 28;
        if opcode == 0 {
            return Some(Instruction::Nop);
        }
        if opcode >= CONFIGURE_OPCODE {
            let engine = *Engine::ALL.get((opcode - CONFIGURE_OPCODE) as usize)?;
            let register = Register::from_index(engine, word >> 22 & 0x3f)?;
            return Some(Instruction::Configure {
                register,
                value: word & mask(VALUE_BITS),
            });
        }
        let opcode = Opcode::ALL.iter().copied().find(|o| *o as u32 == opcode)?;
        let wait = |bits: u32| {
            let amount = (bits & 7) as u8;
            (amount != 0).then_some(Wait {
                semaphore: Semaphore((bits >> 3 & 15) as u8),
                amount,
            })
        };
        let signal = |bits: u32| (bits & 1 == 1).then_some(Semaphore((bits >> 1 & 15) as u8));
        Some(Instruction::Run(Run {
            opcode,
            waits: [wait(word >> 21), wait(word >> 14)],
            signals: [signal(word >> 9), signal(word >> 4)],
            flags: (word & 15) as u8,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_word_that_decodes_encodes_back_and_prints_back(word: u32) {
            if let Ok(instruction) = Instruction::decode(word) {
                prop_assert_eq!(instruction.encode(), word);
                if !instruction.to_string().contains('\n') && printable(&instruction) {
                    prop_assert_eq!(instruction.to_string().parse(), Ok(instruction));
                }
            }
        }
    }

    /// Bits outside all fields and flags are not printed.
    fn printable(instruction: &Instruction) -> bool {
        match instruction {
            Instruction::Nop => true,
            Instruction::Run(run) => {
                u32::from(run.flags) < 1 << run.opcode.flags().len() && slots_in_order(run)
            }
            Instruction::Configure { register, value } => {
                register
                    .fields()
                    .iter()
                    .fold(*value, |rest, f| rest & !(mask(f.width) << f.lsb))
                    == 0
            }
        }
    }

    fn slots_in_order(run: &Run) -> bool {
        (run.waits[0].is_some() || run.waits[1].is_none())
            && (run.signals[0].is_some() || run.signals[1].is_none())
    }

    #[test]
    fn fields_do_not_overlap_and_fit_the_value() {
        for register in Register::ALL {
            let mut used = 0;
            for field in register.fields() {
                let bits = mask(field.width) << field.lsb;
                assert_eq!(used & bits, 0, "{register:?} {}", field.name);
                used |= bits;
            }
            assert_eq!(used >> VALUE_BITS, 0, "{register:?}");
            assert_eq!(
                Register::from_index(register.engine(), register.index()),
                Some(*register)
            );
        }
    }
}
