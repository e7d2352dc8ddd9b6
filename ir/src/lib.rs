//! The nouns: network, arch, tree, workload, mapping, program, instruction set, operation; parse, print, validate, reference
//! meaning, time.

#![cfg_attr(
    not(test),
    warn(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]
#![expect(
    clippy::result_large_err,
    reason = "an error of a file ends its use, so its size does not matter"
)]

pub mod arch;
mod bytes;
pub mod directive;
pub mod fit;
pub mod isa;
pub mod mapping;
pub mod memory;
pub mod program;
pub mod text;
pub mod timing;
pub mod tree;
pub mod workload;

pub use arch::Arch;
pub use memory::MemoryModel;
pub use program::Program;

pub mod network;
pub mod numerics;
pub mod op;
pub mod operation;
