//! The private directory that one job's files live in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::tool::ToolError;

/// A fresh directory, readable by its owner only, in which external programs run.
///
/// The files in it have fixed names chosen by us, so that a tool's script can name them without quoting.
/// The directory is removed when the value is dropped, unless a program failed in it or [`JobDir::keep`] was called.
#[derive(Debug)]
pub struct JobDir {
    dir: TempDir,
    n_runs: usize,
}

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
        let dir = tempfile::Builder::new()
            .prefix(&format!("{purpose}-"))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&root)
            .map_err(|source| ToolError::io("create a directory in", &root, source))?;
        Ok(JobDir { dir, n_runs: 0 })
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
    /// [`ToolError::Io`] when the file is absent or unreadable.
    ///
    /// # Panics
    /// As [`JobDir::path`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>, ToolError> {
        let path = self.path(name);
        fs::read(&path).map_err(|source| ToolError::io("read", &path, source))
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
    }

    /// The path of the log of the next run of `tool`, numbered in the order of the runs.
    pub(super) fn next_log(&mut self, tool: &str) -> PathBuf {
        self.n_runs += 1;
        self.path(&format!("{}-{tool}.log", self.n_runs))
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
        assert!(path.exists());
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
