//! The private directory that one job's files live in.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::tool::ToolError;

/// A fresh directory, readable by its owner only, in which external programs run.
///
/// The files in it have fixed names chosen by us, so that a tool's script can name them without quoting.
/// The directory is removed when the value is dropped, unless a program failed in it or [`JobDir::keep`] was called.
/// What a process that was killed left is removed by the next process that creates a job beside it.
#[derive(Debug)]
pub struct JobDir {
    dir: TempDir,
    /// The file [`OWNER`], locked while the job lives; the system lifts the lock when the process ends.
    _owner: File,
    n_runs: usize,
    last_tool: String,
}

/// The file by which a job's directory is known; without it a directory is never removed by another process.
const OWNER: &str = ".tilewright-job";

impl JobDir {
    /// Creates a new job directory `<purpose>-<random>` under `build_root`, which is created when absent.
    ///
    /// # Errors
    /// [`ToolError::Io`] when the file system refuses.
    ///
    /// # Panics
    /// When `purpose` is not a plain file name; see [`JobDir::path`].
    pub fn create(build_root: &Path, purpose: &str) -> Result<JobDir, ToolError> {
        assert_plain(purpose);
        fs::create_dir_all(build_root)
            .map_err(|source| ToolError::io("create", build_root, source))?;
        // Tools change to this directory, so that a relative root would lose its meaning.
        let root = fs::canonicalize(build_root)
            .map_err(|source| ToolError::io("resolve", build_root, source))?;
        remove_abandoned_once(&root);
        let fault = |source| ToolError::io("create a directory in", &root, source);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{purpose}-"))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&root)
            .map_err(fault)?;
        let owner = own(dir.path()).map_err(fault)?;
        Ok(JobDir {
            dir,
            _owner: owner,
            n_runs: 0,
            last_tool: String::new(),
        })
    }

    /// The absolute path of the directory.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The absolute path of the file `name` of this job.
    ///
    /// # Panics
    /// When `name` is not a plain file name: ASCII letters, digits, `_`, `-` and `.`, beginning with a letter or digit.
    /// Names are written by us, so any other name is a bug of the caller.
    pub fn path(&self, name: &str) -> PathBuf {
        assert_plain(name);
        self.root().join(name)
    }

    /// Writes `contents` to the file `name` and returns its path.
    ///
    /// # Errors
    /// [`ToolError::Io`] when the file system refuses.
    ///
    /// # Panics
    /// As [`JobDir::path`].
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf, ToolError> {
        let path = self.path(name);
        fs::write(&path, contents).map_err(|source| ToolError::io("write", &path, source))?;
        Ok(path)
    }

    /// Reads the file `name`, which a tool wrote.
    ///
    /// # Errors
    /// [`ToolError::NoOutput`] when the file is absent, [`ToolError::Io`] when it is unreadable.
    ///
    /// # Panics
    /// As [`JobDir::path`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>, ToolError> {
        let path = self.path(name);
        fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if !self.last_tool.is_empty() => ToolError::NoOutput {
                tool: self.last_tool.clone(),
                file: path,
            },
            _ => ToolError::io("read", &path, source),
        })
    }

    /// Reads the file `name`, which a tool wrote, as text; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`JobDir::read`].
    ///
    /// # Panics
    /// As [`JobDir::path`].
    pub fn read_text(&self, name: &str) -> Result<String, ToolError> {
        Ok(String::from_utf8_lossy(&self.read(name)?).into_owned())
    }

    /// Leaves the directory in place when the value is dropped.
    pub fn keep(&mut self) {
        self.dir.disable_cleanup(true);
        // Without the file nobody else removes the directory; a file that is gone already is as good.
        let _ = fs::remove_file(self.root().join(OWNER));
    }

    /// The path of the log of the next run of `tool`, numbered in the order of the runs.
    pub(super) fn next_log(&mut self, tool: &str) -> PathBuf {
        self.n_runs += 1;
        tool.clone_into(&mut self.last_tool);
        self.path(&format!("{}-{tool}.log", self.n_runs))
    }
}

/// Writes and locks the file [`OWNER`] in `dir`; it appears locked, so that nobody takes the job for abandoned.
fn own(dir: &Path) -> io::Result<File> {
    let unlocked = dir.join(format!("{OWNER}.new"));
    let file = File::create(&unlocked)?;
    file.lock()?;
    fs::rename(&unlocked, dir.join(OWNER))?;
    Ok(file)
}

/// As [`remove_abandoned`], for the first job of this process in `root`.
fn remove_abandoned_once(root: &Path) {
    static LOOKED_AT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let is_first = LOOKED_AT
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(root.to_owned());
    if is_first {
        remove_abandoned(root);
    }
}

/// Removes the jobs in `root` whose process has ended without doing so.
///
/// Only directories of this user are looked at, and nothing is a failure: they are in nobody's way.
fn remove_abandoned(root: &Path) {
    let user = rustix::process::geteuid().as_raw();
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for dir in entries.flatten().map(|entry| entry.path()) {
        let is_ours = fs::symlink_metadata(&dir)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user);
        if !is_ours {
            continue;
        }
        let owner = File::options().read(true).write(true).open(dir.join(OWNER));
        if owner.is_ok_and(|owner| owner.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(&dir);
        }
    }
}

/// Panics unless `name` can stand in any tool's script or argument list without being read as something else.
fn assert_plain(name: &str) {
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+'));
    assert!(begins_well && is_plain, "`{name}` is not a plain file name");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_is_private_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let job = JobDir::create(&root.path().join("jobs"), "synth").unwrap();
        let path = job.root().to_owned();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        job.write("top.sv", "module top; endmodule\n").unwrap();
        assert_eq!(job.read_text("top.sv").unwrap(), "module top; endmodule\n");
        drop(job);
        assert!(!path.exists());
    }

    #[test]
    fn kept_directory_stays() {
        let root = tempfile::tempdir().unwrap();
        let mut job = JobDir::create(root.path(), "synth").unwrap();
        job.keep();
        let path = job.root().to_owned();
        drop(job);
        remove_abandoned(root.path());
        assert!(path.exists());
    }

    #[test]
    fn only_abandoned_jobs_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let live = JobDir::create(root.path(), "live").unwrap();
        let dead = root.path().join("dead");
        fs::create_dir_all(dead.join("folder")).unwrap();
        fs::write(dead.join(OWNER), "").unwrap();
        let strange = root.path().join("live-but-no-job");
        fs::create_dir(&strange).unwrap();
        remove_abandoned(root.path());
        assert!(!dead.exists());
        assert!(live.root().exists() && strange.exists());
    }

    #[test]
    fn file_that_a_tool_did_not_write_is_its_fault() {
        let root = tempfile::tempdir().unwrap();
        let mut job = JobDir::create(root.path(), "synth").unwrap();
        assert_eq!(job.read("mapped.json").unwrap_err().exit_code(), 7);
        job.next_log("yosys");
        let error = job.read("mapped.json").unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(
            error.to_string().starts_with("`yosys` did not write"),
            "{error}"
        );
    }

    #[test]
    fn names_that_a_tool_could_misread_are_refused() {
        for name in ["", "-o", "../x", "a b", "a;b", "/etc/passwd", ".x", "$(x)"] {
            assert!(
                std::panic::catch_unwind(|| assert_plain(name)).is_err(),
                "{name:?} was accepted"
            );
        }
        for name in ["top.sv", "arch_pkg.sv", "1-g++.log"] {
            assert_plain(name);
        }
    }
}
