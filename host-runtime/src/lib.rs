//! Device and Session: reference, simulator, rtl; and onnxruntime beside them.

pub mod artifact;
pub mod compare;
pub mod device;
pub mod error;
pub mod fuzz;
pub mod link;
pub mod machine;
pub mod netlist;
pub mod onnxruntime;
pub mod oracle;
pub mod rtl;
pub mod simulated;
pub mod slave;
pub mod verify;
pub mod verilated;

pub use artifact::Artifact;
pub use device::{Device, Outcome, Session, Settings, TimeBase, devices};
pub use error::Error;
pub use machine::{Machine, MachineRun, Span};
pub use rtl::RtlMachine;
pub use simulated::SimMachine;
