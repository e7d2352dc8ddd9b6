//! Einsums that another can do on its way: padding in front of convolutions, and ranges behind operators with a clamp.
//!
//! Exporters write both as nodes of their own (TensorFlow pads in front of every strided convolution, Brevitas clips
//! codes behind every activation). What is folded changes no value of the tensors that are left.

use ir::network::{EinsumId, HostOperator, Network, TensorId};
use ir::numerics::Clamp;
use ir::op::{Kind, Select, Window, table_values};

/// Folds what can be folded.
pub(crate) fn fold(mut network: Network) -> Network {
    let n_reads = n_reads(&network);
    let mut folded = vec![false; network.einsums.len()];
    for (index, folded) in folded.iter_mut().enumerate() {
        if fold_padding(&mut network, index) || fold_range(&mut network, index, &n_reads) {
            // It reads nothing any more, whoever else looks for readers.
            network.einsums[index].inputs.clear();
            *folded = true;
        }
    }
    let mut is_folded = folded.into_iter();
    network.einsums.retain(|_| is_folded.next() != Some(true));
    network
}

/// Leaves out what nothing reads: einsums, constants, graph inputs and tensors.
pub(crate) fn without_unread(mut network: Network) -> Network {
    let mut dropped = vec![false; network.einsums.len()];
    // What was only an operand of what became one table is not computed.
    let mut n_reads = self::n_reads(&network);
    for id in &network.outputs {
        n_reads[id.index()] += 1;
    }
    for index in (0..network.einsums.len()).rev() {
        let einsum = &mut network.einsums[index];
        if n_reads[einsum.output.index()] == 0 {
            for id in std::mem::take(&mut einsum.inputs) {
                n_reads[id.index()] -= 1;
            }
            dropped[index] = true;
        }
    }
    let mut is_dropped = dropped.into_iter();
    network.einsums.retain(|_| is_dropped.next() != Some(true));
    network
        .constants
        .retain(|constant| n_reads[constant.tensor.index()] > 0);
    // Graph inputs that the outputs do not depend on.
    network.inputs.retain(|id| n_reads[id.index()] > 0);
    compacted(network)
}

/// How often einsums read each tensor.
fn n_reads(network: &Network) -> Vec<usize> {
    let mut n_reads = vec![0; network.tensors.len()];
    for id in network.einsums.iter().flat_map(|einsum| &einsum.inputs) {
        n_reads[id.index()] += 1;
    }
    n_reads
}

/// Gives the padding of a selection that does nothing else to the convolutions that read it, if nothing else does.
fn fold_padding(network: &mut Network, index: usize) -> bool {
    let einsum = &network.einsums[index];
    let (input, output) = (einsum.inputs[0], einsum.output);
    let Kind::Select(select) = &einsum.kind else {
        return false;
    };
    let tensor = network.tensor(input);
    let Some(pads) = pads_of(select, tensor.shape()) else {
        return false;
    };
    let readers: Vec<EinsumId> = network.consumers(output).collect();
    let is_conv = |id: &EinsumId| matches!(&network.einsum(*id).kind, Kind::Conv(conv) if conv.stretch == [1, 1]);
    let is_free = select.padding == tensor.zero_point
        && !network.outputs.contains(&output)
        && !readers.is_empty()
        && readers.iter().all(is_conv);
    if !is_free {
        return false;
    }
    for id in readers {
        let reader = &mut network.einsums[id.index()];
        if let Kind::Conv(conv) = &mut reader.kind {
            conv.window = padded(conv.window, pads);
        }
        reader.inputs[0] = input;
    }
    true
}

/// The padding `[top, left, bottom, right]` of a selection that keeps the whole image.
fn pads_of(select: &Select, [channels, height, width]: [usize; 3]) -> Option<[usize; 4]> {
    let along = |positions: &ir::op::Positions, size: usize| {
        let before = usize::try_from(-i64::from(positions.start)).ok()?;
        let after = positions.size.checked_sub(size + before)?;
        (positions.step == 1 && positions.repeat == 1).then_some((before, after))
    };
    let ((top, bottom), (left, right)) =
        (along(&select.rows, height)?, along(&select.columns, width)?);
    select
        .keeps_channels(channels)
        .then_some([top, left, bottom, right])
}

fn padded(mut window: Window, pads: [usize; 4]) -> Window {
    for (own, more) in window.pads.iter_mut().zip(pads) {
        *own += more;
    }
    window
}

/// Gives the range of a table that does nothing else to the operator that writes its operand, if nothing else reads that.
fn fold_range(network: &mut Network, index: usize, n_reads: &[usize]) -> bool {
    let einsum = &network.einsums[index];
    let (input, output) = (einsum.inputs[0], einsum.output);
    let Kind::Table(table) = &einsum.kind else {
        return false;
    };
    let quant = |id: TensorId| (network.tensor(id).scale, network.tensor(id).zero_point);
    let (Some(&lo), Some(&hi)) = (table.values.first(), table.values.last()) else {
        return false;
    };
    let is_range = lo <= hi
        && quant(input) == quant(output)
        && table
            .values
            .iter()
            .copied()
            .eq(table_values().map(|v| v.clamp(lo, hi)));
    if !is_range || n_reads[input.index()] != 1 || network.outputs.contains(&input) {
        return false;
    }
    // It is mostly the one before.
    let mut before = network.einsums[..index].iter_mut().rev();
    let Some(producer) = before.find(|einsum| einsum.output == input) else {
        return false;
    };
    let Some(clamp) = clamp_of(&mut producer.kind) else {
        return false;
    };
    *clamp = Clamp {
        lo: clamp.lo.clamp(lo, hi),
        hi: clamp.hi.clamp(lo, hi),
    };
    producer.output = output;
    true
}

fn clamp_of(kind: &mut Kind) -> Option<&mut Clamp> {
    match kind {
        Kind::Conv(op) => Some(&mut op.clamp),
        Kind::ConvAdd(op) => Some(&mut op.conv.clamp),
        Kind::Add(op) => Some(&mut op.clamp),
        Kind::Mul(op) => Some(&mut op.clamp),
        Kind::AveragePool(op) => Some(&mut op.clamp),
        Kind::MaxPool(_) | Kind::Concat(_) | Kind::Table(_) | Kind::Select(_) => None,
    }
}

/// The network without tensors that nothing mentions.
fn compacted(mut network: Network) -> Network {
    let mut is_used = vec![false; network.tensors.len()];
    each_tensor(&mut network, |id| is_used[id.index()] = true);
    let mut next = 0;
    let new: Vec<TensorId> = is_used
        .iter()
        .map(|&is_used| {
            let id = TensorId(next);
            next += u32::from(is_used);
            id
        })
        .collect();
    each_tensor(&mut network, |id| *id = new[id.index()]);
    let mut used = is_used.iter();
    network.tensors.retain(|_| used.next() == Some(&true));
    network
}

fn each_tensor(network: &mut Network, mut visit: impl FnMut(&mut TensorId)) {
    network.inputs.iter_mut().for_each(&mut visit);
    network.outputs.iter_mut().for_each(&mut visit);
    for constant in &mut network.constants {
        visit(&mut constant.tensor);
    }
    for einsum in &mut network.einsums {
        einsum.inputs.iter_mut().for_each(&mut visit);
        visit(&mut einsum.output);
    }
    for step in &mut network.host_steps {
        match &mut step.operator {
            HostOperator::Read(id) => visit(id),
            HostOperator::Conv(op) => visit(&mut op.input),
            _ => {}
        }
    }
}
