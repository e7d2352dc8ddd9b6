//! One operator at a time, in each of its spellings.

use super::graph::{Graph, int, ints, text};
use crate::proto::AttributeProto;
use crate::proto::tensor_proto::DataType;
use DataType::{Int8, Int32, Int64, Uint8};
use ir::network::{HostValues, Network};
use ir::op::{Kind, Window};

/// A graph with the input `x.r` dequantised with scale 0.5 and zero point `zero`.
fn qdq(shape: &[i64], data_type: DataType, zero: i64) -> Graph {
    Graph::new(shape, data_type)
        .quant("x", 0.5, data_type, zero)
        .node("x.r = DequantizeLinear x x.s x.z", vec![])
}

/// Ends `graph`, whose float result is `r`, with scale `scale` and zero point 0.
fn end(graph: Graph, scale: f32) -> Graph {
    graph
        .quant("y", scale, Int8, 0)
        .node("y = QuantizeLinear r y.s y.z", vec![])
}

/// Weights `w.r` of scale 0.25 and ones, in `dims`.
fn weights(graph: Graph, dims: &[i64]) -> Graph {
    let ones = vec![1; dims.iter().product::<i64>() as usize];
    let graph = graph
        .quant("w", 0.25, Int8, 0)
        .integers("w", dims, Int8, &ones);
    graph.node("w.r = DequantizeLinear w w.s w.z", vec![])
}

/// The one output of the file for one image.
#[track_caller]
fn result(network: &Network, image: Vec<i8>) -> HostValues {
    let tensors = network.reference(&[image]).unwrap();
    let outputs = network.outputs.iter().map(|id| tensors[id.index()].clone());
    let results = network.results(&[outputs.collect()]).unwrap();
    results[0].1.values.clone()
}

#[track_caller]
fn only_conv(network: &Network) -> &ir::op::Conv {
    match &network.einsums[0].kind {
        Kind::Conv(op) if network.einsums.len() == 1 => op,
        other => panic!("one conv expected, not {}", other.name()),
    }
}

fn conv_window(attributes: Vec<AttributeProto>) -> Window {
    let graph =
        weights(qdq(&[1, 1, 7, 6], Int8, 0), &[1, 1, 3, 3]).node("r = Conv x.r w.r", attributes);
    let network = end(graph, 1.0).import().unwrap();
    only_conv(&network).window
}

#[test]
fn conv_reads_its_window() {
    let window = conv_window(vec![
        ints("strides", &[2, 1]),
        ints("pads", &[1, 0, 2, 1]),
        ints("dilations", &[1, 2]),
    ]);
    let expected = Window {
        kernel: [3, 3],
        stride: [2, 1],
        pads: [1, 0, 2, 1],
        dilation: [1, 2],
    };
    assert_eq!(window, expected);
    let pads =
        |mode: &str| conv_window(vec![text("auto_pad", mode), ints("strides", &[2, 2])]).pads;
    assert_eq!(pads("SAME_UPPER"), [1, 0, 1, 1]);
    assert_eq!(pads("SAME_LOWER"), [1, 1, 1, 0]);
    assert_eq!(pads("VALID"), [0; 4]);
}

#[test]
fn an_average_counts_the_padding_of_the_file_and_not_what_rounding_up_adds() {
    // The values of onnxruntime 1.32.0, in steps of 0.5.
    let pool = |auto_pad: &str| {
        let attributes = vec![
            text("auto_pad", auto_pad),
            ints("kernel_shape", &[1, 3]),
            ints("strides", &[1, 2]),
            int("ceil_mode", 1),
            int("count_include_pad", 1),
        ];
        let graph = qdq(&[1, 1, 1, 8], Int8, 0).node("r = AveragePool x.r", attributes);
        end(graph, 0.5).run(&[3, 6, 9, 12, 15, 18, 21, 24])
    };
    assert_eq!(pool("VALID"), [6, 12, 18, 22]);
    assert_eq!(pool("SAME_UPPER"), [6, 12, 18, 15]);
    assert_eq!(pool("SAME_LOWER"), [3, 9, 15, 21]);
}

#[test]
fn pools_with_automatic_padding_and_dilations_are_refused() {
    let pool = |dilation: i64| {
        let attributes = vec![
            text("auto_pad", "SAME_UPPER"),
            ints("kernel_shape", &[3, 3]),
            ints("dilations", &[1, dilation]),
        ];
        end(
            qdq(&[1, 1, 8, 8], Int8, 0).node("r = MaxPool x.r", attributes),
            0.5,
        )
    };
    assert!(pool(1).import().is_ok());
    let problem = &pool(2).problems()[0];
    assert_eq!(problem.code, "onnx::unsupported");
    assert!(problem.message.contains("onnxruntime makes it smaller"));
}

#[test]
fn automatic_padding_that_would_crop_is_refused() {
    let conv = |width: i64, stride: i64, mode: &str| {
        let attributes = vec![text("auto_pad", mode), ints("strides", &[1, stride])];
        let graph = weights(qdq(&[1, 1, 1, width], Int8, 0), &[1, 1, 1, 1]);
        end(graph.node("r = Conv x.r w.r", attributes), 1.0)
    };
    for mode in ["SAME_UPPER", "SAME_LOWER"] {
        // The last pixels are left out.
        for (width, stride) in [(8, 2), (12, 3)] {
            let network = conv(width, stride, mode).import().unwrap();
            assert_eq!(only_conv(&network).window.pads, [0; 4]);
        }
        // onnxruntime begins at pixel 1.
        let problem = &conv(9, 5, mode).problems()[0];
        assert_eq!(problem.code, "onnx::unsupported");
        assert!(problem.message.contains("crops"), "{}", problem.message);
    }
}

#[test]
fn training_and_kept_aspect_ratios_are_refused() {
    let dropout = |training: i64| {
        let graph = qdq(&[1, 1, 4, 4], Int8, 0)
            .integers("mode", &[], DataType::Bool, &[training])
            .floats("ratio", &[], &[0.5]);
        end(graph.node("r = Dropout x.r ratio mode", vec![]), 0.5)
    };
    assert!(dropout(0).import().is_ok());
    assert!(dropout(1).problems()[0].message.contains("training_mode"));
    let resize = |policy: &str| {
        let graph = qdq(&[1, 1, 4, 4], Int8, 0)
            .floats("none", &[0], &[])
            .integers("sizes", &[2], Int64, &[8, 12]);
        let attributes = vec![
            ints("axes", &[2, 3]),
            text("keep_aspect_ratio_policy", policy),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ];
        end(
            graph.node("r = Resize x.r none none sizes", attributes),
            0.5,
        )
    };
    assert!(resize("stretch").import().is_ok());
    for policy in ["not_larger", "not_smaller"] {
        assert!(resize(policy).problems()[0].message.contains(policy));
    }
}

#[test]
fn constants_without_values_and_lists_are_refused() {
    let graph = weights(qdq(&[1, 1, 4, 4], Int8, 0), &[1, 1, 3, 3])
        .node("c = Conv x.r w.r", vec![])
        .integers("none", &[0], Int64, &[])
        .node("r = Max c none", vec![]);
    assert!(end(graph, 1.0).problems()[0].place.contains("Max"));
    let pool = |shape: &[i64]| {
        let kernel = vec![ints("kernel_shape", &[1, 1])];
        end(qdq(shape, Int8, 0).node("r = MaxPool x.r", kernel), 0.5)
    };
    for shape in [&[4][..], &[1, 4]] {
        assert!(
            pool(shape).problems()[0].place.contains("MaxPool"),
            "{shape:?}"
        );
    }
}

#[test]
fn padding_has_the_zero_point_of_the_input() {
    let graph = weights(qdq(&[1, 1, 1, 2], Int8, 10), &[1, 1, 3, 3])
        .node("r = Conv x.r w.r", vec![ints("pads", &[1; 4])]);
    // Both windows see both pixels: (14 - 10) + (20 - 10) steps of 0.5 * 0.25, in steps of 0.125.
    assert_eq!(end(graph, 0.125).run(&[14, 20]), [14, 14]);
}

#[test]
fn uint8_is_rebased_by_128() {
    let graph =
        weights(qdq(&[1, 1, 1, 1], Uint8, 138), &[1, 1, 1, 1]).node("r = Conv x.r w.r", vec![]);
    let graph = graph
        .quant("y", 0.125, Uint8, 100)
        .node("y = QuantizeLinear r y.s y.z", vec![]);
    let network = graph.import().unwrap();
    let (x, y) = (
        network.tensor(network.inputs[0]),
        network.tensor(network.outputs[0]),
    );
    assert_eq!((x.zero_point, y.zero_point), (10, -28));
    let values = x.from_host(&HostValues::Uint8(vec![143])).unwrap();
    assert_eq!(result(&network, values), HostValues::Uint8(vec![105]));
}

#[test]
fn depthwise_and_per_channel_scales() {
    let graph = qdq(&[1, 2, 1, 1], Int8, 0)
        .floats("w.s", &[2], &[0.25, 0.5])
        .integers("w", &[2, 1, 1, 1], Int8, &[3, -1]);
    let graph = graph.node("w.r = DequantizeLinear w w.s", vec![int("axis", 0)]);
    let graph = end(graph.node("r = Conv x.r w.r", vec![int("group", 2)]), 0.125);
    let network = graph.import().unwrap();
    assert!(only_conv(&network).is_depthwise());
    assert_eq!(only_conv(&network).scales, [1.0, 2.0]);
    assert_eq!(graph.run(&[5, 7]), [15, -14]);
}

#[test]
fn bias_comes_as_integers_or_floats() {
    for bias in ["b.i", "b.f", "b.q"] {
        let graph = weights(qdq(&[1, 1, 1, 1], Int8, 0), &[1, 1, 1, 1])
            .integers("b.raw", &[1], Int32, &[16])
            .floats("b.s", &[1], &[0.125])
            .floats("b.f", &[1], &[2.0])
            .node("b.i = DequantizeLinear b.raw b.s", vec![int("axis", 0)])
            .floats("b.s2", &[], &[1.0])
            .integers("b.raw2", &[1], Int32, &[2])
            .node("b.q = DequantizeLinear b.raw2 b.s2", vec![])
            .node(&format!("r = Conv x.r w.r {bias}"), vec![]);
        assert_eq!(end(graph, 0.125).run(&[4]), [20], "{bias}");
    }
}

#[test]
fn weights_lose_their_zero_points() {
    let graph = |zero| {
        let graph = qdq(&[1, 1, 1, 1], Int8, 0).quant("w", 0.25, Uint8, zero);
        let graph = graph.integers("w", &[1, 1, 1, 1], Uint8, &[131]);
        let graph = graph.node("w.r = DequantizeLinear w w.s w.z", vec![]);
        end(graph.node("r = Conv x.r w.r", vec![]), 0.125)
    };
    assert_eq!(graph(128).run(&[5]), [15]);
    assert_eq!(graph(127).run(&[5]), [20]);
    // 131 has nine bits without its zero point: the channel is given twice, with 127 and 4.
    let wide = graph(0).import().unwrap();
    let kinds: Vec<&str> = wide
        .einsums
        .iter()
        .map(|einsum| einsum.kind.name())
        .collect();
    assert_eq!(kinds, ["select", "conv"]);
    let Kind::Conv(conv) = &wide.einsums[1].kind else {
        panic!("a conv comes last")
    };
    assert_eq!(conv.weights, [127, 4]);
    // 131 * 0.25 * 0.5 * -1 in steps of 0.125.
    assert_eq!(graph(0).run(&[-1]), [-128]);
}

#[test]
fn relu_and_clip_end_up_in_the_clamp() {
    let graph = weights(qdq(&[1, 1, 1, 1], Int8, 0), &[1, 1, 1, 1])
        .floats("six", &[], &[6.0])
        .node("c = Conv x.r w.r", vec![])
        .node("a = Relu c", vec![])
        .node("r = Clip a _ six", vec![]);
    let network = end(graph, 0.125).import().unwrap();
    let clamp = only_conv(&network).clamp;
    assert_eq!((clamp.lo, clamp.hi), (0, 48));
}

#[test]
fn a_lone_relu_is_a_table() {
    let graph = end(
        qdq(&[1, 1, 1, 4], Int8, 2).node("r = Relu x.r", vec![]),
        1.0,
    );
    assert_eq!(graph.import().unwrap().einsums[0].kind.name(), "table");
    // Halves round to even.
    assert_eq!(graph.run(&[-128, 3, 5, 12]), [0, 0, 2, 5]);
}

#[test]
fn integer_and_float_spelling_of_conv_are_one() {
    let float =
        weights(qdq(&[1, 1, 2, 2], Int8, 3), &[2, 1, 2, 2]).node("r = Conv x.r w.r", vec![]);
    let float = end(float, 0.3).import().unwrap();
    let integer = Graph::new(&[1, 1, 2, 2], Int8)
        .quant("x", 0.5, Int8, 3)
        .quant("w", 0.25, Int8, 0)
        .quant("y", 0.3, Int8, 0);
    let integer = integer.integers("w", &[2, 1, 2, 2], Int8, &[1; 8]);
    let integer = integer
        .node("y = QLinearConv x x.s x.z w w.s w.z y.s y.z", vec![])
        .import()
        .unwrap();
    assert_eq!(float.tensors, integer.tensors);
    assert_eq!(float.einsums[0].kind, integer.einsums[0].kind);
}

#[test]
fn every_spelling_of_a_product_is_one() {
    let ramp: Vec<i64> = (1..=6).collect();
    let turned = [1, 3, 5, 2, 4, 6];
    let base = || {
        let graph =
            qdq(&[1, 3], Int8, 0)
                .quant("w", 0.25, Int8, 0)
                .integers("w", &[3, 2], Int8, &ramp);
        let graph = graph
            .integers("t", &[2, 3], Int8, &turned)
            .quant("y", 1.0, Int8, 0);
        graph
            .node("w.r = DequantizeLinear w w.s w.z", vec![])
            .node("t.r = DequantizeLinear t w.s w.z", vec![])
    };
    let float = |node: &str, attributes| {
        base()
            .node(node, attributes)
            .node("y = QuantizeLinear r y.s y.z", vec![])
    };
    let turned_back = base()
        .node("u = Transpose t.r", vec![])
        .node("r = MatMul x.r u", vec![]);
    for graph in [
        float("r = Gemm x.r w.r", vec![]),
        float("r = Gemm x.r t.r", vec![int("transB", 1)]),
        float("r = MatMul x.r w.r", vec![]),
        turned_back.node("y = QuantizeLinear r y.s y.z", vec![]),
        base().node("y = QLinearMatMul x x.s x.z w w.s w.z y.s y.z", vec![]),
        base().node(
            "y = com.microsoft.QGemm x x.s x.z t w.s w.z _ y.s y.z",
            vec![int("transB", 1)],
        ),
    ] {
        // [8, 16, 24] * 0.5 times columns [1, 3, 5] and [2, 4, 6] * 0.25.
        assert_eq!(graph.run(&[8, 16, 24]), [22, 28]);
    }
}

#[test]
fn rows_of_a_product_are_pixels() {
    let graph = qdq(&[1, 2, 3], Int8, 0).quant("w", 0.25, Int8, 0).integers(
        "w",
        &[3, 2],
        Int8,
        &[8, 0, 0, 8, 0, 0],
    );
    let graph = end(
        graph
            .node("w.r = DequantizeLinear w w.s w.z", vec![])
            .node("r = MatMul x.r w.r", vec![]),
        1.0,
    );
    let network = graph.import().unwrap();
    let x = network.tensor(network.inputs[0]);
    assert_eq!(x.shape(), [3, 2, 1]);
    let values = x
        .from_host(&HostValues::Int8(vec![1, 2, 3, 4, 5, 6]))
        .unwrap();
    assert_eq!(values, [1, 4, 2, 5, 3, 6]);
    assert_eq!(result(&network, values), HostValues::Int8(vec![1, 2, 4, 5]));
}

#[test]
fn images_of_other_layouts_are_turned_by_the_host_and_flattened_by_the_weights() {
    let graph = qdq(&[1, 2, 2, 2], Int8, 0)
        .quant("w", 0.25, Int8, 0)
        .integers("w", &[8, 1], Int8, &[1, 2, 3, 4, 5, 6, 7, 8])
        .node("w.r = DequantizeLinear w w.s w.z", vec![])
        .node("c = Transpose x.r", vec![ints("perm", &[0, 3, 1, 2])])
        .node("p = MaxPool c", vec![ints("kernel_shape", &[1, 1])])
        .node("p.q = QuantizeLinear p x.s x.z", vec![])
        .node("p.r = DequantizeLinear p.q x.s x.z", vec![])
        .node("back = Transpose p.r", vec![ints("perm", &[0, 2, 3, 1])])
        .node("flat = Flatten back", vec![])
        .node("r = Gemm flat w.r", vec![]);
    let network = end(graph, 1.0).import().unwrap();
    let Kind::Conv(op) = &network.einsums[1].kind else {
        panic!("the product is a conv")
    };
    assert_eq!(op.weights, [1, 3, 5, 7, 2, 4, 6, 8]);
    assert_eq!(
        network
            .tensor(network.inputs[0])
            .host
            .as_ref()
            .unwrap()
            .strides,
        [1, 4, 2]
    );
}

#[test]
fn pooling_counts_what_is_inside() {
    let attributes = |include| {
        vec![
            ints("kernel_shape", &[2, 2]),
            ints("pads", &[1, 1, 0, 0]),
            int("count_include_pad", include),
        ]
    };
    let graph = |include| {
        end(
            qdq(&[1, 1, 2, 2], Int8, 0).node("r = AveragePool x.r", attributes(include)),
            0.5,
        )
    };
    assert_eq!(graph(0).run(&[8, 16, 24, 32]), [8, 12, 16, 20]);
    assert_eq!(graph(1).run(&[8, 16, 24, 32]), [2, 6, 8, 20]);
    let max = |ceil| {
        vec![
            ints("kernel_shape", &[2, 2]),
            ints("strides", &[2, 2]),
            int("ceil_mode", ceil),
        ]
    };
    let graph = |ceil| {
        qdq(&[1, 1, 3, 3], Int8, 0)
            .quant("y", 0.5, Int8, 0)
            .node("y = MaxPool x", max(ceil))
    };
    assert_eq!(graph(0).run(&[-9, -8, -7, -6, -5, -4, -3, -2, -1]), [-5]);
    assert_eq!(
        graph(1).run(&[-9, -8, -7, -6, -5, -4, -3, -2, -1]),
        [-5, -4, -2, -1]
    );
}

#[test]
fn every_spelling_of_the_global_average_is_one() {
    let float =
        |node: &str, attributes| end(qdq(&[1, 2, 1, 2], Int8, 0).node(node, attributes), 0.5);
    let integer = Graph::new(&[1, 2, 1, 2], Int8)
        .quant("x", 0.5, Int8, 0)
        .quant("y", 0.5, Int8, 0);
    for graph in [
        float("r = GlobalAveragePool x.r", vec![]),
        float(
            "r = ReduceMean x.r",
            vec![ints("axes", &[2, -1]), int("keepdims", 0)],
        ),
        integer.node(
            "y = com.microsoft.QLinearGlobalAveragePool x x.s x.z y.s y.z",
            vec![],
        ),
    ] {
        assert_eq!(graph.run(&[2, 4, 5, 8]), [3, 6]);
    }
}

#[test]
fn both_spellings_of_add_are_one() {
    let float = end(
        qdq(&[1, 1, 1, 3], Int8, 1).node("r = Add x.r x.r", vec![]),
        2.0,
    );
    let integer = Graph::new(&[1, 1, 1, 3], Int8)
        .quant("x", 0.5, Int8, 1)
        .quant("y", 2.0, Int8, 0);
    let integer = integer.node(
        "y = com.microsoft.QLinearAdd x x.s x.z x x.s x.z y.s y.z",
        vec![],
    );
    for graph in [float, integer] {
        assert_eq!(graph.run(&[1, 4, 7]), [0, 2, 3]);
    }
}

#[test]
fn an_addition_that_no_table_can_hold_is_refused_by_name() {
    let graph = qdq(&[1, 1, 1, 3], Int8, 1).node("r = Add x.r x.r", vec![]);
    let problem = &end(graph, 1e-8).problems()[0];
    assert_eq!(problem.code, "onnx::addition_scales");
    // The node that gives the sum its scale.
    assert_eq!(problem.place, "node `y` (QuantizeLinear)");
    assert!(problem.help.is_some() && problem.message.contains("its tables hold 536870911"));
}

#[test]
fn concat_brings_each_input_to_the_scale_of_the_output() {
    let graph = qdq(&[1, 1, 1, 2], Int8, 0)
        .quant("t", 1.0, Int8, 5)
        .node("a = Relu x.r", vec![])
        .node("a.q = QuantizeLinear a t.s t.z", vec![])
        .node("a.r = DequantizeLinear a.q t.s t.z", vec![])
        .node("r = Concat x.r a.r", vec![int("axis", 1)]);
    assert_eq!(end(graph, 0.5).run(&[-6, 6]), [-6, 6, 0, 6]);
}

#[test]
fn shapes_may_be_computed_in_the_graph() {
    let graph = qdq(&[1, 2, 1, 2], Int8, 0)
        .quant("w", 0.25, Int8, 0)
        .integers("w", &[4, 1], Int8, &[8, 0, 0, 0])
        .integers("zero", &[], Int64, &[0])
        .integers("axes", &[1], Int64, &[0])
        .integers("rest", &[1], Int64, &[-1])
        .node("w.r = DequantizeLinear w w.s w.z", vec![])
        .node("shape = Shape x.r", vec![])
        .node("batch = Gather shape zero", vec![])
        .node("batch.1 = Unsqueeze batch axes", vec![])
        .node("target = Concat batch.1 rest", vec![int("axis", 0)])
        .node("flat = Reshape x.r target", vec![])
        .node("r = Gemm flat w.r", vec![]);
    assert_eq!(end(graph, 1.0).run(&[3, 4, 5, 6]), [3]);
}

#[test]
fn everything_unsupported_is_named_in_one_go() {
    let graph = qdq(&[1, 1, 4, 4], Int8, 0)
        .floats("odd", &[1, 1, 1, 1], &[1.0])
        .node("a = LRN x.r", vec![])
        .node("b = Conv a odd", vec![])
        .node("c = Relu b", vec![])
        .node("y = GRU a", vec![]);
    let problems = graph.problems();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "node `a` (LRN): the operator is not supported",
            "node `b` (Conv): its weights are float constants",
            "node `y` (GRU): the operator is not supported",
        ]
    );
    assert!(problems.iter().all(|problem| problem.help.is_some()));
}

#[test]
fn softmax_is_left_to_the_host_only_at_the_end() {
    let softmax = || qdq(&[1, 2], Int8, 0).node("r = Softmax x.r", vec![]);
    let behind = end(softmax().node("more = Relu r", vec![]), 1.0);
    assert!(
        behind.problems()[0].message.contains("left to the host"),
        "{:?}",
        behind.problems()
    );
}
