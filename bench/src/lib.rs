//! Report, plots, criterion benches.
//!
//! - [`report`]: what a report states, as plain data with the origin of every number; its JSON and its page.
//! - [`mod@gather`]: a report from a network, an arch, a compilation, and what devices and tools gave.
//!
//! Deliberately not here: running devices or tools. What they gave comes in as plain data, so that a report can be made
//! again from its JSON alone.

pub mod gather;
pub mod report;

pub use gather::gather;
pub use report::Report;
