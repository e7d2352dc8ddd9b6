//! The one function through which external programs run, and the record it leaves.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::job::JobDir;
use super::process::{self, Ending};
use super::registry::{self, Package, Tool};

/// What one run of a program may use; beyond it the run is ended and reported as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall time.
    pub wall: Duration,
    /// Private writable memory of each process of the run, in bytes.
    pub memory_bytes: u64,
    /// Standard output and standard error together, in bytes.
    pub output_bytes: u64,
}

impl Limits {
    /// The default limits with `wall` as the time limit.
    pub fn wall(wall: Duration) -> Limits {
        Limits {
            wall,
            ..Limits::default()
        }
    }
}

impl Default for Limits {
    /// Ten minutes, 8 GiB, and 64 MiB of output.
    fn default() -> Limits {
        Limits {
            wall: Duration::from_secs(600),
            memory_bytes: 8 << 30,
            output_bytes: 64 << 20,
        }
    }
}

/// The record of one run of an external program, part of the provenance of whatever it made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRun {
    /// Name of the tool, as `doctor` prints it.
    pub tool: String,
    /// Version as the tool states it; `built here` for a program that the job itself built.
    pub version: String,
    /// Arguments, without the program's own name.
    pub arguments: Vec<String>,
    /// Exit status; 0 for every run that [`run`] returned.
    pub status: i32,
    /// Wall time from start to end, in seconds.
    pub wall_seconds: f64,
}

/// A run that succeeded.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The record for the report.
    pub run: ToolRun,
    /// The file in the job's directory that holds standard output and standard error, in order of arrival.
    pub log: PathBuf,
}

impl Finished {
    /// Reads the log; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// [`ToolError::Io`] when the job directory is gone.
    pub fn log_text(&self) -> Result<String, ToolError> {
        let bytes =
            fs::read(&self.log).map_err(|source| ToolError::io("read", &self.log, source))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// How much of the log of a failed program is kept.
pub const KEPT_LOG_BYTES: u64 = 1 << 20;

/// Why an external program gave no result.
#[derive(Debug, Error, Diagnostic)]
pub enum ToolError {
    /// The program is not installed: the machine's matter, and `make setup` mends it.
    #[error("`{tool}` is not installed, which disables {disables}")]
    #[diagnostic(code(flow::tool_missing), help("{install}, or run `make setup`"))]
    Missing {
        /// Name of the tool.
        tool: &'static str,
        /// What cannot be done without it.
        disables: &'static str,
        /// How to install it.
        install: String,
    },
    /// The program ended with a failure: the Design's or the tool's fault, as the log tells.
    #[error("`{tool}` failed with {status}")]
    #[diagnostic(code(flow::tool_failed), help("the last lines of `{log}`:\n{tail}", log = log.display()))]
    Failed {
        /// Name of the tool.
        tool: String,
        /// `exit status N` or the signal.
        status: String,
        /// Last lines of the log.
        tail: String,
        /// The log, of which the last [`KEPT_LOG_BYTES`] are kept with the job directory.
        log: PathBuf,
    },
    /// The program is not the one that is known under this name.
    #[error("`{tool}` prints no version in the known form")]
    #[diagnostic(
        code(flow::tool_version),
        help("see what `{path} --version` prints; `make setup` installs versions that work", path = path.display())
    )]
    NoVersion {
        /// Name of the tool.
        tool: &'static str,
        /// The program.
        path: PathBuf,
    },
    /// The program ended well without writing what it should have: the tool's fault.
    #[error("`{tool}` did not write `{file}`", file = file.display())]
    #[diagnostic(
        code(flow::tool_output_missing),
        help(
            "`tilewright doctor` shows the versions that are here; `make setup` installs some that work"
        )
    )]
    NoOutput {
        /// Name of the tool.
        tool: String,
        /// The file.
        file: PathBuf,
    },
    /// The program did not end within its time limit.
    #[error("`{tool}` was stopped at its time limit: {} s", limit.as_secs_f64())]
    #[diagnostic(code(flow::tool_timed_out), help("see `{log}` for how far it got", log = log.display()))]
    TimedOut {
        /// Name of the tool.
        tool: String,
        /// The limit.
        limit: Duration,
        /// The log so far; its job directory is kept.
        log: PathBuf,
    },
    /// The program printed more than its limit.
    #[error("`{tool}` was stopped because it printed more than {limit_bytes} B")]
    #[diagnostic(code(flow::tool_output), help("the last of its output is in `{log}`", log = log.display()))]
    OutputTooLarge {
        /// Name of the tool.
        tool: String,
        /// The limit, in bytes.
        limit_bytes: u64,
        /// The log so far; its job directory is kept.
        log: PathBuf,
    },
    /// The program was stopped because [`interrupt`] was called.
    #[error("`{tool}` was interrupted")]
    #[diagnostic(code(flow::interrupted))]
    Interrupted {
        /// Name of the tool.
        tool: String,
    },
    /// The file system or the process table refused: the machine's matter.
    #[error("cannot {action} `{path}`", path = path.display())]
    #[diagnostic(code(flow::io))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl ToolError {
    /// The exit code of the command line for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            ToolError::Missing { .. } => 4,
            ToolError::Failed { .. }
            | ToolError::NoVersion { .. }
            | ToolError::NoOutput { .. }
            | ToolError::TimedOut { .. }
            | ToolError::OutputTooLarge { .. } => 5,
            ToolError::Io { .. } => 7,
            ToolError::Interrupted { .. } => 130,
        }
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> ToolError {
        ToolError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Stops every external program that is running or will be started; for the command line's signal handler.
///
/// Programs lead process groups of their own, so that the terminal's interrupt does not reach them by itself.
///
/// # Example
/// ```
/// use hw::flow::{JobDir, Limits, ToolError, interrupt, tool};
///
/// let mut job = JobDir::create(&std::env::temp_dir(), "interrupted")?;
/// job.write("sim", "sleep 600")?;
/// std::fs::copy("/bin/sh", job.path("sh")).expect("a shell is there");
/// std::thread::spawn(|| {
///     std::thread::sleep(std::time::Duration::from_millis(100));
///     interrupt();
/// });
/// let error = tool::run_built("sh", &["sim"], &mut job, &Limits::default()).unwrap_err();
/// assert!(matches!(error, ToolError::Interrupted { .. }));
/// assert_eq!(error.exit_code(), 130);
/// # Ok::<(), ToolError>(())
/// ```
pub fn interrupt() {
    process::interrupt();
}

/// Says that a test does not run because something is not here, and lets it pass, unless tools are required.
///
/// All tests that need a tool skip through this: with `TILEWRIGHT_REQUIRE_TOOLS=1`, as CI sets it, they fail.
///
/// # Panics
/// With `reason`, when tools are required.
#[track_caller]
pub fn skip_test(reason: &str) {
    assert!(
        std::env::var_os("TILEWRIGHT_REQUIRE_TOOLS").is_none_or(|value| value != "1"),
        "skipped, but TILEWRIGHT_REQUIRE_TOOLS is 1: {reason}"
    );
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    {
        eprintln!("skipped: {reason}");
    }
}

/// Runs `tool` with `args` in `job` and waits for it.
///
/// The program is started without a shell, in the job's directory, with empty standard input and a small fixed environment.
/// File arguments are the job's fixed names; text of a user belongs into files, never into `args`.
/// The directory of a run that fails is kept for inspection.
///
/// # Errors
/// [`ToolError::Missing`] when the program is not found, [`ToolError::Failed`] when it ends with another status than 0,
/// [`ToolError::TimedOut`], [`ToolError::OutputTooLarge`] and [`ToolError::Interrupted`] when it was ended by us,
/// [`ToolError::Io`] when it could not be started.
pub fn run(
    tool: &Tool,
    args: &[&str],
    job: &mut JobDir,
    limits: &Limits,
) -> Result<Finished, ToolError> {
    let path = registry::find(tool).ok_or_else(|| tool.missing())?;
    let version = registry::version(tool, &path)?;
    let program = Program {
        name: tool.name,
        path,
        version: version.into(),
        package: Some(tool.package),
    };
    run_program(&program, args, job, limits)
}

/// Runs the program `name` that an earlier step built in `job`, such as a simulation.
///
/// # Errors
/// As [`run`], with [`ToolError::Io`] when there is no such program.
///
/// # Panics
/// As [`JobDir::path`].
pub fn run_built(
    name: &str,
    args: &[&str],
    job: &mut JobDir,
    limits: &Limits,
) -> Result<Finished, ToolError> {
    let program = Program {
        name,
        path: job.path(name),
        version: "built here".into(),
        package: None,
    };
    run_program(&program, args, job, limits)
}

/// A program that was found.
struct Program<'a> {
    name: &'a str,
    path: PathBuf,
    version: Cow<'static, str>,
    package: Option<Package>,
}

fn run_program(
    program: &Program,
    args: &[&str],
    job: &mut JobDir,
    limits: &Limits,
) -> Result<Finished, ToolError> {
    let result = try_run(program, args, job, limits);
    // An interrupted run has nothing to inspect.
    if !matches!(result, Ok(_) | Err(ToolError::Interrupted { .. })) {
        job.keep();
        if let Err(
            ToolError::Failed { log, .. }
            | ToolError::TimedOut { log, .. }
            | ToolError::OutputTooLarge { log, .. },
        ) = &result
        {
            // A log that cannot be cut is as good to read as a short one.
            let _ = process::keep_tail(log, KEPT_LOG_BYTES);
        }
    }
    result
}

fn try_run(
    program: &Program,
    args: &[&str],
    job: &mut JobDir,
    limits: &Limits,
) -> Result<Finished, ToolError> {
    let log = job.next_log(program.name);
    let command = process::command(
        &program.path,
        args,
        job.root(),
        environment(program.package, job.root()),
    );
    let outcome = process::run(command, &log, limits)
        .map_err(|source| not_started(&program.path, &log, source))?;
    let tool = program.name.to_owned();
    match outcome.ending {
        Ending::Exited(status) if status.success() => {
            let run = ToolRun {
                tool,
                version: program.version.clone().into_owned(),
                arguments: args.iter().map(|&arg| arg.to_owned()).collect(),
                status: 0,
                wall_seconds: outcome.wall.as_secs_f64(),
            };
            Ok(Finished { run, log })
        }
        Ending::Exited(status) => {
            // `ExitStatus` prints as `exit status: 1` or `signal: 6 (SIGABRT)`.
            let status = status.to_string().replacen(": ", " ", 1);
            let tail = tail(&log, 20).map_err(|source| ToolError::io("read", &log, source))?;
            Err(ToolError::Failed {
                tool,
                status,
                tail,
                log,
            })
        }
        Ending::TimedOut => Err(ToolError::TimedOut {
            tool,
            limit: limits.wall,
            log,
        }),
        Ending::OutputTooLarge => Err(ToolError::OutputTooLarge {
            tool,
            limit_bytes: limits.output_bytes,
            log,
        }),
        Ending::Interrupted => Err(ToolError::Interrupted { tool }),
    }
}

/// What refused: the disk that takes the output, or the program itself.
pub(super) fn not_started(program: &Path, log: &Path, source: io::Error) -> ToolError {
    match source.kind() {
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::ReadOnlyFilesystem => ToolError::io("write", log, source),
        _ => ToolError::io("run", program, source),
    }
}

/// The variables that programs see: where programs, home and caches are, plain messages, and the job for temporary files.
fn environment(package: Option<Package>, job_root: &Path) -> Vec<(&'static str, OsString)> {
    const KEPT: [&str; 5] = [
        "HOME",
        "XDG_CACHE_HOME",
        "YOWASP_CACHE_DIR",
        "LD_LIBRARY_PATH",
        "SOURCE_DATE_EPOCH",
    ];
    let kept = KEPT
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let fixed = [
        ("PATH", registry::search_path(package)),
        ("LC_ALL", "C".into()),
        ("TMPDIR", job_root.into()),
    ];
    fixed.into_iter().chain(kept).collect()
}

/// The last `n_lines` lines of `log`, without colours or other control characters.
fn tail(log: &Path, n_lines: usize) -> io::Result<String> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let lines = text.trim_end().lines().collect::<Vec<_>>();
    let last = lines[lines.len().saturating_sub(n_lines)..].join("\n");
    Ok(last
        .chars()
        .filter(|&c| c == '\n' || !c.is_control())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::registry::VersionSource;
    use super::*;

    /// A shell stands in for a tool: it is always there, and it can misbehave in every way wanted.
    const SH: Tool = Tool {
        name: "sh",
        command: "sh",
        version: VersionSource::Contents,
        package: Package::Debian("dash"),
        disables: "nothing",
    };

    fn job() -> (tempfile::TempDir, JobDir) {
        let root = tempfile::tempdir().unwrap();
        let job = JobDir::create(root.path(), "test").unwrap();
        (root, job)
    }

    fn limits(wall_ms: u64) -> Limits {
        Limits::wall(Duration::from_millis(wall_ms))
    }

    /// Whether the process whose id the job's file `pid` holds is running; a zombie is not.
    fn is_running(job: &JobDir) -> bool {
        let pid = job.read_text("pid").unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    }

    fn assert_ends(job: &JobDir) {
        for _ in 0..200 {
            if !is_running(job) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the grandchild is still running");
    }

    #[test]
    fn success_is_recorded() {
        let (_root, mut job) = job();
        let finished = run(
            &SH,
            &["-c", "echo out; echo err >&2; pwd; cat"],
            &mut job,
            &limits(10_000),
        )
        .unwrap();
        assert_eq!(
            finished.log_text().unwrap(),
            format!("out\nerr\n{}\n", job.root().display())
        );
        let record = serde_json::to_string(&finished.run).unwrap();
        assert_eq!(
            serde_json::from_str::<ToolRun>(&record).unwrap(),
            finished.run
        );
        assert_eq!(finished.run.tool, "sh");
        assert!(finished.run.version.starts_with("no version; hash "));
        assert_eq!(finished.run.arguments[0], "-c");
    }

    #[test]
    fn environment_is_small_and_fixed() {
        let (_root, mut job) = job();
        let finished = run(&SH, &["-c", "env"], &mut job, &limits(10_000)).unwrap();
        let text = finished.log_text().unwrap();
        assert!(text.contains("LC_ALL=C\n"), "{text}");
        assert!(
            text.contains(&format!("TMPDIR={}\n", job.root().display())),
            "{text}"
        );
        assert!(!text.contains("CARGO"), "{text}");
    }

    #[test]
    fn failure_tells_the_last_lines_and_keeps_the_job() {
        let (_root, mut job) = job();
        let script = "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; exit 3";
        let error = run(&SH, &["-c", script], &mut job, &limits(10_000)).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert_eq!(error.to_string(), "`sh` failed with exit status 3");
        let ToolError::Failed { tail, log, .. } = error else {
            panic!("{error:?}")
        };
        assert!(
            tail.starts_with("line 30\n") && tail.ends_with("line 49"),
            "{tail}"
        );
        drop(job);
        assert!(log.exists());
    }

    #[test]
    fn signal_is_a_failure() {
        let (_root, mut job) = job();
        let error = run(&SH, &["-c", "kill -ABRT $$"], &mut job, &limits(10_000)).unwrap_err();
        assert_eq!(error.to_string(), "`sh` failed with signal 6 (SIGABRT)");
    }

    #[test]
    fn timeout_kills_grandchildren() {
        let (_root, mut job) = job();
        let script = "sh -c 'echo $$ > pid; while :; do sleep 1; done' & wait";
        let error = run(&SH, &["-c", script], &mut job, &limits(500)).unwrap_err();
        assert!(matches!(error, ToolError::TimedOut { .. }), "{error:?}");
        assert_eq!(error.exit_code(), 5);
        assert_ends(&job);
    }

    #[test]
    fn descendants_left_behind_end_with_the_tool() {
        let (_root, mut job) = job();
        let script = "sh -c 'echo $$ > pid; while :; do sleep 1; done' & while [ ! -s pid ]; do :; done; echo done";
        let finished = run(&SH, &["-c", script], &mut job, &limits(10_000)).unwrap();
        assert!(finished.run.wall_seconds < 5.0);
        assert_eq!(finished.log_text().unwrap(), "done\n");
        assert_ends(&job);
    }

    #[test]
    fn flood_of_output_is_stopped_at_the_limit() {
        let (_root, mut job) = job();
        let small = Limits {
            output_bytes: 100_000,
            ..limits(60_000)
        };
        let error = run(&SH, &["-c", "yes"], &mut job, &small).unwrap_err();
        let ToolError::OutputTooLarge { log, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(fs::metadata(log).unwrap().len(), 100_000);
    }

    #[test]
    fn long_log_of_a_failure_keeps_its_end() {
        let (_root, mut job) = job();
        let script = "yes 0123456 | head -c 3000000; echo the end; exit 1";
        let error = run(&SH, &["-c", script], &mut job, &limits(60_000)).unwrap_err();
        let ToolError::Failed { log, .. } = error else {
            panic!("{error:?}")
        };
        let text = fs::read_to_string(log).unwrap();
        let n_dropped = 3_000_008 - KEPT_LOG_BYTES;
        let first = format!("({n_dropped} B before this are not kept)\n");
        assert!(text.starts_with(&first), "{}", &text[..60]);
        assert_eq!(text.len() as u64, KEPT_LOG_BYTES + first.len() as u64);
        assert!(text.ends_with("0123456\nthe end\n"));
    }

    #[test]
    fn full_disk_is_not_the_fault_of_the_program() {
        let start = |kind: io::ErrorKind| {
            not_started(Path::new("tool"), Path::new("log"), kind.into()).to_string()
        };
        assert_eq!(start(io::ErrorKind::StorageFull), "cannot write `log`");
        assert_eq!(start(io::ErrorKind::PermissionDenied), "cannot run `tool`");
    }

    #[test]
    fn program_of_unknown_version_is_a_tool_that_failed() {
        let (_root, mut job) = job();
        let strange = Tool {
            name: "strange",
            command: "echo",
            version: VersionSource::Printed {
                args: &["version of the day"],
                after: "version ",
            },
            ..SH
        };
        let error = run(&strange, &[], &mut job, &limits(10_000)).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert_eq!(
            error.to_string(),
            "`strange` prints no version in the known form"
        );
    }

    #[test]
    fn output_that_a_program_leaves_in_the_pipe_counts_too() {
        let (_root, mut job) = job();
        let small = Limits {
            output_bytes: 10,
            ..limits(60_000)
        };
        let error = run(&SH, &["-c", "echo 0123456789"], &mut job, &small).unwrap_err();
        assert!(
            matches!(error, ToolError::OutputTooLarge { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn silent_program_that_closed_its_output_is_waited_for() {
        let (_root, mut job) = job();
        let finished = run(
            &SH,
            &["-c", "exec >&- 2>&-; sleep 0.2"],
            &mut job,
            &limits(10_000),
        )
        .unwrap();
        assert!(finished.run.wall_seconds >= 0.2);
    }

    #[test]
    fn memory_limit_makes_the_program_fail() {
        let (_root, mut job) = job();
        let small = Limits {
            memory_bytes: 32 << 20,
            ..limits(60_000)
        };
        // The shell doubles a variable until its memory ends.
        let script = "x=0123456789abcdef; while :; do x=$x$x; done";
        let error = run(&SH, &["-c", script], &mut job, &small).unwrap_err();
        assert!(matches!(error, ToolError::Failed { .. }), "{error:?}");
    }

    #[test]
    fn missing_tool_says_how_to_install_it() {
        let (_root, mut job) = job();
        let absent = Tool {
            name: "absent",
            command: "no-such-tool",
            disables: "this test",
            ..SH
        };
        let error = run(&absent, &[], &mut job, &limits(1_000)).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert_eq!(
            error.to_string(),
            "`absent` is not installed, which disables this test"
        );
        assert!(
            error
                .help()
                .unwrap()
                .to_string()
                .contains("apt-get install dash")
        );
    }

    #[test]
    fn built_program_runs() {
        let (_root, mut job) = job();
        job.write("sim.sh", "#!/bin/sh\necho built \"$1\"\n")
            .unwrap();
        // Another process writes the program: a file that we hold open for writing cannot be run.
        run(
            &SH,
            &["-c", "cp sim.sh sim; chmod u+x sim"],
            &mut job,
            &limits(10_000),
        )
        .unwrap();
        let finished = run_built("sim", &["; echo no shell"], &mut job, &limits(10_000)).unwrap();
        assert_eq!(finished.log_text().unwrap(), "built ; echo no shell\n");
        assert_eq!(finished.run.version, "built here");
        let error = run_built("absent", &[], &mut job, &limits(10_000)).unwrap_err();
        assert_eq!(error.exit_code(), 7);
    }
}
