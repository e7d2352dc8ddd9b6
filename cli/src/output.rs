//! Files that appear whole or not at all.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Reads the path of a file to write, so that one that cannot be is refused before the work is done.
pub(crate) fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let folder = folder_of(&path);
    if text == "-" {
        return Err("it would be a file of that name: give a path, or `./-`".to_owned());
    }
    if path.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if !folder.is_dir() {
        return Err(format!("there is no folder `{}`", folder.display()));
    }
    Ok(path)
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes `contents` to `path` in one step: a reader sees the old file or the new one.
pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), Failure> {
    let folder = folder_of(path);
    let fault = |error| Failure::write(path, error);
    // Temporary files are private; what the user asked for has the rights that the user gives to new files.
    let mut file = tempfile::Builder::new()
        .prefix(".tilewright-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(fault)?;
    file.write_all(contents.as_ref()).map_err(fault)?;
    file.persist(path).map_err(|error| fault(error.error))?;
    Ok(())
}

/// Creates the folder `path` and those above it.
pub(crate) fn folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::write(path, error))
}
