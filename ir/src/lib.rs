//! The nouns: network, arch, mapping, program, instruction set; parse, print, validate, reference meaning.

pub mod arch;
pub mod directive;
pub mod isa;
pub mod mapping;
pub mod memory;
pub mod program;

pub use arch::Arch;
pub use memory::MemoryModel;
pub use program::Program;

pub mod network;
pub mod numerics;
pub mod op;
