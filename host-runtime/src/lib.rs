//! Device and Session: reference, simulator, rtl.

pub mod error;
pub mod machine;
pub mod rtl;
pub mod slave;
pub mod verilated;

pub use error::Error;
