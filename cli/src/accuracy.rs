//! Accuracy: how many images get the class of their label from the first output of the file.

use std::fmt;

use host_runtime::Outcome as RunOutcome;
use host_runtime::onnxruntime::{Tensor, Values};
use ir::network::Network;
use serde::Serialize;

use crate::failure::Failure;
use crate::input::Images;
use crate::oracle::tensors;

/// How many images have the class of their label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Accuracy {
    pub(crate) right: usize,
    pub(crate) of: usize,
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Accuracy { right, of } = self;
        let percent = 100.0 * *right as f64 / (*of).max(1) as f64;
        write!(
            f,
            "accuracy: {right} of {of} right, {percent:.1} % (measured)"
        )
    }
}

impl Accuracy {
    /// Of the first output of the file for each batch; none where the images have no labels.
    pub(crate) fn of<'a>(
        outputs: impl IntoIterator<Item = &'a Tensor>,
        network: &Network,
        images: &Images,
    ) -> Option<Accuracy> {
        let labels = images.labels.as_ref()?;
        let outputs = outputs.into_iter();
        let classes = outputs.flat_map(|output| classes(&output.values, network.batch));
        let right = classes.zip(labels).filter(|(class, label)| class == *label);
        Some(Accuracy {
            right: right.count(),
            of: labels.len(),
        })
    }

    /// Of the runs of a device, one for each image; none where the images have no labels.
    pub(crate) fn of_runs(
        runs: &[RunOutcome],
        network: &Network,
        images: &Images,
    ) -> Result<Option<Accuracy>, Failure> {
        let outputs = results(runs, network)?;
        let firsts = outputs.iter().flat_map(|outputs| outputs.first());
        Ok(Accuracy::of(firsts, network, images))
    }
}

/// The outputs of the file for each batch, from what a device gave for each image.
pub(crate) fn results(runs: &[RunOutcome], network: &Network) -> Result<Vec<Vec<Tensor>>, Failure> {
    let of_batch = |batch: &[RunOutcome]| {
        let outputs: Vec<Vec<Vec<i8>>> = batch.iter().map(|run| run.outputs.clone()).collect();
        Ok(tensors(network, &outputs)?)
    };
    runs.chunks(network.batch).map(of_batch).collect()
}

/// The class of each image of a batch: the index that an output of one index has, otherwise the place of the largest
/// value, the first of several.
fn classes(output: &Values, batch: usize) -> Vec<usize> {
    let values = output.to_f64();
    if let (Values::Int64(indices), true) = (output, values.len() == batch) {
        let class = |&index: &i64| usize::try_from(index).unwrap_or(usize::MAX);
        return indices.iter().map(class).collect();
    }
    let class = |image: &[f64]| {
        let largest = image.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let place = image.iter().position(|&value| value == largest);
        place.unwrap_or(0)
    };
    values
        .chunks((values.len() / batch).max(1))
        .map(class)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: Values, batch: usize, expected: &[usize]) {
        assert_eq!(classes(&output, batch), expected);
    }

    #[test]
    fn each_image_of_a_batch_has_the_class_of_its_own_values() {
        let scores = vec![0.5, 2.0, 2.0, 3.0, -1.0, 0.0];
        check(Values::Float32(scores.clone()), 1, &[3]);
        check(Values::Float32(scores), 2, &[1, 0]);
        check(Values::Int8(vec![-3, -2, 5, 4]), 2, &[1, 0]);
        // An index is the class itself, and not its place.
        check(Values::Int64(vec![7]), 1, &[7]);
        check(Values::Int64(vec![7, 0, 2]), 3, &[7, 0, 2]);
    }
}
