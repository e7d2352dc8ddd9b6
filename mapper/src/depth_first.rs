//! Depth-first runs: einsums that follow each other strip by strip, so that what passes between them is never whole.
//!
//! The last einsum of a run has strips of equal height. Each einsum before it computes, for each of these strips, the
//! rows that its readers need and that were not there yet. Rows that are needed once more are copied from the strip
//! before; that is the mode "fully cached" of DeFiNES (arXiv 2212.05344) with strips of whole rows. So every row of
//! every einsum is computed once.
//!
//! Deliberately not here: where strips lie; `plan` knows.

use ir::fit::Fit;
use std::ops::Range;

use ir::arch::Arch;
use ir::network::{EinsumId, Network, TensorId};
use ir::op::Kind;

use crate::mapspace::Constants;
use crate::plan::{Strips, window};

/// Einsums of the longest run: a residual block with a convolution on its shortcut.
pub(crate) const LONGEST: usize = 5;

/// The strips of the einsums of a run, and how many rows of its output each keeps from the strip before.
pub(crate) struct Run {
    pub(crate) members: Range<usize>,
    pub(crate) strips: Vec<Strips>,
    pub(crate) halos: Vec<usize>,
}

/// The runs that start at each einsum.
pub(crate) type Runs = Vec<Vec<Range<usize>>>;

/// All runs of a network whose constants fit together: those that are read in one strip are there for the next.
///
/// `constants` gives the words of weights and the channels of parameters of an einsum, if they can stay at all.
pub(crate) fn runs(
    network: &Network,
    arch: &Arch,
    constants: &dyn Fn(usize) -> Option<Constants>,
) -> Runs {
    let of_all: Vec<Option<Constants>> = (0..network.einsums.len()).map(constants).collect();
    let fits = |members: &Range<usize>| {
        let all = of_all[members.clone()].iter().copied();
        let sum = all.sum::<Option<Constants>>();
        sum.is_some_and(|sum| sum.fit(arch))
    };
    let from = |first| members(network, first).into_iter().filter(fits).collect();
    (0..network.einsums.len()).map(from).collect()
}

/// The runs that start at the einsum `first`: whatever is between their einsums has no reader elsewhere.
fn members(network: &Network, first: usize) -> Vec<Range<usize>> {
    let ends = first + 2..=(first + LONGEST).min(network.einsums.len());
    let passes = |index: usize, end: usize| {
        let output = network.einsums[index].output;
        let mut readers = readers(network, output).peekable();
        !network.outputs.contains(&output)
            && readers.peek().is_some()
            && readers.all(|reader| reader < end)
    };
    ends.filter(|&end| (first..end - 1).all(|index| passes(index, end)))
        .map(|end| first..end)
        .collect()
}

/// The einsums that read a tensor.
fn readers(network: &Network, tensor: TensorId) -> impl Iterator<Item = usize> {
    network
        .consumers(tensor)
        .map(|EinsumId(index)| index as usize)
}

impl Run {
    /// The run of `members` whose last einsum has strips of `rows`; none if it has one strip, if the strips of an
    /// einsum would have to differ for its readers, or if a strip would be empty.
    pub(crate) fn new(network: &Network, members: Range<usize>, rows: usize) -> Option<Run> {
        // Rows that are repeated are no linear function of the rows that are read.
        let repeats =
            |index: usize| matches!(&network.einsums[index].kind, Kind::Select(op) if op.repeats());
        if members.clone().any(repeats) {
            return None;
        }
        let height = |index: usize| network.tensor(network.einsums[index].output).height;
        let n = height(members.end - 1).div_ceil(rows);
        let mut strips = vec![Strips::even(height(members.end - 1), rows)];
        let mut halos = vec![0];
        for index in members.clone().rev().skip(1) {
            let output = network.einsums[index].output;
            // A strip of a reader ends at row `first + s * rows` and needs the rows up to a linear function of that.
            let needs = readers(network, output).map(|reader| {
                let window = window(&network.einsums[reader].kind);
                let of_reader: &Strips = &strips[strips.len() - 1 - (reader - index - 1)];
                let [stride, pad] = [window.stride[0], window.pads[0]].map(|n| n.fit::<isize>());
                let reach = ((window.kernel[0] - 1) * window.dilation[0] + 1).fit::<isize>();
                let first = stride * (of_reader.first.fit::<isize>() - 1) + reach - pad;
                // From the second strip on: the rows from the first that is needed to the end of the strip before.
                let behind = stride * of_reader.first.fit::<isize>() - pad;
                (window.stride[0] * of_reader.rows, first, behind)
            });
            let needs: Vec<(usize, isize, isize)> = needs.collect();
            let rows = needs[0].0;
            if needs.iter().any(|need| need.0 != rows) {
                return None;
            }
            let height = height(index);
            let of_readers = needs.iter().map(|need| need.1).max()?;
            let of_all = height.fit::<isize>() - ((n - 1) * rows).fit::<isize>();
            let first = of_readers.max(of_all).max(1);
            let behind = needs.iter().map(|need| need.2).min()?;
            if n < 2 || first.fit::<usize>() + (n - 2) * rows >= height {
                return None;
            }
            strips.push(Strips {
                height,
                first: first.fit::<usize>(),
                rows,
            });
            halos.push((first - behind).max(0).fit::<usize>());
        }
        strips.reverse();
        halos.reverse();
        Some(Run {
            members,
            strips,
            halos,
        })
    }
}
