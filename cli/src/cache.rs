//! Results of mapping on disk, by a hash of everything that they depend on.
//!
//! One small file for each result, written beside its place and renamed into it, so that several processes can share the
//! folder. A file that is damaged or of something else is named on standard error and ignored. Nothing is ever removed:
//! the folder holds only what can be made again, and may be deleted at any time.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use host_runtime::verilated::cache_root;
use mapper::cache::{Cache, MODEL, NoCache};

use crate::console::Console;
use crate::input::{hash_of, text};

/// The version of the files.
const FORMAT: u32 = 1;

/// Whether results are kept.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct CacheArgs {
    /// Map everything anew, and keep nothing; the cache is in `$TILEWRIGHT_CACHE` or the user's cache folder
    #[arg(long)]
    no_cache: bool,
}

impl CacheArgs {
    pub(crate) fn open<'a>(&self, console: &'a Console) -> Box<dyn Cache + 'a> {
        if self.no_cache {
            return Box::new(NoCache);
        }
        Box::new(DiskCache {
            folder: cache_root().join("mappings"),
            console,
            is_told: AtomicBool::new(false),
        })
    }
}

struct DiskCache<'a> {
    folder: PathBuf,
    console: &'a Console,
    /// Whether the user knows that nothing can be written.
    is_told: AtomicBool,
}

impl DiskCache<'_> {
    fn path(&self, problem: &str) -> PathBuf {
        self.folder
            .join(hash_of(format!("{MODEL}\n{problem}").as_bytes()))
    }
}

impl Cache for DiskCache<'_> {
    fn get(&self, problem: &str) -> Option<String> {
        let path = self.path(problem);
        match read(&path, problem) {
            Ok(found) => found,
            Err(reason) => {
                self.console.note(&format!(
                    "warning: ignored `{}` of the cache: {reason}",
                    path.display()
                ));
                None
            }
        }
    }

    fn put(&self, problem: &str, found: &str) {
        let path = self.path(problem);
        let body = format!("{MODEL}\n{problem}\n{found}\n");
        let file = format!(
            "tilewright mapping {FORMAT} {}\n{body}",
            hash_of(body.as_bytes())
        );
        let result = fs::create_dir_all(&self.folder).and_then(|()| {
            let mut temporary = tempfile::NamedTempFile::new_in(&self.folder)?;
            temporary.write_all(file.as_bytes())?;
            temporary.persist(&path).map_err(|error| error.error)
        });
        if let Err(error) = result
            && !self.is_told.swap(true, Ordering::Relaxed)
        {
            let folder = self.folder.display();
            self.console.note(&format!(
                "warning: nothing is kept in the cache `{folder}`: {error}"
            ));
        }
    }
}

/// The result in a file, none if there is no file, or why it is not used.
fn read(path: &Path, problem: &str) -> Result<Option<String>, String> {
    const LIMIT: u64 = 1 << 26;
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let text = text(path, LIMIT).map_err(|failure| failure.report.to_string())?;
    let (header, body) = text.split_once('\n').ok_or("it has no header")?;
    let sum = header
        .strip_prefix(&format!("tilewright mapping {FORMAT} "))
        .ok_or("it is of another format")?;
    if sum != hash_of(body.as_bytes()) {
        return Err("its checksum does not match".to_owned());
    }
    let found = body
        .strip_prefix(&format!("{MODEL}\n{problem}\n"))
        .ok_or("it is the result of another problem")?;
    Ok(Some(found.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, console: &'static Console) -> DiskCache<'static> {
        DiskCache {
            folder: folder.join("mappings"),
            console,
            is_told: AtomicBool::new(false),
        }
    }

    const CONSOLE: &Console = &Console { json: true };

    const FOUND: &str = r#"{"cycles":12}"#;

    #[test]
    fn what_was_put_comes_back_and_nothing_else() {
        let tmp = tempfile::tempdir().expect("there is room");
        let cache = cache(tmp.path(), CONSOLE);
        assert_eq!(cache.get("a"), None);
        cache.put("a", FOUND);
        assert_eq!(cache.get("a"), Some(FOUND.to_owned()));
        assert_eq!(cache.get("b"), None);
        // Each damage is noticed, for its own reason.
        let path = cache.path("a");
        let good = fs::read_to_string(&path).expect("it was written");
        let reason = |text: &str| {
            fs::write(&path, text).expect("there is room");
            assert_eq!(cache.get("a"), None);
            read(&path, "a").expect_err("it is damaged")
        };
        assert_eq!(reason(""), "it has no header");
        assert_eq!(reason("hello\nworld\n"), "it is of another format");
        assert_eq!(
            reason(&good[..good.len() - 9]),
            "its checksum does not match"
        );
        assert_eq!(
            reason(&good.replace("\"cycles\":", "\"cycles\":1")),
            "its checksum does not match"
        );
        fs::write(cache.path("b"), &good).expect("there is room");
        assert_eq!(
            read(&cache.path("b"), "b"),
            Err("it is the result of another problem".to_owned())
        );
        // A good result takes the place of a damaged one.
        cache.put("a", FOUND);
        assert_eq!(cache.get("a"), Some(FOUND.to_owned()));
    }

    #[test]
    fn many_writers_leave_a_whole_file() {
        let tmp = tempfile::tempdir().expect("there is room");
        let cache = cache(tmp.path(), CONSOLE);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        cache.put("a", FOUND);
                        assert_eq!(cache.get("a").as_deref(), Some(FOUND));
                    }
                });
            }
        });
        let files = fs::read_dir(tmp.path().join("mappings"))
            .expect("it is there")
            .count();
        assert_eq!(files, 1, "no temporary file is left");
    }
}
