//! The nouns: network, arch, mapping, program, instruction set; parse, print, validate, reference meaning.
pub mod network;
pub mod numerics;
pub mod op;
