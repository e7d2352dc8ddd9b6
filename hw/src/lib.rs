//! Arch to Design, and Design to bitstream or area.

pub mod flow;
