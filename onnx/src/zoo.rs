//! Standard networks as int8 QDQ ONNX, with seeded random weights and calibrated scales.
//!
//! They have the shapes of well-known networks and nothing of their training: good for mapping, timing and equality
//! between devices, useless for accuracy. Scales are calibrated layer by layer with the integer reference on seeded
//! images, such that the values of every layer stay alive; equality of dead values would prove nothing.
//!
//! ```
//! let file = onnx::zoo::write("ds_cnn", 1)?;
//! let network = onnx::import_bytes(&file, &onnx::Options::default()).unwrap();
//! assert_eq!(network.total_macs(), 2_656_768);
//! # Ok::<(), onnx::zoo::ZooError>(())
//! ```

mod architectures;
mod builder;
mod file;

use builder::Builder;
use ir::network::{Network, TensorId};

/// A network of the zoo.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name on the command line.
    pub name: &'static str,
    /// One line about it.
    pub description: &'static str,
    /// The shape of the image, `[channels, height, width]`.
    image: [usize; 3],
    /// The number of images that scales are calibrated with.
    n_images: usize,
    build: fn(&mut Builder, TensorId) -> TensorId,
}

/// Every network of the zoo.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "ds_cnn",
        description: "keyword spotting of MLPerf Tiny: depthwise separable, 49x10 spectrogram, 12 classes",
        image: [1, 49, 10],
        n_images: 16,
        build: architectures::ds_cnn,
    },
    Entry {
        name: "resnet8",
        description: "image classification of MLPerf Tiny: residual, 32x32 RGB, 10 classes",
        image: [3, 32, 32],
        n_images: 16,
        build: architectures::resnet8,
    },
    Entry {
        name: "mobilenet_v1_025",
        description: "visual wake words of MLPerf Tiny: MobileNet v1 of quarter width, 96x96 RGB, 2 classes",
        image: [3, 96, 96],
        n_images: 16,
        build: architectures::mobilenet_v1_025,
    },
    Entry {
        name: "mobilenet_v2",
        description: "ImageNet: MobileNet v2 with inverted residuals, 224x224 RGB, 1000 classes",
        image: [3, 224, 224],
        n_images: 1,
        build: architectures::mobilenet_v2,
    },
    Entry {
        name: "resnet18",
        description: "ImageNet: ResNet-18, 224x224 RGB, 1000 classes",
        image: [3, 224, 224],
        n_images: 1,
        build: architectures::resnet18,
    },
    Entry {
        name: "resnet50",
        description: "ImageNet: ResNet-50 with bottlenecks, 224x224 RGB, 1000 classes",
        image: [3, 224, 224],
        n_images: 1,
        build: architectures::resnet50,
    },
];

/// Why there is no such network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ZooError {
    /// The name is not in the zoo: a slip of the user.
    #[error("there is no network `{name}` in the zoo")]
    #[diagnostic(code(zoo::name), help("the zoo has {}", names()))]
    Name {
        /// The name asked for.
        name: String,
    },
}

fn names() -> String {
    let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    names.join(", ")
}

/// Builds the network `name` with the weights of `seed` and gives the bytes of its ONNX file.
///
/// # Errors
/// [`ZooError::Name`] if there is no such network.
pub fn write(name: &str, seed: u64) -> Result<Vec<u8>, ZooError> {
    Ok(build(name, seed)?.1)
}

/// Builds the network `name` with the weights of `seed`, as it is and as an ONNX file.
///
/// # Errors
/// [`ZooError::Name`] if there is no such network.
pub fn build(name: &str, seed: u64) -> Result<(Network, Vec<u8>), ZooError> {
    build_with(name, seed, |entry| entry.n_images)
}

/// Builds the shapes of the network `name` with random weights and without calibration, in a fraction of the time.
///
/// It is a valid network whose values say nothing: for mapping and timing, not for equality between devices.
///
/// # Errors
/// [`ZooError::Name`] if there is no such network.
pub fn shapes(name: &str, seed: u64) -> Result<Network, ZooError> {
    Ok(build_with(name, seed, |_| 0)?.0)
}

fn build_with(
    name: &str,
    seed: u64,
    n_images: impl Fn(&Entry) -> usize,
) -> Result<(Network, Vec<u8>), ZooError> {
    let entry = ENTRIES.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| ZooError::Name {
        name: name.to_string(),
    })?;
    let mut builder = Builder::new(entry.name, entry.image, n_images(entry), seed);
    let input = builder.input();
    let output = (entry.build)(&mut builder, input);
    Ok(builder.finish(output))
}

/// Draws `n_images` images for a network with inputs of `[channels, height, width]`: waves of random length, contrast
/// and brightness with some noise, so that they differ from one another even on average.
pub fn images(image: [usize; 3], n_images: usize, seed: u64) -> Vec<Vec<i8>> {
    builder::images(image, n_images, seed)
}
