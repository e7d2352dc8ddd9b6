//! The twin in double precision against onnxruntime itself, operator by operator.
//!
//! `data/oracle/operators.onnx` has an output for each operator that the twin rewrites. Without the library of onnxruntime
//! there is nothing to run, and the tests say so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use host_runtime::onnxruntime::{OnnxRuntime, Optimiser, Tensor, Values};
use onnx::oracle::{Seen, TwinFile, tapped, twin, written_out};

/// The library, or a printed reason; its absence fails where `TILEWRIGHT_REQUIRE_TOOLS` is set.
fn library() -> Option<OnnxRuntime> {
    let found = OnnxRuntime::find();
    let required = std::env::var_os("TILEWRIGHT_REQUIRE_TOOLS").is_some();
    if let Err(error) = &found {
        assert!(!required, "{error}");
        #[expect(clippy::print_stderr, reason = "a skipped test says why")]
        {
            eprintln!("skipped: {error}");
        }
    }
    found.ok()
}

fn operators() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/oracle");
    fs::read(folder.join("operators.onnx")).expect("it is committed")
}

/// Values from -4 to 4 that repeat nowhere: the input is quantised at -3.87 and 4.03.
fn input() -> Vec<Tensor> {
    let values = (0..144).map(|i| ((i * 89 % 144) as f32 - 71.5) / 18.0);
    vec![Tensor {
        name: "x".to_owned(),
        shape: vec![1, 4, 6, 6],
        values: Values::Float32(values.collect()),
    }]
}

#[test]
fn the_twin_of_every_operator_is_what_onnxruntime_computes() {
    let Some(runtime) = library() else { return };
    let (file, input) = (operators(), input());
    let run = |bytes: &[u8]| {
        let mut session = runtime
            .session(bytes, None, Optimiser::Off)
            .expect("it starts");
        session.run(&input).expect("it runs")
    };
    let expected = run(&file);
    let tapped = tapped(&file).expect("it is ONNX");
    let mut session = runtime
        .session(&tapped, None, Optimiser::Off)
        .expect("it starts");
    let shapes = session.shapes(&input).expect("it runs");
    let mut seen: std::collections::BTreeMap<_, _> = shapes
        .into_iter()
        .map(|(name, (element, shape))| (name, Seen::new(&element, shape)))
        .collect();
    seen.insert("x".to_owned(), Seen::new("float", vec![1, 4, 6, 6]));
    let TwinFile { bytes, outputs, .. } =
        twin(&file, &seen, &BTreeSet::new()).expect("every operator has a rewrite");
    let actual = run(&bytes);
    let of = |name: &str| {
        actual
            .iter()
            .find(|tensor| tensor.name == name)
            .expect("an output")
    };
    assert_eq!(outputs.len(), expected.len());
    for (output, expected) in outputs.iter().zip(&expected) {
        let name = &output.name;
        let twin = of(&output.value);
        assert_eq!((name, &expected.shape), (&expected.name, &twin.shape));
        let quantised = matches!(expected.values, Values::Int8(_) | Values::Uint8(_));
        let pairs: Vec<(f64, f64)> = twin
            .values
            .to_f64()
            .into_iter()
            .zip(expected.values.to_f64())
            .collect();
        let apart = |&(twin, expected): &(f64, f64)| (twin - expected).abs();
        if quantised {
            // Floats of 32 bits decide ties, of which a tensor has few.
            let steps: f64 = pairs.iter().map(apart).sum();
            assert!(
                pairs.iter().all(|pair| apart(pair) <= 1.0),
                "{name}: {pairs:?}"
            );
            assert!(steps <= 4.0, "{name}: {steps} steps");
        } else {
            let far = pairs
                .iter()
                .find(|pair| apart(pair) > 1e-5 * pair.0.abs().max(1.0));
            assert_eq!(far, None, "{name}");
        }
        if let Some(real) = &output.real {
            let step = output
                .step
                .as_ref()
                .map_or(1.0, |step| of(step).values.to_f64()[0]);
            let real = of(real).values.to_f64();
            let off = real
                .iter()
                .zip(twin.values.to_f64())
                .map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f64::max) <= step * 0.500001, "{name}");
        }
    }
    let with_real = outputs
        .iter()
        .filter(|output| output.real.is_some())
        .count();
    assert_eq!(
        with_real, 18,
        "what is quantised, or dequantised or clipped behind it, has a real value"
    );
}

#[test]
fn the_precise_session_starts_where_constants_are_written_out() {
    let Some(runtime) = library() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx/tests/exported");
    let file = fs::read(folder.join("export_18.onnx")).expect("it is committed");
    assert!(runtime.session(&file, None, Optimiser::Precise).is_err());
    let other = written_out(&file).expect("it is ONNX");
    runtime
        .session(&other, None, Optimiser::Precise)
        .expect("it starts");
}
