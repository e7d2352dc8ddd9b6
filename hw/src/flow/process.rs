//! One child process under limits: the mechanism behind [`super::tool`].
//!
//! The child is in a process group whose leader is a watchdog: a shell that waits for the end of a pipe from us.
//! When we end, for whatever reason, the pipe closes and the watchdog kills the group, itself included.
//! (A parent-death signal would reach the child alone, and not what the child started.)
//! When the child ends, the whole group is killed before the leader is reaped,
//! so that the group's number cannot meanwhile belong to somebody else.
//! A descendant that leaves the group on purpose (`setsid`) is not followed.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions};

use super::tool::Limits;

/// Set once by [`interrupt`], from then on every child ends at its next poll.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a quiet child is looked at.
const POLL: Duration = Duration::from_millis(5);

/// How long the output of an ended group may keep arriving; only a descendant that left the group can use it up.
const DRAIN: Duration = Duration::from_secs(1);

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Exited(ExitStatus),
    TimedOut,
    OutputTooLarge,
    Interrupted,
}

/// What [`run`] saw of a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) ending: Ending,
    pub(super) wall: Duration,
}

/// Makes every running and every later child end as interrupted.
pub(super) fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Builds the command for `program`, with an environment that holds only `environment`.
pub(super) fn command<'a>(
    program: &Path,
    args: &[&str],
    dir: &Path,
    environment: impl IntoIterator<Item = (&'a str, std::ffi::OsString)>,
) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts external programs"
    )]
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(dir)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null());
    command
}

/// The leader of a child's group, there before the child is: at no time can the child outlive us.
struct Watchdog {
    child: Child,
    /// Never written to; the system closes it when we end.
    _alive: PipeWriter,
}

impl Watchdog {
    /// A shell does it: `make` and Verilator need one too, so that it asks for nothing that is not there.
    fn start() -> io::Result<Watchdog> {
        let (reader, alive) = io::pipe()?;
        let script = "read -r line; kill -s KILL 0";
        let mut command = command(Path::new("/bin/sh"), &["-c", script], Path::new("/"), []);
        command
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        Ok(Watchdog {
            child: command.spawn()?,
            _alive: alive,
        })
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        kill_group(self.group());
        // It was killed, so that the wait is short; nothing can be done about a failure.
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end or to the first limit, with standard output and error merged into `log`.
///
/// The memory limit is the private writable memory of each process (`RLIMIT_DATA`), not its address space,
/// because WebAssembly tools reserve gigabytes that they never touch.
pub(super) fn run(mut command: Command, log: &Path, limits: &Limits) -> io::Result<Outcome> {
    let mut log = Log {
        file: File::create(log)?,
        room: limits.output_bytes,
    };
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let watchdog = Watchdog::start()?;
    command.process_group(watchdog.group().as_raw_pid());
    let start = now();
    let mut child = command.spawn()?;
    // The command still holds the writing ends; the pipe closes only when they are gone here.
    drop(command);
    let pid = Pid::from_child(&child);
    let output = read_in_background(reader);

    let ending = limit_memory(pid, limits.memory_bytes)
        .and_then(|()| watch(pid, &output, &mut log, start + limits.wall));
    kill_group(watchdog.group());
    let status = child.wait()?;
    let ending = match ending? {
        Some(ending) => ending,
        None if drain(&output, &mut log)? => Ending::Exited(status),
        None => Ending::OutputTooLarge,
    };
    Ok(Outcome {
        ending,
        wall: now() - start,
    })
}

/// Waits until the child exits (`None`) or has to be ended for the returned reason.
fn watch(
    pid: Pid,
    output: &Receiver<Vec<u8>>,
    log: &mut Log,
    deadline: Instant,
) -> io::Result<Option<Ending>> {
    loop {
        match output.recv_timeout(POLL) {
            Ok(chunk) => {
                if !log.append(&chunk)? {
                    return Ok(Some(Ending::OutputTooLarge));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if has_exited(pid)? => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
        }
        if has_exited(pid)? {
            return Ok(None);
        }
        if now() >= deadline {
            return Ok(Some(Ending::TimedOut));
        }
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Ok(Some(Ending::Interrupted));
        }
    }
}

/// Appends what is left in the pipe; false when it does not fit.
fn drain(output: &Receiver<Vec<u8>>, log: &mut Log) -> io::Result<bool> {
    let deadline = now() + DRAIN;
    while let Ok(chunk) = output.recv_timeout(deadline.saturating_duration_since(now())) {
        if !log.append(&chunk)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The captured output and how many more bytes it may take.
struct Log {
    file: File,
    room: u64,
}

impl Log {
    /// Appends as much of `chunk` as there is room for; false when that was not all.
    fn append(&mut self, chunk: &[u8]) -> io::Result<bool> {
        let n_bytes = chunk
            .len()
            .min(usize::try_from(self.room).unwrap_or(usize::MAX));
        self.file.write_all(&chunk[..n_bytes])?;
        self.room -= n_bytes as u64;
        Ok(n_bytes == chunk.len())
    }
}

/// Reads `reader` on a thread of its own; the channel is bounded, so that a flood of output holds the child up.
fn read_in_background(reader: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(16);
    thread::spawn(move || forward(reader, &sender));
    receiver
}

fn forward(mut reader: PipeReader, sender: &SyncSender<Vec<u8>>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(n_bytes) if sender.send(buffer[..n_bytes].to_vec()).is_err() => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Limits the memory of the child, and of all processes it starts from now on.
fn limit_memory(pid: Pid, bytes: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    match rustix::process::prlimit(Some(pid), Resource::Data, limit) {
        // The child has already ended.
        Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the child has exited; it is not reaped.
fn has_exited(pid: Pid) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(rustix::process::waitid(WaitId::Pid(pid), options)?.is_some())
}

/// Cuts the front off a long file, so that its last `n_bytes` bytes stay, under a line that says so.
pub(super) fn keep_tail(path: &Path, n_bytes: u64) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    if length <= n_bytes {
        return Ok(());
    }
    let dropped = length - n_bytes;
    file.seek(SeekFrom::Start(dropped))?;
    let mut kept = format!("({dropped} B before this are not kept)\n").into_bytes();
    file.read_to_end(&mut kept)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&kept)?;
    file.set_len(kept.len() as u64)
}

fn kill_group(pid: Pid) {
    // The only possible failure is that nothing of the group is left.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
}

#[expect(
    clippy::disallowed_methods,
    reason = "wall time of external programs is measured and limited here"
)]
fn now() -> Instant {
    Instant::now()
}
