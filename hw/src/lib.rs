//! Arch to Design, and Design to bitstream or area.

pub mod design;
pub mod flow;

pub use design::{Design, Technology, generate};
