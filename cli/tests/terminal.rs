//! What a user's file brings to the terminal: names that would move the cursor or break a line are shown, and act on
//! nothing, in tables, notes, errors and JSON alike.

use std::path::Path;
use std::process::{Command, Output};

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test is run as a user runs it"
)]
fn tilewright(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tilewright"));
    command.args(arguments).current_dir(folder);
    command.output().expect("it starts")
}

/// Replaces every `from` in `bytes`, which is as long as `to`.
fn replace(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        }
    }
}

#[test]
fn names_of_a_file_act_on_nothing() {
    let folder = tempfile::tempdir().expect("there is room");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut bytes = std::fs::read(root.join("examples/networks/digits_int8.onnx")).expect("digits");
    replace(&mut bytes, "logits", "\u{1b}[2J\u{9b}");
    replace(&mut bytes, "image", "i\u{2028}e");
    replace(&mut bytes, "flat", "\r\n\u{85}");
    let file = "a\u{1b}[2J.onnx";
    std::fs::write(folder.path().join(file), bytes).expect("there is room");
    let commands: [&[&str]; 7] = [
        &["check", file, "--arch", "nano"],
        &["check", file],
        &["map", file, "--arch", "nano"],
        &["compile", file, "--arch", "nano", "--output", "out\u{1b}"],
        &["run", file, "--arch", "nano"],
        &["check", file, "--dim", "\u{9b}=3"],
        &["check", "absent\u{1b}.onnx"],
    ];
    let mut n_done = 0;
    for command in commands {
        for more in [&[][..], &["--json"]] {
            let output = tilewright(folder.path(), &[command, more].concat());
            n_done += usize::from(output.status.success());
            for stream in [output.stdout, output.stderr] {
                let text = String::from_utf8(stream).expect("it is UTF-8");
                let checked = ir::text::check(&text.replace(['\n', '\t'], ""));
                assert_eq!(checked, Ok(()), "{command:?}: {text:?}");
            }
        }
    }
    assert!(n_done >= 8, "{n_done} commands came to their end");
}
