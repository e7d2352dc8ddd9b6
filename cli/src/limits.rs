//! Limits of time and memory of a search, as the callback that stops it.
//!
//! Memory is what the process has resident, as the system counts it; where the system does not say (other than Linux),
//! there is no limit of memory.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{CliError, Code, Failure};
use crate::interrupt;

/// Options of every command that searches.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// Stop the search after this many seconds; a tree gives the best so far with its gap
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    time_limit: Option<Duration>,
    /// Stop the search when the program holds this many bytes, such as `512M` or `4G`; half of the machine's memory
    /// unless given
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_limit: Option<u64>,
}

/// What a search may still take; asked from any thread.
pub(crate) struct Budget {
    start: Instant,
    time: Option<Duration>,
    memory: Option<u64>,
    /// Milliseconds from the start at which memory is looked at next.
    next_look: AtomicU64,
    reached: OnceLock<Reached>,
}

/// What stopped a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The user.
    Interrupt,
    /// The limit of time.
    Time(Duration),
    /// The limit of memory.
    Memory {
        /// Bytes that the program held.
        held: u64,
        /// Bytes that it may hold.
        limit: u64,
    },
}

/// Milliseconds between looks at memory, which take some ten microseconds; little is allocated in between.
const LOOK_MS: u64 = 10;

impl LimitArgs {
    /// Starts to count.
    #[expect(clippy::disallowed_methods, reason = "a time limit is the user's wish")]
    pub(crate) fn start(&self) -> Budget {
        Budget {
            start: Instant::now(),
            time: self.time_limit,
            memory: self
                .memory_limit
                .or_else(|| Some(machine_bytes(Path::new("/"))? / 2)),
            next_look: AtomicU64::new(0),
            reached: OnceLock::new(),
        }
    }
}

impl Budget {
    /// Whether the search must end; once it must, it stays so.
    pub(crate) fn is_spent(&self) -> bool {
        if self.reached.get().is_some() {
            return true;
        }
        let Some(reached) = self.now() else {
            return false;
        };
        // Of two threads the first one's reason stands.
        let _ = self.reached.set(reached);
        true
    }

    fn now(&self) -> Option<Reached> {
        if interrupt::requested() {
            return Some(Reached::Interrupt);
        }
        let elapsed = self.start.elapsed();
        if let Some(limit) = self.time.filter(|limit| elapsed > *limit) {
            return Some(Reached::Time(limit));
        }
        let limit = self.memory?;
        let now = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if now < self.next_look.load(Ordering::Relaxed) {
            return None;
        }
        self.next_look.store(now + LOOK_MS, Ordering::Relaxed);
        let held = resident_bytes()?;
        (held > limit).then_some(Reached::Memory { held, limit })
    }

    /// What stopped the search, if something did.
    pub(crate) fn reached(&self) -> Option<Reached> {
        self.reached.get().copied()
    }

    /// The end of a command whose search was stopped before it found anything.
    pub(crate) fn nothing_found(&self) -> Failure {
        match self.reached() {
            None | Some(Reached::Interrupt) => Failure::interrupted(),
            Some(Reached::Time(limit)) => {
                let seconds = limit.as_secs_f64();
                Failure::new(Code::CheckFailed, CliError::TimeLimit { seconds })
            }
            Some(Reached::Memory { held, limit }) => Failure::new(
                Code::Resource,
                CliError::MemoryLimit {
                    held: mebibytes(held),
                    limit: mebibytes(limit),
                },
            ),
        }
    }
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reached::Interrupt => write!(f, "the user"),
            Reached::Time(limit) => write!(f, "the time limit of {} s", limit.as_secs_f64()),
            Reached::Memory { held, limit } => write!(
                f,
                "the memory limit of {} MiB, at {} MiB",
                mebibytes(*limit),
                mebibytes(*held)
            ),
        }
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it must be a number of seconds")?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| "it must be a number of seconds, from 0 to 1.8e19".to_owned())
}

/// Reads a number of bytes, with `K`, `M` or `G` for its powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']) {
        Some(digits) => match text.as_bytes()[digits.len()].to_ascii_lowercase() {
            b'k' => (digits, 1 << 10),
            b'm' => (digits, 1 << 20),
            _ => (digits, 1 << 30),
        },
        None => (text, 1),
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .filter(|number| *number > 0)
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "it must be a number of bytes above 0, such as `512M` or `4G`".to_owned())
}

/// Bytes that this process has in memory.
fn resident_bytes() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Bytes of memory that this process can have: of the machine, and of the control groups that it is in.
fn machine_bytes(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok();
    let machine = meminfo.and_then(|text| kibibytes(&text, "MemTotal:"));
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| group_limits(root, line));
    machine.into_iter().chain(limits).min()
}

/// The limits of memory of a control group and of those around it, from its line `ID:CONTROLLERS:PATH`.
fn group_limits(root: &Path, line: &str) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (folder, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        of if of.split(',').any(|c| c == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let folders = Path::new(path.trim_start_matches('/')).ancestors();
    let limit = |path: &Path| {
        let text = fs::read_to_string(root.join(folder).join(path).join(file)).ok()?;
        // A group without a limit says `max`.
        text.trim().parse().ok()
    };
    folders.filter_map(limit).collect()
}

/// The bytes behind `key` in a file of lines such as `MemTotal: 4 kB`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(time: Option<Duration>, memory: Option<u64>) -> Budget {
        let args = LimitArgs {
            time_limit: time,
            memory_limit: memory,
        };
        args.start()
    }

    #[test]
    fn options_are_read() {
        for (text, expected) in [
            ("1", Some(1)),
            ("3k", Some(3 << 10)),
            ("512M", Some(512 << 20)),
            ("4G", Some(4 << 30)),
            ("0", None),
            ("-1", None),
            ("M", None),
            ("1.5G", None),
            ("99999999999G", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
        for (text, expected) in [
            ("2.5", Some(Duration::from_millis(2500))),
            ("0", Some(Duration::ZERO)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_reason_stays() {
        let limit = Duration::ZERO;
        for (budget, expected) in [
            (budget(None, Some(u64::MAX)), None),
            (budget(Some(limit), None), Some(Reached::Time(limit))),
        ] {
            assert_eq!(budget.is_spent(), expected.is_some());
            assert_eq!(budget.is_spent(), expected.is_some());
            assert_eq!(budget.reached(), expected);
        }
        if resident_bytes().is_some() {
            let budget = budget(None, Some(1));
            assert!(budget.is_spent());
            assert!(matches!(
                budget.reached(),
                Some(Reached::Memory { limit: 1, .. })
            ));
            assert_eq!(budget.nothing_found().code, Code::Resource);
        }
    }

    #[test]
    fn the_smallest_limit_around_counts() {
        let root = tempfile::tempdir().expect("there is room");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
            fs::write(path, text).expect("there is room");
        };
        assert_eq!(machine_bytes(root.path()), None);
        write("proc/meminfo", "MemTotal:       100 kB\nMemFree: 1 kB\n");
        assert_eq!(machine_bytes(root.path()), Some(102_400));
        write("proc/self/cgroup", "0::/outer/inner\n");
        write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
        write("sys/fs/cgroup/outer/memory.max", "50000\n");
        assert_eq!(machine_bytes(root.path()), Some(50_000));
        write("proc/self/cgroup", "4:cpu,memory:/old\n1:cpu:/x\n");
        write("sys/fs/cgroup/memory/old/memory.limit_in_bytes", "40000\n");
        assert_eq!(machine_bytes(root.path()), Some(40_000));
    }
}
