//! Files that appear whole or not at all, and folders that are touched only where they are ours.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::{CliError, Code, Failure};

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
    let fault = |error| Failure::write(path, error);
    let file = beside(path, contents.as_ref()).map_err(fault)?;
    file.persist(path).map_err(|error| fault(error.error))?;
    Ok(())
}

/// Finds out whether `path` can be written before there is anything to write.
pub(crate) fn probe(path: &Path) -> Result<(), Failure> {
    // A full disk takes an empty file.
    let block = [0; 4096];
    beside(path, &block).map_err(|error| Failure::write(path, error))?;
    if path.is_dir() {
        return Err(Failure::write(path, io::ErrorKind::IsADirectory.into()));
    }
    Ok(())
}

/// A temporary file with `contents` in the folder of `path`.
fn beside(path: &Path, contents: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    // Temporary files are private; what the user asked for has the rights that the user gives to new files.
    let mut file = tempfile::Builder::new()
        .prefix(".tilewright-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder_of(path))?;
    file.write_all(contents)?;
    Ok(file)
}

/// Creates the folder `path` and those above it.
pub(crate) fn folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::write(path, error))
}

/// The file by which a folder of results is known as ours: the command that wrote it, and what it wrote.
pub(crate) const MANIFEST: &str = ".tilewright";

/// The text of [`MANIFEST`] in a folder into which `command` writes `names`.
pub(crate) fn manifest<'a>(command: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let mut text = header(command) + "\n";
    for name in names {
        text += &format!("{name}\n");
    }
    text
}

fn header(command: &str) -> String {
    format!("written by `tilewright {command}`, which may replace these files:")
}

/// Refuses a folder that holds anything that `command` did not write, before any work is done for it.
pub(crate) fn claim(folder: &Path, command: &'static str, force: bool) -> Result<(), Failure> {
    let strangers = match strangers(folder, command) {
        Ok(strangers) => strangers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::write(folder, error)),
    };
    let Some(first) = strangers.first().filter(|_| !force) else {
        return Ok(());
    };
    let others = match strangers.len() - 1 {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let error = CliError::Foreign {
        folder: folder.to_owned(),
        what: format!("`{first}`{others}"),
        command,
    };
    Err(Failure::new(Code::Usage, error))
}

/// Names in `folder` that `command` did not write, in their order.
fn strangers(folder: &Path, command: &str) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let manifest = fs::read_to_string(folder.join(MANIFEST)).unwrap_or_default();
    if let Some(ours) = manifest.strip_prefix(&header(command)) {
        names.remove(MANIFEST);
        for name in ours.lines() {
            names.remove(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_empty_and_own_folders_are_claimed() {
        let root = tempfile::tempdir().expect("there is room");
        let folder = root.path().join("out");
        let refused = |command| {
            let error = claim(&folder, command, false).err()?;
            assert_eq!(error.code, Code::Usage);
            assert!(claim(&folder, command, true).is_ok());
            Some(error.report.to_string())
        };
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("there is room");
        };
        assert_eq!(refused("generate"), None);
        fs::create_dir(&folder).expect("there is room");
        assert_eq!(refused("generate"), None);
        write("a.sv", "");
        write(MANIFEST, &manifest("generate", ["a.sv", "b.sv"]));
        assert_eq!(refused("generate"), None);
        // What another command wrote is not this one's to replace.
        let text = refused("build").expect("it is refused");
        assert!(text.contains("`.tilewright` and 1 more"), "{text}");
        write("notes.txt", "mine");
        let text = refused("generate").expect("it is refused");
        assert!(text.contains("`notes.txt`,"), "{text}");
        // A file is no folder, by force or without.
        let file = folder.join("a.sv");
        assert!(claim(&file, "generate", true).is_err());
    }
}
