//! `tilewright demo`: placeholder while the rest compiles.
use crate::console::Console;
use crate::failure::{Failure, Outcome};

/// Run the whole main job on a bundled network
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, _: &Console) -> Result<Outcome, Failure> {
    Ok(Outcome::Good)
}
