//! End to end: golden flows, agreement between devices, tidiness.
//!
//! The library holds what tests and the mutation run share.

pub mod axi;
pub mod fuzz;
pub mod random;
