"""Random networks through Tilewright's reference against the exact values: files like those of `tests/networks`.

    python tests/conformance/random_networks.py [--tilewright PATH] [--seeds FIRST LAST] [--float-bias] [--keep FOLDER]

Prints how many run, how many are refused with which code, and each whose values differ, which is exit status 1.
`--keep` saves these. A value is right if it is the exact one or that of onnxruntime; one step off both is a tie and
counts as different where more than one value in a hundred is.
"""

import argparse
import collections
import pathlib
import sys

import numpy as np
import onnx

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "networks"))
import make  # noqa: E402
import oracle  # noqa: E402

UNARY = ("LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Gelu", "Elu", "Abs", "Neg", "Exp", "Relu", "Softplus")


class Random(make.Net):
    """A chain of layers on an image, with random geometry, scales, zero points and places of quantisers."""

    def __init__(self, seed, float_bias):
        super().__init__(f"random_{seed}", act=[np.int8, np.uint8][seed % 2], opset=20 + seed % 3)
        self.float_bias = float_bias
        self.shape = [int(self.rng.choice([1, 2, 3, 4, 8, 16])), *(int(n) for n in self.rng.integers(4, 11, 2))]

    def pick(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    def zero_point(self):
        low, high = make.LIMITS[self.act]
        return int(self.pick(low, (low + high + 1) // 2, self.rng.integers(low, high + 1)))

    def scale(self, around=0.05):
        return float(np.float32(around * 2 ** self.rng.uniform(-1.5, 1.5)))

    def quantised(self, x):
        """`x` between quantisers whose step suits its values."""
        spread = float(np.abs(self.values(x)).max()) or 1.0
        self.x_scale = self.scale(spread / 100)
        return self.qdq(x, self.x_scale, self.zero_point())

    def values(self, x):
        """The exact values of a tensor so far."""
        self.outputs.append((x, make.F))
        model = self.model({})
        self.outputs.pop()
        return oracle.exact(model, self.feeds)[x]

    def layer_conv(self, x):
        n_in, n_out = self.shape[0], int(self.rng.choice([1, 3, 4, 8, 16]))
        group = self.pick(1, n_in) if self.rng.random() < 0.4 else 1
        n_out = n_in * self.pick(1, 2) if group > 1 else n_out
        kernel = [int(self.pick(1, 2, 3)) for _ in range(2)]
        dtype = self.pick(np.int8, np.int8, np.uint8)
        n_scales = self.pick(1, n_out)
        scale = 0.01 * 2 ** self.rng.uniform(-1, 1, n_scales)
        low, high = make.LIMITS[dtype]
        zero = [int(z) for z in self.rng.integers(low, high + 1, n_scales)] if self.rng.random() < 0.4 else [0 if low else 128] * n_scales
        scale, zero = (scale, zero) if n_scales > 1 else (scale[0], zero[0])
        w = self.weights([n_out, n_in // group, *kernel], scale, zero, dtype)
        pads = [int(self.rng.integers(0, k)) for k in kernel * 2]
        bias = []
        if self.rng.random() < 0.6:
            bias = [self.const(self.rng.uniform(-2, 2, n_out), np.float32) if self.float_bias else self.bias(n_out, self.x_scale, scale)]
        y = self.node("Conv", x, w, *bias, pads=pads, strides=[self.pick(1, 1, 2)] * 2, group=group)
        if self.rng.random() < 0.2:
            parts = [self.const(self.rng.uniform(low, 1.5, n_out), np.float32) for low in (0.5, -1, -1, 0.5)]
            y = self.node("BatchNormalization", y, *parts)
        if self.rng.random() < 0.2:
            y = self.node(self.pick("Add", "Mul"), y, self.const(self.rng.uniform(0.5, 1.5, [1, n_out, 1, 1]), np.float32))
        return self.node("Relu", y) if self.rng.random() < 0.5 else y

    def layer_pool(self, x):
        kernel = [int(self.pick(2, 3)) for _ in range(2)]
        pads = [int(self.rng.integers(0, 2)) for _ in range(4)]
        options = {"ceil_mode": 1} if self.rng.random() < 0.3 else {}
        op = self.pick("MaxPool", "AveragePool")
        if op == "AveragePool" and not options and self.rng.random() < 0.5:
            options = {"count_include_pad": 1}
        return self.node(op, x, kernel_shape=kernel, strides=[self.pick(1, 2)] * 2, pads=pads, **options)

    def layer_function(self, x):
        for _ in range(self.pick(1, 1, 2)):
            x = self.node(self.pick(*UNARY), x)
        return x

    def layer_constant(self, x):
        shape = self.pick([], [1, self.shape[0], 1, 1], [self.shape[2]], [1, 1, *self.shape[1:]])
        scale = self.scale(0.02)
        constant = self.weights(shape, scale, 0) if self.rng.random() < 0.5 else self.const(self.rng.uniform(-2, 2, shape), np.float32)
        operands = (x, constant) if self.rng.random() < 0.7 else (constant, x)
        return self.node(self.pick("Add", "Mul", "Sub"), *operands)

    def layer_add(self, x):
        other = self.quantised(self.node(self.pick("Relu", "Neg", "Abs"), x))
        return self.node("Add", *((x, other) if self.rng.random() < 0.5 else (other, x)))

    def layer_move(self, x):
        channels, height, width = self.shape
        kind = self.pick("pad", "resize", "slice", "space", "shuffle", "concat", "split")
        if kind == "pad":
            value = [] if self.rng.random() < 0.5 else [self.const(self.rng.uniform(-1, 1), np.float32)]
            return self.node("Pad", x, self.ints(0, 0, *self.rng.integers(0, 3, 2), 0, 0, *self.rng.integers(0, 3, 2)), *value)
        if kind == "resize":
            mode = self.pick(("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"))
            factors = [1, 1, int(self.pick(1, 2, 3)), int(self.pick(2, 3))]
            return self.node("Resize", x, "", self.const(factors, np.float32), mode="nearest",
                             coordinate_transformation_mode=mode[0], nearest_mode=mode[1])
        if kind == "slice":
            axis = int(self.pick(1, 2, 3, -1))
            size = self.shape[axis - 1 if axis > 0 else 2]
            start = int(self.rng.integers(0, size))
            stop = int(self.pick(size, 2**31, self.rng.integers(start + 1, size + 1)))
            return self.node("Slice", x, self.ints(start), self.ints(stop), self.ints(axis), self.ints(int(self.pick(1, 1, 2))))
        if kind == "space" and channels % 4 == 0:
            return self.node("DepthToSpace", x, blocksize=2, mode=self.pick("DCR", "CRD"))
        if kind == "space" and height % 2 == 0 and width % 2 == 0:
            return self.node("SpaceToDepth", x, blocksize=2)
        if kind == "shuffle" and channels % 2 == 0:
            y = self.node("Reshape", x, self.ints(1, 2, channels // 2, height, width))
            return self.node("Reshape", self.node("Transpose", y, perm=[0, 2, 1, 3, 4]), self.ints(1, channels, height, width))
        if kind == "split" and channels > 1:
            first = int(self.rng.integers(1, channels))
            a, b = self.node("Split", x, self.ints(first, channels - first), n=2, axis=1)
            return self.node("Concat", b, a, axis=1)
        return self.node("Concat", x, self.quantised(self.node("Neg", x)), axis=1)

    def build(self):
        self.x_scale = self.scale()
        x = self.x([1, *self.shape], self.x_scale, self.zero_point(), kind=self.pick(None, make.F))
        layers = [self.layer_conv] * 4 + [self.layer_pool, self.layer_function, self.layer_constant, self.layer_add] + [self.layer_move] * 2
        for _ in range(int(self.rng.integers(1, 5))):
            n_nodes = len(self.nodes)
            y = self.pick(*layers)(x)
            try:
                shape = list(self.values(y).shape[1:])
            except (RuntimeError, ValueError):
                shape = [0]
            if 0 in shape or max(shape[1:]) > 40:
                # The window does not fit any more, or the image has become large.
                del self.nodes[n_nodes:]
                break
            x, self.shape = self.quantised(y), shape
        self.output(x)
        return self


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tilewright", help="the binary, target/release/tilewright if it is not given")
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 200))
    parser.add_argument("--float-bias", action="store_true", help="biases as floats instead of steps of the accumulator")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the networks that differ")
    args = parser.parse_args()
    tilewright, met, wrong, n_values = oracle.Tilewright(args.tilewright), collections.Counter(), [], 0
    for seed in range(*args.seeds):
        net = Random(seed, args.float_bias).build()
        model = net.model({})
        try:
            wanted = oracle.by_onnxruntime(model, net.feeds)
            model = net.model({name: values.shape for name, values in wanted.items()})
        except Exception:  # noqa: BLE001
            met["not run by onnxruntime"] += 1
            continue
        try:
            equal, ties, differs = oracle.judge(tilewright, model, net.feeds, wanted, oracle.exact(model, net.feeds))
        except oracle.Refused as refusal:
            met[refusal.code] += 1
            continue
        met["runs"] += 1
        n_values += equal + ties
        if differs or ties > (equal + ties) / 100:
            wrong.append(net.name)
            operators = " ".join(n.op_type for n in model.graph.node if "Linear" not in n.op_type)
            print(f"{net.name}: {equal} equal, {ties} ties, {differs} differ: {operators}", flush=True)
            if args.keep:
                args.keep.mkdir(exist_ok=True)
                onnx.save(model, args.keep / f"{net.name}.onnx")
                np.savez_compressed(args.keep / f"{net.name}.npz", **net.feeds)
    print(f"{sum(met.values())} networks, {n_values} values compared, {len(wrong)} networks differ: {dict(met)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
