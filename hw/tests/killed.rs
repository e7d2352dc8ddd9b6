//! A tool does not outlive us, even when we get no chance to end it.

#![expect(
    clippy::disallowed_methods,
    reason = "the test starts, watches and kills processes"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hw::flow::{GXX, JobDir, Limits, ToolError, skip_test, tool};

/// Where the process that is killed keeps its job.
const ROOT: &str = "TILEWRIGHT_TEST_KILLED";

/// A constant that the compiler would be busy with for minutes.
const ENDLESS: &str = "
constexpr unsigned long sum() {
  unsigned long x = 0;
  for (unsigned long i = 0; i < 2000000000; ++i) x += i * x + 1;
  return x;
}
constexpr unsigned long value = sum();
";

#[test]
#[ignore = "the process that `sigkill_leaves_no_compiler_behind` starts and kills"]
fn compile_for_minutes() {
    let root = std::env::var_os(ROOT).expect("the other test says where");
    let mut job = JobDir::create(Path::new(&root), "compile").unwrap();
    job.write("endless.cpp", ENDLESS).unwrap();
    let args = [
        "-fconstexpr-loop-limit=2147483647",
        "-fconstexpr-ops-limit=1000000000000",
        "-c",
        "endless.cpp",
    ];
    match tool::run(&GXX, &args, &mut job, &Limits::default()) {
        Err(error @ ToolError::Missing { .. }) => panic!("{error}"),
        other => panic!("the compiler was not busy: {other:?}"),
    }
}

/// Names of the programs that run in a folder below `root`; zombies are in none.
fn running_in(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let path = process.path();
        if fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(root)) {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            names.push(name.trim().to_owned());
        }
    }
    names
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(10));
    }
}

fn jobs(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Kills the process also when an assertion fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sigkill_leaves_no_compiler_behind() {
    if let Err(error) = Command::new("g++").arg("--version").output() {
        skip_test(&format!("`g++` cannot be run: {error}"));
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(root.path()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "compile_for_minutes"])
        .env(ROOT, &root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    wait_until("g++ and its compiler run", || {
        let names = running_in(&root);
        ["g++", "cc1plus"]
            .iter()
            .all(|wanted| names.iter().any(|name| name == wanted))
    });
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    wait_until("nothing runs any more", || running_in(&root).is_empty());

    // What it left is removed by the next job of another process; this one has created none here yet.
    let left = jobs(&root);
    assert_eq!(left.len(), 1, "{left:?}");
    let next = JobDir::create(&root, "next").unwrap();
    assert_eq!(jobs(&root), [next.root()]);
}
