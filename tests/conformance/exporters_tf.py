"""Writes the files of `exported/` that come from TensorFlow: int8 TFLite networks, turned into ONNX by tf2onnx.

    pip install tensorflow==2.21.0 tf2onnx==1.17.0 onnx==1.20.1
    python tests/conformance/exporters_tf.py
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

EXPORTED = pathlib.Path(__file__).parent / "exported"
layers = tf.keras.layers


def convolutions(softmax):
    image = tf.keras.Input([12, 12, 3], batch_size=1)
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    z = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(y)
    y = layers.Add()([y, layers.Conv2D(8, 1)(z)])
    y = layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(y))
    return tf.keras.Model(image, layers.Dense(10, activation="softmax" if softmax else None)(y))


def unet():
    image = tf.keras.Input([12, 12, 3], batch_size=1)
    a = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    b = layers.Conv2D(16, 3, padding="same", activation="leaky_relu")(layers.AveragePooling2D(2)(a))
    y = layers.Concatenate()([a, layers.UpSampling2D(2)(b)])
    return tf.keras.Model(image, layers.Conv2D(2, 3, padding="same", activation="sigmoid")(y))


def mlp():
    x = tf.keras.Input([24], batch_size=1)
    y = layers.Dense(16, activation="tanh")(layers.Dense(32, activation="relu")(x))
    return tf.keras.Model(x, layers.Dense(10)(y))


NETWORKS = {"conv": lambda: convolutions(False), "conv_softmax": lambda: convolutions(True), "unet": unet, "mlp": mlp}


def int8(model, integer_boundary, per_channel):
    """The bytes of the TFLite file, calibrated with seeded images."""
    rng = np.random.default_rng(5)
    shape = model.inputs[0].shape
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([rng.normal(0, 1, shape).astype(np.float32)] for _ in range(8))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter._experimental_disable_per_channel = not per_channel
    if integer_boundary:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def main():
    EXPORTED.mkdir(exist_ok=True)
    for network, build in NETWORKS.items():
        for option, integer_boundary, per_channel in (
            ("float_boundary", False, True), ("int8_boundary", True, True), ("per_tensor", False, False),
        ):
            tf.keras.utils.set_random_seed(7)
            file = EXPORTED / f"tf2onnx-{network}-{option}.onnx"
            with tempfile.NamedTemporaryFile(suffix=".tflite") as tflite:
                tflite.write(int8(build(), integer_boundary, per_channel))
                tflite.flush()
                command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", tflite.name, "--output", str(file), "--opset", "17"]
                run = subprocess.run(command, capture_output=True, text=True, check=False)
                if run.returncode != 0:
                    print(f"{file.stem}: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)


if __name__ == "__main__":
    main()
