//! Verilated designs as shared libraries: built once, cached, driven from Rust.
//!
//! [`build`] gives the library of a set of RTL files; [`Model`] is one instance of it.
//! All `unsafe` of the crate is in the private module `library`.

mod build;
mod library;
mod shim;

pub use build::{BuildError, Built, Optimise, Rtl, build, build_in, cache_root};
pub use library::{LoadError, Model, Port};
