//! `verify` and `run` against onnxruntime. Without its library the tests say so.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test is run as a user runs it"
)]
fn tilewright(arguments: &str, library: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tilewright"));
    command.args(arguments.split_whitespace());
    if let Some(library) = library {
        command.env("TILEWRIGHT_ONNXRUNTIME", library);
    }
    command.output().expect("it starts")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// What the command prints as JSON, or a printed reason; a missing library fails where `TILEWRIGHT_REQUIRE_TOOLS` is set.
fn result(arguments: &str) -> Option<Value> {
    let output = tilewright(arguments, None);
    if output.status.code() == Some(6) {
        let reason = String::from_utf8_lossy(&output.stderr);
        let required = std::env::var_os("TILEWRIGHT_REQUIRE_TOOLS").is_some();
        assert!(!required, "{reason}");
        #[expect(clippy::print_stderr, reason = "a skipped test says why")]
        {
            eprintln!("skipped: {reason}");
        }
        return None;
    }
    Some(json(&output))
}

#[track_caller]
fn check_equal(arguments: &str, n_values: u64) {
    let Some(result) = result(arguments) else {
        return;
    };
    assert_eq!(result["agrees"], true, "{result}");
    let output = &result["onnxruntime"]["outputs"][0];
    assert_eq!(output["equal"], n_values, "{result}");
}

#[test]
fn digits_are_equal_in_every_value() {
    check_equal("verify digits --images all --json", 3600);
}

#[test]
fn a_network_with_depthwise_convolutions_and_residuals_agrees() {
    for name in ["ds_cnn", "resnet8"] {
        let Some(result) = result(&format!("verify zoo:{name} --images 2 --json")) else {
            return;
        };
        assert_eq!(result["agrees"], true, "{result}");
        let output = &result["onnxruntime"]["outputs"][0];
        assert!(
            output["equal"].as_u64() > output["ties"].as_u64(),
            "{result}"
        );
    }
}

/// The operator set, and the mode of an operator, that onnxruntime does not run.
const NOT_RUN: [&str; 2] = ["opset_28", "space_to_depth_crd"];

#[test]
fn every_small_network_that_imports_agrees_and_has_a_twin() {
    if result("verify digits --images 1 --json").is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/networks");
    let mut n_agree = 0;
    for entry in folder.read_dir().expect("it is there") {
        let path = entry.expect("it can be read").path();
        let name = path
            .file_stem()
            .and_then(OsStr::to_str)
            .expect("it is text");
        if path.extension() != Some(OsStr::new("onnx")) || NOT_RUN.contains(&name) {
            continue;
        }
        let data = path.with_extension("npz");
        let (path, data) = (path.display(), data.display());
        let output = tilewright(
            &format!("verify {path} --data {data} --images all --json"),
            None,
        );
        // `networks.toml` says which are refused.
        if output.status.code() == Some(3) {
            continue;
        }
        let result = json(&output);
        assert_eq!(result["agrees"], true, "{name}: {result}");
        let against = &result["onnxruntime"];
        assert!(against["no_twin"].is_null(), "{name}: {result}");
        n_agree += 1;
    }
    assert!(n_agree > 240, "only {n_agree} networks were compared");
}

#[test]
fn devices_find_the_classes_that_onnxruntime_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/networks");
    let tmp = tempfile::tempdir().expect("there is room");
    let artifact = tmp.path().join("network.tw");
    let artifact = artifact.display();
    let (mut n_by_reference, mut n_by_machine) = (0, 0);
    for entry in folder.read_dir().expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.extension() != Some(OsStr::new("npz")) {
            continue;
        }
        let (network, data) = (path.with_extension("onnx"), path.display());
        let network = network.display();
        let all_right = |run: String| {
            let ran = json(&tilewright(
                &format!("{run} --data {data} --images all --json"),
                None,
            ));
            let accuracy = ran["accuracy"].as_object()?.clone();
            assert_eq!(accuracy["right"], accuracy["of"], "{network}: {ran}");
            Some(accuracy["of"].clone())
        };
        let Some(n_images) = all_right(format!("run {network} --device reference")) else {
            continue;
        };
        n_by_reference += 1;
        let compiled = tilewright(
            &format!("compile {network} --arch edge -o {artifact}"),
            None,
        );
        if compiled.status.success() {
            assert_eq!(
                all_right(format!("run {artifact}")),
                Some(n_images),
                "{network}"
            );
            n_by_machine += 1;
        }
    }
    let counts = format!("{n_by_reference} on the reference, {n_by_machine} on the simulator");
    assert!(n_by_reference > 50 && n_by_machine > 50, "{counts}");
}

#[test]
fn an_image_that_fills_no_batch_is_left_out_on_every_device() {
    let networks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/networks");
    let tmp = tempfile::tempdir().expect("there is room");
    let artifact = tmp.path().join("network.tw");
    let network = networks.join("batch_4.onnx");
    let (artifact, network) = (artifact.display(), network.display());
    let compiled = tilewright(
        &format!("compile {network} --arch edge -o {artifact}"),
        None,
    );
    assert!(compiled.status.success());
    let data = |n: u64| {
        let path = tmp.path().join(format!("{n}.npz"));
        let mut npz = npyz::npz::NpzWriter::create(&path).expect("there is room");
        use npyz::WriterBuilder as _;
        let array = npz.array("x", Default::default()).expect("there is room");
        let shape = [n, 3, 6, 6];
        let mut array = array
            .default_dtype()
            .shape(&shape)
            .begin_nd()
            .expect("there is room");
        let zeros = std::iter::repeat_n(0_i8, 108 * n as usize);
        array.extend(zeros).expect("there is room");
        array.finish().expect("there is room");
        path
    };
    for subject in [
        format!("{network} --device reference"),
        artifact.to_string(),
    ] {
        let run = |n| {
            tilewright(
                &format!("run {subject} --data {} --json", data(n).display()),
                None,
            )
        };
        let ran = run(9);
        assert_eq!(json(&ran)["images"], 8, "{subject}");
        let note = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(
            note.contains("the last 1 image of") && note.contains("batch of 4"),
            "{note}"
        );
        let refused = run(3);
        assert_eq!(refused.status.code(), Some(2), "{subject}");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            text.contains("3 images") && text.contains("4 at once"),
            "{text}"
        );
    }
}

#[test]
fn both_devices_run_a_network_without_an_arch() {
    let first = |device: &str| {
        result(&format!("run digits --device {device} --json"))
            .map(|ran| ran["first_output"].clone())
    };
    let reference = first("reference").expect("it needs no library");
    assert_eq!(reference[0]["values"].as_array().map(Vec::len), Some(10));
    if let Some(onnxruntime) = first("onnxruntime") {
        assert_eq!(onnxruntime, reference);
    }
}

#[test]
fn random_images_of_a_batch_are_as_many_as_the_file_takes() {
    for (images, n) in [("", 4), (" --images 3", 12), (" --images all", 16)] {
        let network = "run ../tests/networks/batch_4.onnx --device reference --json";
        let ran = result(&format!("{network}{images}")).expect("it needs no library");
        assert_eq!((&ran["images"], &ran["batch"]), (&n.into(), &4.into()));
    }
}

#[test]
fn without_the_library_nothing_is_compared() {
    let none = Some("/does/not/exist");
    let output = tilewright("verify digits --json", none);
    assert_eq!(output.status.code(), Some(6));
    let output = tilewright(
        "verify digits --arch nano --images 1 --device sim --device onnxruntime --json",
        none,
    );
    assert_eq!(output.status.code(), Some(6));
    // A file that is no library is a reason too.
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let output = tilewright("run digits --device onnxruntime --json", text.to_str());
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not available"));
}

#[test]
fn what_needs_an_artifact_says_so() {
    for arguments in [
        "run digits --device sim",
        "run digits --device reference --trace t.json",
        "verify digits --device rtl",
    ] {
        assert_eq!(
            tilewright(arguments, None).status.code(),
            Some(2),
            "{arguments}"
        );
    }
}
