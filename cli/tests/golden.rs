//! Transcripts of the command line, compared with what it does.
//!
//! A file of `golden/` is what a terminal would show: commands after `$ `, their standard output, their standard error
//! behind `! `, and the exit code. `$TMP` is a fresh folder per file, with the input files that [`prepare`] writes.
//! `UPDATE_EXPECT=1 cargo test -p tilewright` writes the files anew.
//!
//! Times are never compared. In a file that starts with `# numbers are not compared` no number is, for they are those
//! of other crates, which have tests of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const NO_NUMBERS: &str = "# numbers are not compared";

fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .expect("the workspace is there")
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    paths.sort();
    let stale: Vec<String> = paths.iter().filter_map(|path| check(path)).collect();
    assert!(
        stale.is_empty(),
        "run with UPDATE_EXPECT=1 if this is right:\n{}",
        stale.join("\n")
    );
}

/// The difference of a file, if there is one.
fn check(path: &Path) -> Option<String> {
    let expected = fs::read_to_string(path).expect("it can be read");
    let tmp = tempfile::tempdir().expect("there is room");
    prepare(tmp.path());
    let hide = expected.starts_with(NO_NUMBERS);
    let mut actual = String::new();
    for line in expected.lines().take_while(|line| line.starts_with('#')) {
        actual += &format!("{line}\n");
    }
    for command in expected.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let output = run(command, tmp.path());
        let text = filter(&shown(&output), tmp.path(), hide);
        actual += &format!("\n$ {command}\n{text}");
    }
    if actual == expected {
        return None;
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, &actual).expect("it can be written");
        return None;
    }
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let (number, (was, now)) = pairs(&expected, &actual)
        .find(|(_, (a, b))| a != b)
        .expect("they differ");
    Some(format!(
        "{name}:{number}\n  expected: {was}\n  was:      {now}"
    ))
}

fn pairs<'a>(
    expected: &'a str,
    actual: &'a str,
) -> impl Iterator<Item = (usize, (&'a str, &'a str))> {
    let pad = |text: &'a str| text.lines().chain(std::iter::repeat(""));
    let n = expected.lines().count().max(actual.lines().count());
    (1..=n).zip(pad(expected).zip(pad(actual)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line is what is tested"
)]
fn run(command: &str, tmp: &Path) -> Output {
    let command = command.replace("$TMP", tmp.to_str().expect("plain path"));
    let mut words = command.split(' ').peekable();
    let mut process = Command::new(env!("CARGO_BIN_EXE_tilewright"));
    process
        .current_dir(root())
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .env_remove("TILEWRIGHT_ONNXRUNTIME")
        .env_remove("COLUMNS");
    while let Some((key, value)) = words.peek().and_then(|word| word.split_once('=')) {
        process.env(key, value);
        words.next();
    }
    assert_eq!(
        words.next(),
        Some("tilewright"),
        "`{command}` runs another program"
    );
    process.args(words).output().expect("it starts")
}

fn shown(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        text += &format!("! {line}\n");
    }
    let code = output
        .status
        .code()
        .map_or("none".to_owned(), |code| code.to_string());
    text + &format!("[exit {code}]\n")
}

/// Input files that are wrong in one way each.
fn prepare(tmp: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(tmp.join(name), bytes).expect("there is room");
    let digits =
        fs::read(root().join("examples/networks/digits_int8.onnx")).expect("digits is there");
    write("truncated.onnx", &digits[..digits.len() / 2]);
    // Another operator of the same length leaves the file whole.
    write("unsupported.onnx", &replace(&digits, b"Conv", b"Cosh"));
    let nano = fs::read_to_string(root().join("examples/archs/nano.toml")).expect("nano is there");
    write(
        "value.toml",
        nano.replace("cols = 2", "cols = 3").as_bytes(),
    );
    write(
        "key.toml",
        nano.replace("cols = 2", "columns = 2").as_bytes(),
    );
    write(
        "syntax.toml",
        nano.replace("cols = 2", "cols = = 2").as_bytes(),
    );
    write(
        "small.toml",
        nano.replace("words = 512", "words = 8").as_bytes(),
    );
    let edge = fs::read_to_string(root().join("examples/archs/edge.toml")).expect("edge is there");
    let memory = edge.find("[memory]").expect("it has a memory");
    let words = memory + edge[memory..].find("words").expect("it has a size");
    let (before, after) = edge.split_at(words);
    let after = after.split_once('\n').expect("a line has an end").1;
    write(
        "memory.toml",
        format!("{before}words = 64\n{after}").as_bytes(),
    );
    write(
        "conflict.directives",
        b"directives 1\n\n# One layer, twice.\noperator=conv: tile_rows=2\nconv1:\n  dataflow=output_stationary\n  tile_rows=4\n",
    );
    write(
        "limit.directives",
        b"directives 1\noperator=conv: tile_rows=8\n*: order=strips_outer,group_tiles=16\n",
    );
    write("syntax.directives", b"directives 1\nconv1: tile=2\n");
    write("version.directives", b"directives 9\nconv1: tile_rows=2\n");
    write(
        "both.directives",
        b"directives 1\noperator=conv r=3: dataflow=weight_stationary tile_rows=2\nfc: group_tiles=99\ngemm*: output=spills\n",
    );
    // Indices so far apart that no tile fits, which takes long to find out.
    write(
        "apart.toml",
        b"format = 1\nname = \"w\"\n[[einsum]]\nname = \"e\"\nequation = \"O[p] += I[65535*p+65535*r] * W[r]\"\nranks = { p = 1000, r = 1000 }\n",
    );
    let gemm = |i: usize| {
        let next = i + 1;
        format!(
            "[[einsum]]\nname = \"e{i}\"\nequation = \"T{next}[m, n] += T{i}[m, k] * W{i}[k, n]\"\nranks = {{ m = 64, n = 64, k = 64 }}\n"
        )
    };
    let gemms: String = (0..20).map(gemm).collect();
    write(
        "chain.toml",
        format!("format = 1\nname = \"chain\"\n{gemms}").as_bytes(),
    );
    let memory = |i: usize| {
        format!(
            "[[component]]\nclass = \"memory\"\nname = \"b{i}\"\nsize_bits = 4096\nread_pj_per_bit = 0.1\nwrite_pj_per_bit = 0.1\nmay_bypass = [\"input\", \"weights\", \"output\"]\n"
        )
    };
    let memories: String = (0..6).map(memory).collect();
    let tree = fs::read_to_string(root().join("examples/trees/one_buffer.toml"))
        .expect("one_buffer is there");
    let fanout = "[[component]]\nclass = \"fanout\"\n";
    write(
        "bypassed.toml",
        tree.replacen(fanout, &(memories + fanout), 1).as_bytes(),
    );
    // Files of other mappers that are not read: settings alone, and an older form.
    write(
        "mapping.yaml",
        b"- name: default\n  spatial_mapping: {D1: [\"K, 32\"], D2: [\"C, 32\"]}\n  memory_operand_links: {O: O, W: I2, I: I1}\n",
    );
    write(
        "mapper.yaml",
        b"mapper: {algorithm: random-pruned, num-threads: 8}\n",
    );
    write(
        "older.yaml",
        b"architecture:\n  version: 0.3\n  subtree:\n  - name: system\n    local:\n    - {name: DRAM, class: DRAM, attributes: {width: 64, word-bits: 16}}\n",
    );
    write(
        "flat.yaml",
        b"architecture:\n  version: 0.3\n  local:\n  - {name: \"system.PE[0..125].mac\", class: intmac, attributes: {datawidth: 16}}\n",
    );
    write("not.npz", b"no archive");
    let zeros = vec![0.0_f64; 3 * 64];
    let pixel = |value| {
        let mut images = zeros.clone();
        images[64 + 9] = value;
        images
    };
    let images = |name: &str, images: &[f64], shape: &[u64], labels: &[i64]| {
        let mut writer = npyz::npz::NpzWriter::create(tmp.join(name)).expect("there is room");
        array(&mut writer, "images", images, shape);
        array(&mut writer, "labels", labels, &[labels.len() as u64]);
    };
    let three = &[3, 1, 8, 8];
    images("good.npz", &zeros, three, &[0, 1, 2]);
    images("label.npz", &zeros, three, &[0, -1, 2]);
    images("class.npz", &zeros, three, &[0, 1, 10]);
    images("few.npz", &zeros, three, &[0, 1]);
    images("many.npz", &zeros, three, &[0, 1, 2, 3]);
    images("nan.npz", &pixel(f64::NAN), three, &[0, 1, 2]);
    images("infinite.npz", &pixel(f64::INFINITY), three, &[0, 1, 2]);
    images("shape.npz", &zeros, &[8, 8, 3], &[0, 1, 2]);
    fifo(&tmp.join("fifo"));
    write("damaged.tw", b"tilewright artifact\nno more");
}

/// Adds an array to an archive, with a type that numpy has by itself.
fn array<T: npyz::AutoSerialize + Copy>(
    writer: &mut npyz::npz::NpzWriter<impl std::io::Write + std::io::Seek>,
    name: &str,
    values: &[T],
    shape: &[u64],
) {
    use npyz::WriterBuilder as _;
    let array = writer.array(name, Default::default());
    let array = array.expect("there is room").default_dtype().shape(shape);
    let mut array = array.begin_nd().expect("there is room");
    array.extend(values.iter().copied()).expect("there is room");
    array.finish().expect("there is room");
}

/// What a reader that opens it waits for for ever.
#[expect(
    clippy::disallowed_methods,
    reason = "the standard library cannot make one"
)]
fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "no mkfifo");
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = bytes
        .windows(from.len() + 1)
        .enumerate()
        .filter(|(_, w)| w[0] == from.len() as u8 && w[1..] == *from)
        .map(|(i, _)| i + 1)
        .collect();
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to);
    }
    bytes
}

/// Puts names for what differs from run to run.
fn filter(text: &str, tmp: &Path, hide_numbers: bool) -> String {
    let text = text
        .replace(tmp.to_str().expect("plain path"), "$TMP")
        .replace(root().to_str().expect("plain path"), "$ROOT");
    let mut filtered = String::new();
    for line in text.lines() {
        let line = hide_times(line);
        let line = if hide_numbers && !line.starts_with("[exit") {
            hide_all(&line)
        } else {
            line
        };
        filtered += line.trim_end();
        filtered.push('\n');
    }
    filtered
}

/// `0.42 s` becomes `[time] s`.
fn hide_times(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let is_time = |index: usize| {
        let unit = words
            .get(index + 1)
            .is_some_and(|next| next.trim_end_matches([',', ';', '.', ':']) == "s");
        unit && words[index].parse::<f64>().is_ok()
    };
    let word = |(index, word): (usize, &&str)| {
        if is_time(index) {
            "[time]".to_owned()
        } else {
            (*word).to_owned()
        }
    };
    words
        .iter()
        .enumerate()
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Every number becomes `#`, and the room it takes does not count.
fn hide_all(line: &str) -> String {
    let mut hidden = String::new();
    let mut previous = ' ';
    for c in line.chars() {
        let inside = previous == '#' && (c.is_ascii_digit() || c == ',' || c == '.');
        if inside || c == ' ' && hidden.ends_with("  ") {
            continue;
        }
        let starts = c.is_ascii_digit() && !previous.is_ascii_alphanumeric();
        previous = if starts { '#' } else { c };
        hidden.push(previous);
    }
    hidden
}

/// A result is the same from one thread and from eight, from a cold cache, a warm one and none, and from a damaged one.
#[test]
fn threads_and_caches_change_no_byte() {
    let tree = root().join("examples/trees/gemmini_like.toml");
    let tree = tree.display();
    for arch in [
        "edge --explain",
        &format!("{tree} --objective energy"),
        &format!("{tree} --fuse"),
        &format!("{tree} --pareto --perfect"),
    ] {
        caches_change_no_byte(&format!("tilewright map digits --json --arch {arch}"));
    }
}

fn caches_change_no_byte(map: &str) {
    let tmp = tempfile::tempdir().expect("there is room");
    let expected = run(&format!("{map} --no-cache"), tmp.path());
    assert!(expected.status.success());
    let check = |environment: &str| {
        let output = run(&format!("{environment} {map}"), tmp.path());
        assert!(
            output.stdout == expected.stdout,
            "{environment} changes the result of {map}"
        );
        String::from_utf8(output.stderr).expect("messages are text")
    };
    for n in [1, 2, 8] {
        for state in ["cold", "warm"] {
            let environment = format!("RAYON_NUM_THREADS={n} TILEWRIGHT_CACHE=$TMP/cache{n}");
            assert_eq!(check(&environment), "", "{state}");
        }
    }
    let files = || fs::read_dir(tmp.path().join("cache1/mappings")).expect("it was made");
    assert!(files().count() > 2);
    for file in files() {
        fs::write(file.expect("it can be read").path(), "damaged").expect("there is room");
    }
    let environment = "TILEWRIGHT_CACHE=$TMP/cache1";
    let messages = check(environment);
    assert_eq!(
        messages.matches("of the cache: it has no header").count(),
        files().count()
    );
    assert_eq!(check(environment), "", "damaged results were replaced");
    // A folder that cannot be made.
    fs::write(tmp.path().join("file"), "").expect("there is room");
    let messages = check("TILEWRIGHT_CACHE=$TMP/file");
    assert_eq!(
        messages.matches("nothing is kept in the cache").count(),
        1,
        "{messages}"
    );
}

/// What a shell decides for a program: a closed standard output is no success, and new files have the rights of `umask`.
#[test]
fn streams_and_rights_of_the_shell_hold() {
    use std::os::unix::fs::PermissionsExt as _;
    let tmp = tempfile::tempdir().expect("there is room");
    #[expect(clippy::disallowed_methods, reason = "a shell decides it")]
    let shell = |script: &str| {
        let output = Command::new("sh")
            .current_dir(root())
            .env("T", env!("CARGO_BIN_EXE_tilewright"))
            .env("TMP", tmp.path())
            .args(["-c", script])
            .output();
        let output = output.expect("there is a shell");
        (
            output.status.code(),
            String::from_utf8(output.stderr).expect("messages are text"),
        )
    };
    let (code, message) = shell("exec $T check digits --arch nano >&-");
    assert_eq!(code, Some(7), "{message}");
    assert!(
        message.contains("`standard output`: it is closed"),
        "{message}"
    );
    assert_eq!(
        shell("exec $T check digits --arch nano >/dev/null").0,
        Some(0)
    );
    for (umask, mode) in [("077", 0o600), ("022", 0o644), ("002", 0o664)] {
        let script = format!("umask {umask}; $T compile digits --arch nano -o $TMP/{umask}.tw");
        assert_eq!(shell(&script).0, Some(0));
        let metadata = fs::metadata(tmp.path().join(format!("{umask}.tw")));
        let written = metadata.expect("it was written").permissions().mode();
        assert_eq!(written & 0o777, mode, "{umask}");
    }
}

#[test]
fn reference_page_is_current() {
    let path = root().join("docs/reference/cli.md");
    let output = run("tilewright reference", Path::new("/"));
    let text = String::from_utf8_lossy(&output.stdout);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, text.as_bytes()).expect("it can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/reference/cli.md is stale: run UPDATE_EXPECT=1 cargo test -p tilewright"
    );
}

/// Limits end a search wherever it is: what is listed before it, and groups of einsums, take hours and gigabytes here.
#[test]
fn limits_end_every_search() {
    for (command, expected) in [
        ("map $TMP/apart.toml --arch one_buffer --time-limit 0.3", 1),
        ("map $TMP/apart.toml --arch one_buffer --memory-limit 1K", 7),
        (
            "map $TMP/apart.toml --arch one_buffer --fuse --time-limit 0.3",
            1,
        ),
        (
            "map $TMP/apart.toml --arch one_buffer --pareto --time-limit 0.3",
            1,
        ),
        (
            "map $TMP/chain.toml --arch $TMP/bypassed.toml --time-limit 1",
            1,
        ),
        (
            "map $TMP/chain.toml --arch $TMP/bypassed.toml --memory-limit 100M",
            7,
        ),
        (
            "map $TMP/chain.toml --arch one_buffer --fuse --time-limit 20",
            0,
        ),
        ("map digits --arch nano --time-limit 0", 1),
        ("map digits --arch nano --memory-limit 1K", 7),
    ] {
        let tmp = tempfile::tempdir().expect("there is room");
        prepare(tmp.path());
        let output = run(&format!("tilewright {command} --no-cache"), tmp.path());
        let shown = shown(&output);
        assert_eq!(output.status.code(), Some(expected), "{command}\n{shown}");
        assert!(!shown.contains("0 cycles in all"), "{command}\n{shown}");
        let reason = match expected {
            0 => "stopped by the time limit",
            1 => "cli::time_limit",
            _ => "cli::memory_limit",
        };
        assert!(shown.contains(reason), "{command}\n{shown}");
    }
}

/// The loop nests of the bundled network, as `map -o` writes them.
#[test]
fn example_schedules_are_current() {
    for arch in ["edge", "nano"] {
        let tmp = tempfile::tempdir().expect("there is room");
        let output = run(
            &format!("tilewright map digits --arch {arch} -o $TMP/schedule"),
            tmp.path(),
        );
        assert!(output.status.success());
        let text = fs::read_to_string(tmp.path().join("schedule")).expect("it was written");
        let parsed: ir::mapping::Schedule = text.parse().expect("it reads back");
        assert_eq!(parsed.to_string(), text);
        let path = root().join(format!("examples/schedules/digits_{arch}.txt"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &text).expect("it can be written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is stale: run UPDATE_EXPECT=1 cargo test -p tilewright",
            path.display()
        );
    }
}

/// The list of what files of other mappers say in vain, of which the terminal shows each thing once.
#[test]
fn what_has_no_effect_stands_in_json_with_every_place() {
    let cases = [
        ("timeloop_whole", "timeloop_whole"),
        ("accelforge_whole", "accelforge_whole"),
        ("zigzag_accelerator", "zigzag_workload"),
    ];
    for (arch, network) in cases {
        let path = |name: &str| format!("foreign/tests/samples/{name}.yaml");
        let (arch, network) = (path(arch), path(network));
        let tmp = tempfile::tempdir().expect("there is room");
        let command = format!(
            "tilewright map {network} --arch {arch} --objective energy --json -o $TMP/nests.txt"
        );
        let output = run(&command, tmp.path());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let mut files = vec![arch, network];
        files.dedup();
        let expected: Vec<serde_json::Value> = files
            .iter()
            .flat_map(|file| {
                let text = fs::read_to_string(root().join(file)).expect("it is there");
                let foreign = foreign::read(file, &text).expect("it is sound");
                foreign.ignored.into_iter().map(move |finding| {
                    serde_json::json!({
                        "file": file,
                        "line": finding.line,
                        "key": finding.key,
                        "reason": finding.message,
                    })
                })
            })
            .collect();
        assert!(expected.len() > 10, "{} findings", expected.len());
        assert_eq!(json["ignored"], serde_json::Value::Array(expected));
    }
}
