//! Ctrl-C: external tools end at once, loops at their next step, and whatever does neither a little later.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::failure::Failure;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Seconds that a command has to end by itself; output files are written in one step, so ending it then harms nothing.
static GRACE: AtomicU64 = AtomicU64::new(3);

/// Gives a command that saves what it has `seconds` to do so.
pub(crate) fn allow(seconds: u64) {
    GRACE.store(seconds, Ordering::SeqCst);
}

/// Starts to listen for interrupt and termination.
pub(crate) fn listen() {
    let result = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        hw::flow::interrupt();
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(GRACE.load(Ordering::SeqCst)));
            std::process::exit(130);
        });
    });
    // Without a handler Ctrl-C still ends the process, as the system does it.
    drop(result);
}

/// Whether the user wants the command to end.
pub(crate) fn requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Ends the command if the user wants it to end.
pub(crate) fn check() -> Result<(), Failure> {
    if requested() {
        Err(Failure::interrupted())
    } else {
        Ok(())
    }
}
