//! Files that are damaged or malicious: each gives a coded error within a second, and none a panic.
#![expect(
    clippy::disallowed_methods,
    reason = "the limit on time is what is tested"
)]

use super::graph::{Graph, int, ints};
use crate::constant::Constant;
use crate::proto::tensor_proto::DataLocation;
use crate::proto::tensor_proto::DataType;
use crate::proto::tensor_shape_proto::dimension;
use crate::proto::{AttributeProto, ModelProto, StringStringEntryProto, TensorProto, type_proto};
use crate::{ImportError, Options};
use ir::network::HostValues;
use prost::Message;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Imports `model` and checks the codes of its problems, in order, and the time it takes.
#[track_caller]
fn check(model: &ModelProto, codes: &[&str]) {
    let start = Instant::now();
    let error = crate::import_bytes(&model.encode_to_vec(), &Options::default()).unwrap_err();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "import took {:?}",
        start.elapsed()
    );
    let given: Vec<String> = match &error {
        ImportError::Refused { problems } => problems
            .iter()
            .map(|problem| problem.code.to_string())
            .collect(),
        other => vec![miette::Diagnostic::code(other).unwrap().to_string()],
    };
    assert_eq!(given, codes, "{error:?}");
}

fn digits() -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/networks/digits_int8.onnx"),
    )
    .unwrap()
}

fn digits_model() -> ModelProto {
    ModelProto::decode(digits().as_slice()).unwrap()
}

#[test]
fn the_untouched_file_is_imported() {
    crate::import_bytes(&digits_model().encode_to_vec(), &Options::default()).unwrap();
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let bytes = digits();
    for end in (0..bytes.len()).step_by(97) {
        assert!(crate::import_bytes(&bytes[..end], &Options::default()).is_err());
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let bytes = digits();
    let mut state = 1_u64;
    let mut next = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let (mut n_refused, start) = (0, Instant::now());
    for _ in 0..1500 {
        let mut damaged = bytes.clone();
        for _ in 0..=next(4) {
            // Most bytes are weights; damage the structure behind them as often.
            let at = next(bytes.len());
            damaged[at] = next(256) as u8;
        }
        n_refused += usize::from(crate::import_bytes(&damaged, &Options::default()).is_err());
    }
    assert!(
        n_refused > 100,
        "only {n_refused} damaged files were refused"
    );
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn an_empty_file_is_no_model() {
    check(&ModelProto::default(), &["onnx::decode"]);
}

#[test]
fn an_operator_set_that_is_not_known_is_refused() {
    let mut model = digits_model();
    for version in [6, 29] {
        model.opset_import[0].version = Some(version);
        check(&model, &["onnx::opset"]);
    }
    model.opset_import.clear();
    check(&model, &["onnx::opset"]);
}

#[test]
fn files_of_other_formats_are_named() {
    let message = |bytes: &[u8]| {
        let error = crate::import_bytes(bytes, &Options::default()).unwrap_err();
        error.to_string()
    };
    let tflite = b"\x1c\0\0\0TFL3\0\0\0\0";
    assert_eq!(
        message(tflite),
        "not an ONNX file but a TensorFlow Lite model"
    );
    let zip = b"PK\x03\x04\0\0";
    assert_eq!(
        message(zip),
        "not an ONNX file but a ZIP archive, as PyTorch and Keras write it"
    );
}

#[test]
fn a_cycle_is_refused() {
    let mut model = digits_model();
    let graph = model.graph.as_mut().unwrap();
    let last = graph.node.last().unwrap().output[0].clone();
    let conv = graph
        .node
        .iter_mut()
        .find(|node| node.op_type() == "Conv")
        .unwrap();
    conv.input[0] = last;
    check(&model, &["onnx::cycle"]);
}

#[test]
fn a_missing_tensor_is_named() {
    let mut model = digits_model();
    let graph = model.graph.as_mut().unwrap();
    graph
        .initializer
        .retain(|tensor| tensor.name() != "w1_quantized");
    check(&model, &["onnx::missing_tensor"]);
}

#[test]
fn duplicate_names_are_refused() {
    let mut model = digits_model();
    let graph = model.graph.as_mut().unwrap();
    let twin = graph.initializer[0].clone();
    graph.initializer.push(twin);
    check(&model, &["onnx::duplicate_name"]);

    let mut model = digits_model();
    let graph = model.graph.as_mut().unwrap();
    graph.node[1].output[0] = graph.node[0].output[0].clone();
    let problems = crate::import_bytes(&model.encode_to_vec(), &Options::default()).unwrap_err();
    assert!(format!("{problems:?}").contains("onnx::duplicate_name"));
}

#[test]
fn weights_of_the_wrong_size_are_refused() {
    for dims in [
        vec![16, 1, 3, 4],
        vec![i64::MAX, i64::MAX, 3, 3],
        vec![-1, 1, 3, 3],
        vec![1 << 40],
    ] {
        let mut model = digits_model();
        let graph = model.graph.as_mut().unwrap();
        let weights = graph
            .initializer
            .iter_mut()
            .find(|tensor| tensor.name() == "w0_quantized")
            .unwrap();
        let is_wrong_size = dims == [16, 1, 3, 4];
        weights.dims = dims;
        check(
            &model,
            &[if is_wrong_size {
                "onnx::constant"
            } else {
                "onnx::dimensions"
            }],
        );
    }
}

#[test]
fn absurd_attributes_are_refused() {
    for (name, values) in [
        ("pads", vec![i64::MAX; 4]),
        ("pads", vec![1 << 30; 4]),
        ("pads", vec![-1; 4]),
        ("strides", vec![0, 0]),
        ("strides", vec![1; 1000]),
        ("kernel_shape", vec![1 << 31, 1 << 31]),
        ("dilations", vec![1 << 30, 1 << 30]),
    ] {
        let mut model = digits_model();
        let graph = model.graph.as_mut().unwrap();
        let conv = graph
            .node
            .iter_mut()
            .find(|node| node.op_type() == "Conv")
            .unwrap();
        conv.attribute.retain(|attribute| attribute.name() != name);
        conv.attribute.push(ints(name, &values));
        check(&model, &["onnx::dimensions"]);
    }
}

#[test]
fn huge_and_unknown_input_dimensions_are_refused() {
    for size in [i64::MAX, 1 << 32, 0, -5] {
        let mut model = digits_model();
        set_dim(&mut model, 2, dimension::Value::DimValue(size));
        check(&model, &["onnx::dimensions"]);
    }
    let mut model = digits_model();
    set_dim(&mut model, 2, dimension::Value::DimParam("height".into()));
    check(&model, &["onnx::dimensions"]);
    let dims = [("height".to_string(), 8)].into();
    crate::import_bytes(&model.encode_to_vec(), &Options { dims }).unwrap();
}

#[test]
fn a_size_belongs_to_a_dimension_without_one() {
    let check = |model: &ModelProto, name: &str, expected: &str| {
        let dims = [(name.to_string(), 8)].into();
        let message = match crate::import_bytes(&model.encode_to_vec(), &Options { dims }) {
            Ok(_) => "imported".to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(message, expected, "{name}");
    };
    let mut model = digits_model();
    let known = "the network has no open dimension `H`, it has `N`";
    check(&model, "H", known);
    set_dim(&mut model, 2, dimension::Value::DimParam(String::new()));
    check(&model, "image.2", "imported");
    check(
        &model,
        "H",
        "the network has no open dimension `H`, it has `N`, `image.2`",
    );
    set_dim(&mut model, 0, dimension::Value::DimValue(1));
    set_dim(&mut model, 2, dimension::Value::DimValue(8));
    check(
        &model,
        "H",
        "the network has no open dimension `H`, all its sizes are fixed",
    );
}

#[test]
fn external_data_stays_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let model_folder = folder.path().join("model");
    std::fs::create_dir(&model_folder).unwrap();
    std::fs::write(folder.path().join("secret"), [0; 200]).unwrap();
    std::fs::write(model_folder.join("short"), [0; 10]).unwrap();
    std::fs::write(model_folder.join("weights"), [1; 200]).unwrap();
    std::os::unix::fs::symlink("../secret", model_folder.join("link")).unwrap();
    let absolute = folder.path().join("secret").display().to_string();
    for location in [
        "../secret",
        "link",
        "./../secret",
        &absolute,
        "absent",
        "",
        "short",
        ".",
    ] {
        let (problems, _) = external(&model_folder, location);
        assert_eq!(problems, ["onnx::external_data"], "{location}");
    }
    for location in ["weights", "./weights"] {
        let (problems, files) = external(&model_folder, location);
        assert!(problems.is_empty(), "{location}");
        // What a hash of the network has to cover.
        assert_eq!(
            files,
            [model_folder.join("weights").canonicalize().unwrap()]
        );
    }
}

#[test]
fn a_constant_that_holds_nan_is_refused() {
    let proto = |value| TensorProto {
        name: Some("gamma".into()),
        dims: vec![3],
        data_type: Some(DataType::Float as i32),
        float_data: vec![1.0, f32::INFINITY, value],
        ..TensorProto::default()
    };
    assert!(Constant::read(&proto(2.0), None).is_ok());
    let error = Constant::read(&proto(f32::NAN), None).unwrap_err();
    let problem = error.at("here");
    assert_eq!(problem.code, "onnx::constant");
    assert!(
        problem.message.contains("value 2 of `gamma` is NaN"),
        "{problem:?}"
    );
}

/// The problems of digits with its first weights at `location`, and the files of external data.
fn external(folder: &Path, location: &str) -> (Vec<&'static str>, Vec<PathBuf>) {
    let mut model = digits_model();
    let graph = model.graph.as_mut().unwrap();
    let weights = graph
        .initializer
        .iter_mut()
        .find(|tensor| tensor.name() == "w0_quantized")
        .unwrap();
    weights.raw_data = None;
    weights.data_location = Some(DataLocation::External as i32);
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    };
    weights.external_data = vec![entry("location", location), entry("offset", "8")];
    let path = folder.join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    let report = crate::check(&path, &Options::default()).unwrap();
    let problems = report.problems.iter().map(|problem| problem.code);
    (problems.collect(), report.external)
}

/// Replaces the dimension `axis` of the input.
fn set_dim(model: &mut ModelProto, axis: usize, value: dimension::Value) {
    let Some(type_proto::Value::TensorType(tensor)) = &mut model.graph.as_mut().unwrap().input[0]
        .r#type
        .as_mut()
        .unwrap()
        .value
    else {
        panic!("the input is a tensor")
    };
    tensor.shape.as_mut().unwrap().dim[axis].value = Some(value);
}

/// An input `x` of int8 behind a `DequantizeLinear` `r` of a scale of a half.
fn real(shape: &[i64]) -> Graph {
    Graph::new(shape, DataType::Int8)
        .floats("s", &[], &[0.5])
        .integers("z", &[], DataType::Int8, &[0])
        .node("r = DequantizeLinear x s z", Vec::new())
}

#[test]
fn positions_at_the_end_of_int64_are_refused() {
    for pads in [
        [0, 0, 0, i64::MIN],
        [0, 0, i64::MAX, i64::MAX],
        [0, 0, 1 << 28, 0],
    ] {
        let graph = real(&[1, 4, 4])
            .integers(
                "pads",
                &[6],
                DataType::Int64,
                &[&pads[..], &[0, 0]].concat(),
            )
            .node("p = Pad r pads", Vec::new())
            .node("y = QuantizeLinear p s z", Vec::new());
        check(&graph.model, &["onnx::dimensions"]);
    }
    for (ends, steps) in [(i64::MAX, i64::MIN), (0, i64::MAX), (i64::MIN, 1)] {
        let graph = real(&[1, 4, 4])
            .integers("from", &[1], DataType::Int64, &[0])
            .integers("to", &[1], DataType::Int64, &[ends])
            .integers("axes", &[1], DataType::Int64, &[2])
            .integers("steps", &[1], DataType::Int64, &[steps])
            .node("p = Slice r from to axes steps", Vec::new())
            .node("y = QuantizeLinear p s z", Vec::new());
        check(&graph.model, &["onnx::dimensions"]);
    }
}

#[test]
fn a_slice_of_one_position_may_have_any_step() {
    let graph = real(&[1, 4, 4])
        .integers("from", &[1], DataType::Int64, &[1])
        .integers("to", &[1], DataType::Int64, &[4])
        .integers("axes", &[1], DataType::Int64, &[2])
        .integers("steps", &[1], DataType::Int64, &[i64::MAX])
        .node("p = Slice r from to axes steps", Vec::new())
        .node("y = QuantizeLinear p s z", Vec::new());
    crate::import_bytes(&graph.model.encode_to_vec(), &Options::default()).unwrap();
}

#[test]
fn constants_of_no_value_have_no_position() {
    let graph = real(&[1, 4, 4, 4])
        .integers("none", &[2, 0], DataType::Int64, &[])
        .node("t = Transpose none", Vec::new())
        .node("p = Reshape r t", Vec::new())
        .node("y = QuantizeLinear p s z", Vec::new());
    assert!(crate::import_bytes(&graph.model.encode_to_vec(), &Options::default()).is_err());
}

#[test]
fn constants_that_import_makes_have_a_limit() {
    let large = [("x", "ConstantOfShape sizes"), ("c", "DepthToSpace r")];
    for (name, call) in large {
        let graph = real(&[1, 1 << 20, 1, 1])
            .integers("sizes", &[1], DataType::Int64, &[1 << 30])
            .node(&format!("{name}2 = {call}"), vec![int("blocksize", 2)])
            .node(&format!("y = QuantizeLinear {name}2 s z"), Vec::new());
        check(&graph.model, &["onnx::dimensions"]);
    }
}

#[test]
fn a_window_has_as_many_dimensions_as_its_input() {
    let graph = real(&[1, 1, 4])
        .integers("w", &[1, 1, 2, 2], DataType::Int8, &[1; 4])
        .node("v = DequantizeLinear w s z", Vec::new())
        .node("y = ConvTranspose r v", vec![ints("strides", &[2, 2])]);
    check(&graph.model, &["onnx::dimensions"]);
}

#[test]
fn a_scale_beyond_the_parameter_word_is_refused() {
    let graph = real(&[1, 1, 4, 4])
        .floats("small", &[], &[1e-30])
        .node("x2 = DequantizeLinear x s z", Vec::new())
        .node("y2 = MaxPool x2", vec![ints("kernel_shape", &[1, 1])])
        .node("q = QuantizeLinear y2 s z", Vec::new())
        .node("r2 = DequantizeLinear q s z", Vec::new())
        .node("p = Mul r r2", Vec::new())
        .node("y = QuantizeLinear p small z", Vec::new());
    check(&graph.model, &["onnx::constant"]);
}

#[test]
fn steps_of_the_host_take_values_of_their_type() {
    let softmax = || real(&[1, 4]).node("p = Softmax r", Vec::new());
    let graph = softmax().node("y = DequantizeLinear p s z", Vec::new());
    check(&graph.model, &["onnx::unsupported"]);
    let graph = softmax()
        .node("a = ArgMax p", vec![int("axis", 1)])
        .node("y = Softmax a", Vec::new());
    check(&graph.model, &["onnx::unsupported"]);
}

#[test]
fn a_sum_with_a_constant_may_be_the_last_layer() {
    let graph = real(&[1, 1, 2, 2])
        .integers("c", &[2, 2], DataType::Int8, &[1, 2, 3, 4])
        .node("d = DequantizeLinear c s z", Vec::new())
        .node("y = Add r d", Vec::new());
    let network = crate::import_bytes(&graph.model.encode_to_vec(), &Options::default()).unwrap();
    let tensors = network.reference(&[vec![10, 20, 30, 40]]).unwrap();
    let outputs = network.outputs.iter().map(|id| tensors[id.index()].clone());
    let results = network.results(&[outputs.collect()]).unwrap();
    let expected = HostValues::Float32(vec![5.5, 11.0, 16.5, 22.0]);
    assert_eq!(results[0].1.values, expected);
}

#[test]
fn what_a_small_file_states_is_not_computed_by_import() {
    // A GiB of values, of which nothing is held.
    let graph = real(&[1, 1 << 10, 1 << 10, 1 << 10]).node("y = Relu r", Vec::new());
    let network = crate::import_bytes(&graph.model.encode_to_vec(), &Options::default()).unwrap();
    let types = network.result_types().unwrap();
    assert_eq!(types[0].1, [1, 1 << 10, 1 << 10, 1 << 10]);
}

#[test]
fn operations_that_wait_for_a_scale_have_a_limit() {
    let chain = |n: usize, call: &str, attribute: AttributeProto| {
        let mut graph = real(&[1, 1, 4, 4]);
        for i in 0..n {
            let x = i.checked_sub(1).map_or("r".to_owned(), |i| format!("m{i}"));
            let call = call.replace('@', &x);
            graph = graph.node(&format!("m{i} = {call}"), vec![attribute.clone()]);
        }
        let last = n - 1;
        graph.node(&format!("y = QuantizeLinear m{last} s z"), Vec::new())
    };
    // One behind the other, and each of the one before twice.
    let pools = |n| chain(n, "MaxPool @", ints("kernel_shape", &[1, 1]));
    check(&pools(20_000).model, &["onnx::unsupported"]);
    check(
        &chain(24, "Concat @ @", int("axis", 1)).model,
        &["onnx::unsupported"],
    );
    crate::import_bytes(&pools(200).model.encode_to_vec(), &Options::default()).unwrap();
}

#[test]
fn twenty_thousand_layers_are_imported_in_seconds() {
    let mut graph = real(&[1, 1, 4, 4]);
    let mut last = "r".to_owned();
    for i in 0..20_000 {
        graph = graph
            .node(&format!("m{i} = Neg {last}"), Vec::new())
            .node(&format!("q{i} = QuantizeLinear m{i} s z"), Vec::new())
            .node(&format!("d{i} = DequantizeLinear q{i} s z"), Vec::new());
        last = format!("d{i}");
    }
    let graph = graph.node(&format!("y = QuantizeLinear {last} s z"), Vec::new());
    let start = Instant::now();
    let network = crate::import_bytes(&graph.model.encode_to_vec(), &Options::default()).unwrap();
    assert_eq!(network.einsums.len(), 20_000);
    assert!(start.elapsed() < Duration::from_secs(10));
}
