//! Networks: small real ones with other nodes, attributes, shapes, types, scales, constants, names, edges, and bytes.

use crate::proto::tensor_proto::DataType;
use crate::proto::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use crate::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto,
};
use crate::random::Random;
use crate::{damage, fuzz};
use ir::network::{HostValues, Network};
use onnx::oracle::{self, Seen};
use onnx::{ImportError, Options};
use prost::Message;
use std::collections::BTreeMap;
use std::path::Path;

/// Networks of more multiply-accumulates or values are not run.
const MAX_STEPS: u64 = 1 << 16;

const INTEGERS: [i64; 26] = [
    0,
    1,
    -1,
    2,
    -2,
    3,
    4,
    5,
    7,
    8,
    16,
    64,
    127,
    128,
    255,
    256,
    1023,
    65_535,
    1 << 20,
    i32::MAX as i64,
    1 << 31,
    1 << 32,
    1 << 40,
    i64::MAX - 1,
    i64::MAX,
    i64::MIN,
];

const FLOATS: [f32; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -3.0,
    127.5,
    1e-45,
    1e-39,
    f32::MIN_POSITIVE,
    f32::EPSILON,
    1e-10,
    1e10,
    1e30,
    1e38,
    f32::MAX,
    f32::MIN,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

const TYPES: [i32; 10] = [
    DataType::Float as i32,
    DataType::Int8 as i32,
    DataType::Uint8 as i32,
    DataType::Int32 as i32,
    DataType::Int64 as i32,
    DataType::Double as i32,
    DataType::Bool as i32,
    DataType::Int16 as i32,
    0,
    -1,
];

const ATTRIBUTES: [&str; 38] = [
    "allowzero",
    "alpha",
    "auto_pad",
    "axes",
    "axis",
    "beta",
    "block_size",
    "blocksize",
    "ceil_mode",
    "channels_last",
    "coordinate_transformation_mode",
    "count_include_pad",
    "dilations",
    "end",
    "ends",
    "epsilon",
    "group",
    "keepdims",
    "kernel_shape",
    "max",
    "min",
    "mode",
    "nearest_mode",
    "num_outputs",
    "output_dtype",
    "output_padding",
    "output_shape",
    "pads",
    "perm",
    "scales",
    "split",
    "start",
    "starts",
    "storage_order",
    "strides",
    "to",
    "transB",
    "value",
];

const WORDS: [&str; 16] = [
    "",
    "NOTSET",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "constant",
    "edge",
    "reflect",
    "nearest",
    "asymmetric",
    "half_pixel",
    "floor",
    "ceil",
    "DCR",
    "CRD",
    "tanh",
];

/// A number: mostly a small one, which a shape can hold.
fn integer(random: &mut Random) -> i64 {
    if random.chance(60) {
        random.index(9) as i64
    } else {
        *random.of(&INTEGERS)
    }
}

/// The networks of `tests/networks` and digits.
fn bases() -> Vec<ModelProto> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = vec![root.join("examples/networks/digits_int8.onnx")];
    for entry in std::fs::read_dir(root.join("tests/networks")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "onnx")
    });
    paths.sort();
    let decoded = |path: &std::path::PathBuf| {
        ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap()
    };
    paths.iter().map(decoded).collect()
}

/// The names of all operators, as the refusal of another one lists them.
fn operators() -> Vec<String> {
    let model = ModelProto {
        opset_import: vec![crate::proto::OperatorSetIdProto {
            version: Some(21),
            ..Default::default()
        }],
        graph: Some(GraphProto {
            node: vec![NodeProto {
                op_type: Some("Unknown".into()),
                output: vec!["y".into()],
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    };
    let error = onnx::import_bytes(&model.encode_to_vec(), &Options::default()).unwrap_err();
    let ImportError::Refused { problems } = error else {
        panic!("{error}");
    };
    let help = problems[0].help.as_deref().unwrap();
    let names = help.strip_prefix("supported are ").unwrap();
    names.split(", ").map(str::to_owned).collect()
}

/// A name that something of the graph has.
fn name(graph: &GraphProto, random: &mut Random) -> String {
    for _ in 0..4 {
        let given = match random.index(3) {
            0 if !graph.initializer.is_empty() => random.of(&graph.initializer).name(),
            1 if !graph.input.is_empty() => random.of(&graph.input).name(),
            _ if !graph.node.is_empty() => {
                let node = random.of(&graph.node);
                node.output.first().map_or("", String::as_str)
            }
            _ => "",
        };
        if !given.is_empty() {
            return given.to_owned();
        }
    }
    String::new()
}

fn change(model: &mut ModelProto, operators: &[String], random: &mut Random) {
    if random.chance(2) {
        for opset in &mut model.opset_import {
            opset.version = Some(if random.chance(80) {
                7 + random.index(22) as i64
            } else {
                integer(random)
            });
        }
        return;
    }
    let graph = model.graph.as_mut().unwrap();
    let some_name = name(graph, random);
    match random.index(20) {
        0 => change_nodes(graph, random),
        1..=2 => insert(graph, operators, some_name, random),
        3..=8 if !graph.node.is_empty() => {
            let at = random.index(graph.node.len());
            change_node(&mut graph.node[at], operators, some_name, random);
        }
        9..=14 if !graph.initializer.is_empty() => {
            let at = random.index(graph.initializer.len());
            change_tensor(&mut graph.initializer[at], some_name, random);
        }
        15 if !graph.initializer.is_empty() => {
            let (a, b) = (
                random.index(graph.initializer.len()),
                random.index(graph.initializer.len()),
            );
            match random.index(3) {
                0 => drop(graph.initializer.remove(a)),
                1 => {
                    let names = [a, b].map(|i| graph.initializer[i].name.clone());
                    let [of_a, of_b] = names;
                    graph.initializer[a].name = of_b;
                    graph.initializer[b].name = of_a;
                }
                _ => graph.initializer.push(graph.initializer[a].clone()),
            }
        }
        16..=18 if !graph.input.is_empty() => {
            let at = random.index(graph.input.len());
            change_info(&mut graph.input[at], some_name, random);
        }
        _ if !graph.output.is_empty() => {
            let at = random.index(graph.output.len());
            match random.index(4) {
                0 => drop(graph.output.remove(at)),
                1 => graph.output[at].name = Some(some_name),
                _ => {
                    let mut more = graph.output[at].clone();
                    more.name = Some(some_name);
                    graph.output.push(more);
                }
            }
        }
        _ => {}
    }
}

fn change_nodes(graph: &mut GraphProto, random: &mut Random) {
    if graph.node.is_empty() {
        return;
    }
    let (a, b) = (
        random.index(graph.node.len()),
        random.index(graph.node.len()),
    );
    match random.index(4) {
        0 => drop(graph.node.remove(a)),
        1 => graph.node.swap(a, b),
        2 => {
            let mut twin = graph.node[a].clone();
            twin.output
                .iter_mut()
                .for_each(|name| name.push_str(".twin"));
            graph.node.insert(b, twin);
        }
        _ => {
            // What reads the result of one reads its operand instead.
            let node = graph.node.remove(a);
            if let (Some(x), Some(y)) = (node.input.first(), node.output.first()) {
                reconnect(graph, y, x);
            }
        }
    }
}

/// Everything that reads `from` reads `to`.
fn reconnect(graph: &mut GraphProto, from: &str, to: &str) {
    for name in graph.node.iter_mut().flat_map(|node| &mut node.input) {
        if name == from {
            to.clone_into(name);
        }
    }
}

/// Puts any operator behind `x`.
fn insert(graph: &mut GraphProto, operators: &[String], x: String, random: &mut Random) {
    let y = format!("{x}.inserted");
    let mut node = NodeProto {
        op_type: Some(random.of(operators).clone()),
        domain: random.chance(15).then(|| "com.microsoft".to_owned()),
        input: vec![x.clone()],
        output: vec![y.clone()],
        ..Default::default()
    };
    if random.chance(10) {
        node.output.push(format!("{x}.second"));
    }
    for _ in 0..random.index(9) {
        let input = match random.index(3) {
            0 => {
                let constant = constant(random);
                graph.initializer.push(constant);
                let at = graph.initializer.len() - 1;
                graph.initializer[at].name = Some(format!("{y}.{at}"));
                format!("{y}.{at}")
            }
            1 => String::new(),
            _ => name(graph, random),
        };
        node.input.push(input);
    }
    for _ in 0..random.index(3) {
        node.attribute.push(attribute(random));
    }
    reconnect(graph, &x, &y);
    node.input[0] = x;
    graph.node.push(node);
}

/// A small constant of any type.
fn constant(random: &mut Random) -> TensorProto {
    let rank = random.index(5);
    let mut tensor = TensorProto {
        dims: (0..rank).map(|_| 1 + random.index(4) as i64).collect(),
        ..Default::default()
    };
    refill(&mut tensor, *random.of(&TYPES[..7]), random);
    tensor
}

/// The bytes of a value of a type.
fn n_bytes(data_type: i32) -> usize {
    match DataType::try_from(data_type) {
        Ok(DataType::Float | DataType::Int32) => 4,
        Ok(DataType::Int64 | DataType::Double) => 8,
        Ok(DataType::Int16) => 2,
        _ => 1,
    }
}

/// A value of a type: any of those that matter.
fn value(data_type: i32, random: &mut Random) -> Vec<u8> {
    match DataType::try_from(data_type) {
        Ok(DataType::Float) => random.of(&FLOATS).to_le_bytes().to_vec(),
        Ok(DataType::Double) => f64::from(*random.of(&FLOATS)).to_le_bytes().to_vec(),
        _ => integer(random).to_le_bytes()[..n_bytes(data_type)].to_vec(),
    }
}

/// Gives `tensor` the type and as many values as its shape says, if they are few.
fn refill(tensor: &mut TensorProto, data_type: i32, random: &mut Random) {
    let n_values = tensor
        .dims
        .iter()
        .try_fold(1_usize, |n, &dim| n.checked_mul(usize::try_from(dim).ok()?));
    let Some(n_values) = n_values.filter(|n| *n <= 4096) else {
        return;
    };
    let old = tensor.raw_data.take().unwrap_or_default();
    let n_old = tensor.data_type.filter(|given| *given == data_type);
    let mut bytes = Vec::new();
    if n_old.is_some() && !old.is_empty() {
        bytes.extend(
            old.iter()
                .cycle()
                .take(n_values * n_bytes(data_type))
                .copied(),
        );
    } else {
        let one = value(data_type, random);
        let differ = random.chance(50);
        for _ in 0..n_values {
            bytes.extend(if differ {
                value(data_type, random)
            } else {
                one.clone()
            });
        }
    }
    *tensor = TensorProto {
        name: tensor.name.take(),
        dims: std::mem::take(&mut tensor.dims),
        data_type: Some(data_type),
        raw_data: Some(bytes.into()),
        ..Default::default()
    };
}

fn change_tensor(tensor: &mut TensorProto, other: String, random: &mut Random) {
    let data_type = tensor.data_type();
    let rank = tensor.dims.len();
    match random.index(12) {
        // Shapes, mostly with as many values as they say.
        0..=3 => {
            match random.index(4) {
                0 => tensor.dims.insert(random.index(rank + 1), integer(random)),
                1 if rank > 0 => drop(tensor.dims.remove(random.index(rank))),
                2 if rank > 1 => tensor.dims.swap(0, random.index(rank)),
                _ if rank > 0 => tensor.dims[random.index(rank)] = integer(random),
                _ => tensor.dims.push(integer(random)),
            }
            if random.chance(80) {
                refill(tensor, data_type, random);
            }
        }
        // Types.
        4 => refill(tensor, *random.of(&TYPES), random),
        5 => tensor.data_type = Some(*random.of(&TYPES)),
        // Values, in either form.
        6..=9 => {
            let size = n_bytes(data_type);
            let n_values = tensor.raw_data.as_ref().map_or(0, |raw| raw.len() / size);
            if n_values > 0 {
                let mut raw = tensor.raw_data.take().unwrap_or_default().to_vec();
                let at = random.index(n_values);
                let range = if random.chance(30) {
                    0..n_values
                } else {
                    at..at + 1
                };
                let given = value(data_type, random);
                for i in range {
                    raw[i * size..][..size].copy_from_slice(&given);
                }
                tensor.raw_data = Some(raw.into());
            } else if !tensor.float_data.is_empty() {
                let at = random.index(tensor.float_data.len());
                tensor.float_data[at] = *random.of(&FLOATS);
            } else if !tensor.int32_data.is_empty() {
                let at = random.index(tensor.int32_data.len());
                tensor.int32_data[at] = integer(random) as i32;
            } else if !tensor.int64_data.is_empty() {
                let at = random.index(tensor.int64_data.len());
                tensor.int64_data[at] = integer(random);
            }
        }
        10 => {
            let mut raw = tensor.raw_data.take().unwrap_or_default().to_vec();
            raw.truncate(random.index(raw.len() + 1));
            tensor.raw_data = Some(raw.into());
        }
        _ => tensor.name = Some(other),
    }
}

fn attribute(random: &mut Random) -> AttributeProto {
    let mut attribute = AttributeProto {
        name: Some((*random.of(&ATTRIBUTES)).to_owned()),
        ..Default::default()
    };
    fill(&mut attribute, random);
    attribute
}

/// Gives an attribute a value of any kind; a reader takes the kind that it wants.
fn fill(attribute: &mut AttributeProto, random: &mut Random) {
    match random.index(6) {
        0..=1 => attribute.i = Some(integer(random)),
        2..=3 => attribute.ints = (0..random.index(6)).map(|_| integer(random)).collect(),
        4 => attribute.f = Some(*random.of(&FLOATS)),
        _ => {
            attribute.s = Some(random.of(&WORDS).as_bytes().to_vec());
            attribute.t = Some(constant(random));
            attribute.floats = (0..random.index(5)).map(|_| *random.of(&FLOATS)).collect();
        }
    }
}

fn change_node(node: &mut NodeProto, operators: &[String], other: String, random: &mut Random) {
    let (n_inputs, n_attributes) = (node.input.len(), node.attribute.len());
    match random.index(12) {
        0 => node.op_type = Some(random.of(operators).clone()),
        1 if n_inputs > 0 => node.input[random.index(n_inputs)] = other,
        2 if n_inputs > 0 => match random.index(3) {
            0 => node.input[random.index(n_inputs)].clear(),
            1 => drop(node.input.remove(random.index(n_inputs))),
            _ => node.input.swap(0, random.index(n_inputs)),
        },
        3 => match random.index(4) {
            0 => node.output.push(other),
            1 => node.output.clear(),
            2 => node.name = Some(random.of(&ir::text::hostile()).clone()),
            _ => {
                node.domain = Some((*random.of(&["", "ai.onnx", "com.microsoft", "x"])).to_owned());
            }
        },
        4..=5 => node.attribute.push(attribute(random)),
        6 if n_attributes > 0 => drop(node.attribute.remove(random.index(n_attributes))),
        _ if n_attributes > 0 => {
            let attribute = &mut node.attribute[random.index(n_attributes)];
            if !attribute.ints.is_empty() {
                let at = random.index(attribute.ints.len());
                match random.index(5) {
                    0 => drop(attribute.ints.remove(at)),
                    1 => attribute.ints.insert(at, integer(random)),
                    _ => attribute.ints[at] = integer(random),
                }
            } else if attribute.i.is_some() {
                attribute.i = Some(integer(random));
            } else if attribute.f.is_some() {
                attribute.f = Some(*random.of(&FLOATS));
            } else if let Some(tensor) = &mut attribute.t {
                change_tensor(tensor, other, random);
            } else {
                fill(attribute, random);
            }
        }
        _ => {}
    }
}

fn change_info(info: &mut ValueInfoProto, other: String, random: &mut Random) {
    if random.chance(5) {
        info.name = Some(other);
        return;
    }
    let Some(type_proto::Value::TensorType(tensor)) =
        info.r#type.as_mut().and_then(|given| given.value.as_mut())
    else {
        return;
    };
    let Some(shape) = &mut tensor.shape else {
        return;
    };
    let dim = |random: &mut Random| Dimension {
        value: match random.index(8) {
            0 => None,
            1 => Some(Dim::DimParam("N".to_owned())),
            _ => Some(Dim::DimValue(integer(random))),
        },
        ..Default::default()
    };
    let rank = shape.dim.len();
    match random.index(10) {
        0 => tensor.elem_type = Some(*random.of(&TYPES)),
        1 => tensor.shape = None,
        2 => shape.dim.insert(random.index(rank + 1), dim(random)),
        3 if rank > 0 => drop(shape.dim.remove(random.index(rank))),
        _ if rank > 0 => shape.dim[random.index(rank)] = dim(random),
        _ => {}
    }
}

/// Runs an imported network wherever that is quick.
fn use_network(network: &Network) -> &'static str {
    let of_device = network.tensors.iter().map(ir::network::Tensor::n_values);
    let types = network.result_types().unwrap();
    let of_host = types.iter().map(|(_, shape, _)| shape.iter().product());
    let n_values = of_device.chain(of_host).fold(0, usize::saturating_add) as u64;
    if n_values > MAX_STEPS || network.total_macs() > MAX_STEPS || network.batch > 4 {
        return "imported, too large to run";
    }
    let mut inputs = Vec::new();
    for id in &network.inputs {
        let tensor = network.tensor(*id);
        let values: Vec<i8> = (0..tensor.n_values())
            .map(|i| (i * 37 % 256) as u8 as i8)
            .collect();
        let host: HostValues = tensor.to_host(&values).unwrap();
        let back = tensor.from_host(&host).unwrap();
        // A float beyond its range is infinite.
        assert!(back == values || !(tensor.scale * 255.0).is_finite());
        inputs.push(values);
    }
    let tensors = network.reference(&inputs).unwrap();
    let outputs: Vec<Vec<i8>> = network
        .outputs
        .iter()
        .map(|id| tensors[id.index()].clone())
        .collect();
    let images = vec![outputs; network.batch];
    let results = network.results(&images).unwrap();
    assert_eq!(results.len(), types.len());
    for ((name, tensor), (_, shape, host_type)) in results.into_iter().zip(types) {
        let n: usize = shape.iter().product();
        assert_eq!(tensor.values.len(), n * network.batch, "{name}");
        assert_eq!(tensor.values.host_type(), host_type, "{name}");
    }
    "ran"
}

/// Rewrites the file for the oracle, which may refuse it.
fn use_oracle(bytes: &[u8], model: &ModelProto, random: &mut Random) {
    let _ = oracle::written_out(bytes);
    let _ = oracle::tapped(bytes);
    let graph = model.graph.as_ref().unwrap();
    let mut seen = BTreeMap::new();
    let names = graph.node.iter().flat_map(|node| &node.output);
    let inputs = graph.input.iter().filter_map(|info| info.name.as_ref());
    for name in names.chain(inputs) {
        let rank = random.index(5);
        let shape = (0..rank).map(|_| 1 + random.index(8)).collect();
        let element = *random.of(&["float32", "int8", "uint8", "int64"]);
        seen.insert(name.clone(), Seen::new(element, shape));
    }
    let _ = oracle::twin(bytes, &seen, &seen.keys().cloned().collect());
}

#[test]
fn changed_networks_are_refused_or_run() {
    let (bases, operators) = (bases(), operators());
    let counts = fuzz::run("networks", |random, seed| {
        let mut model = bases[seed as usize % bases.len()].clone();
        let bytes = if random.chance(15) {
            let mut bytes = model.encode_to_vec();
            damage(&mut bytes, random);
            bytes
        } else {
            for _ in 0..=random.index(3) {
                change(&mut model, &operators, random);
            }
            model.encode_to_vec()
        };
        let mut options = Options::default();
        if random.chance(3) {
            let size = usize::try_from(integer(random)).unwrap_or(0);
            options.dims.insert("N".to_owned(), size);
        }
        match onnx::import_bytes(&bytes, &options) {
            Ok(network) => {
                let met = use_network(&network);
                if let Ok(model) = ModelProto::decode(bytes.as_slice()) {
                    use_oracle(&bytes, &model, random);
                }
                Ok(met)
            }
            // Always a fault of import.
            Err(ImportError::Invalid(error)) => panic!("{error}"),
            Err(ImportError::Refused { problems }) => {
                Err(problems.first().map(|problem| problem.code.to_owned()))
            }
            Err(error) => Err(miette::Diagnostic::code(&error).map(|code| code.to_string())),
        }
    });
    let (refused, taken, n) = (counts.n_refused(), counts.n_taken(), counts.executions);
    assert!(
        refused > n / 10 && taken > n / 20,
        "{refused} refused, {taken} taken"
    );
}
