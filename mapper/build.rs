//! Hashes the sources that results depend on, so that a cache of results knows when they are old.

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut files = Vec::new();
    for folder in ["src", "../ir/src"] {
        println!("cargo::rerun-if-changed={folder}");
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let path = file.strip_prefix(&root).expect("it was found there");
        hasher.update(path.to_string_lossy().as_bytes());
        hasher.update(&fs::read(&file).expect("sources can be read"));
    }
    println!(
        "cargo::rustc-env=TILEWRIGHT_MODEL={}",
        hasher.finalize().to_hex()
    );
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("sources can be read") {
        let path = entry.expect("sources can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
