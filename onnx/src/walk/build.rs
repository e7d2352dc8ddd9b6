//! Making einsums of pending results.

use super::{Draft, Walk};
use crate::constant::count;
use crate::error::Reason;
use crate::order::Order;
use crate::value::{ConvDraft, Pending, PendingOp, Quant, View};
use ir::network::{Einsum, Tensor, TensorId};
use ir::numerics::{Clamp, Requantise};
use ir::op::{Add, AveragePool, Concat, Conv, Kind, MaxPool, Table, table_values};

impl Walk<'_> {
    /// Makes an einsum of `pending`, whose output has the name `name` and the scale of `quant`, and gives its view.
    pub(crate) fn emit(
        &mut self,
        pending: &Pending,
        name: &str,
        quant: Quant,
    ) -> Result<View, Reason> {
        let (lo, hi) = (
            quant.quantise(pending.range.0),
            quant.quantise(pending.range.1),
        );
        let clamp = Clamp { lo, hi };
        let output = tensor(name, pending.image, quant);
        let inputs: Vec<Tensor> = pending.inputs.iter().map(|&id| self.tensor(id)).collect();
        let kind = match &pending.op {
            PendingOp::Conv(draft) => Kind::Conv(conv(draft, quant, clamp)?),
            PendingOp::Add => Kind::Add(Add::new(&inputs[0], &inputs[1], &output, clamp)?),
            PendingOp::AveragePool {
                window,
                count_include_pad,
            } => {
                AveragePool::requantise(inputs[0].scale, quant.scale, 1)?;
                Kind::AveragePool(AveragePool {
                    window: *window,
                    count_include_pad: *count_include_pad,
                    clamp,
                })
            }
            PendingOp::Concat => {
                let table = |input| rescale(input, &output, pending.range).values;
                Kind::Concat(Concat {
                    tables: inputs.iter().map(table).collect(),
                })
            }
            PendingOp::MaxPool(window) => return self.emit_max_pool(pending, *window, name, quant),
            PendingOp::Copy => {
                let table = rescale(&inputs[0], &output, pending.range);
                let is_identity = table.values.iter().copied().eq(table_values());
                if is_identity && !self.inputs.contains(&pending.inputs[0]) {
                    return Ok(view_of(pending, pending.inputs[0]));
                }
                Kind::Table(table)
            }
        };
        self.push(
            &pending.label,
            kind,
            pending.inputs.clone(),
            name,
            (pending.image, quant),
        )
        .map(|id| view_of(pending, id))
    }

    /// Pooling keeps scale and range; a table behind it changes them where the file wants that.
    fn emit_max_pool(
        &mut self,
        pending: &Pending,
        window: ir::op::Window,
        name: &str,
        quant: Quant,
    ) -> Result<View, Reason> {
        let input_quant = self.quant_of(pending.inputs[0])?;
        let kind = Kind::MaxPool(MaxPool { window });
        let unclamped = pending.range == (f32::NEG_INFINITY, f32::INFINITY);
        if unclamped && input_quant == quant {
            let id = self.push(
                &pending.label,
                kind,
                pending.inputs.clone(),
                name,
                (pending.image, quant),
            )?;
            return Ok(view_of(pending, id));
        }
        let pooled = format!("{name}.pooled");
        let id = self.push(
            &pending.label,
            kind,
            pending.inputs.clone(),
            &pooled,
            (pending.image, input_quant),
        )?;
        let copy = Pending {
            op: PendingOp::Copy,
            inputs: vec![id],
            ..pending.clone()
        };
        self.emit(&copy, name, quant)
    }

    /// Appends an einsum and its output tensor.
    fn push(
        &mut self,
        label: &str,
        kind: Kind,
        inputs: Vec<TensorId>,
        name: &str,
        (image, quant): ([usize; 3], Quant),
    ) -> Result<TensorId, Reason> {
        count(&image)?;
        let output = TensorId(self.drafts.len() as u32);
        let draft = Draft {
            name: name.into(),
            image: Some(image),
            quant: Some(quant),
            host: None,
            axes: Vec::new(),
        };
        self.drafts.push(draft);
        let mut unique = label.to_string();
        let mut n_same = 1;
        while !self.einsum_names.insert(unique.clone()) {
            n_same += 1;
            unique = format!("{label}.{n_same}");
        }
        self.einsums.push(Einsum {
            name: unique,
            kind,
            inputs,
            output,
        });
        Ok(output)
    }

    /// The tensor of `id` as far as it is known.
    pub(crate) fn tensor(&self, id: TensorId) -> Tensor {
        let draft = &self.drafts[id.index()];
        let unknown = Quant {
            scale: 1.0,
            zero_point: 0,
            unsigned: false,
        };
        let image = draft.image.unwrap_or_default();
        Tensor {
            host: draft.host.clone(),
            ..tensor(&draft.name, image, draft.quant.unwrap_or(unknown))
        }
    }
}

fn tensor(name: &str, image: [usize; 3], quant: Quant) -> Tensor {
    let [channels, height, width] = image;
    let Quant {
        scale, zero_point, ..
    } = quant;
    Tensor {
        name: name.to_string(),
        channels,
        height,
        width,
        scale,
        zero_point,
        host: None,
    }
}

fn view_of(pending: &Pending, tensor: TensorId) -> View {
    View {
        tensor,
        shape: pending.shape.clone(),
        order: pending.order.clone(),
    }
}

fn rescale(x: &Tensor, y: &Tensor, range: (f32, f32)) -> Table {
    Table::new(x, y, |value| value.clamp(range.0, range.1))
}

fn conv(draft: &ConvDraft, quant: Quant, clamp: Clamp) -> Result<Conv, Reason> {
    let scales: Vec<f32> = draft
        .accumulator_scales
        .iter()
        .map(|&scale| scale / quant.scale)
        .collect();
    if let Some(error) = scales
        .iter()
        .find_map(|&scale| Requantise::from_scale(scale).err())
    {
        return Err(Reason::constant(error.to_string()));
    }
    Ok(Conv {
        out_channels: draft.out_channels,
        group_channels: draft.group_channels,
        groups: draft.groups,
        window: draft.window,
        weights: draft.weights.clone(),
        bias: draft.bias.clone(),
        scales,
        clamp,
    })
}

/// A pending result in the shape and order of its own image.
pub(crate) fn pending_image(
    label: &str,
    op: PendingOp,
    inputs: Vec<TensorId>,
    image: [usize; 3],
    rank: usize,
) -> Pending {
    let [channels, height, width] = image;
    let shape = if rank == 3 {
        vec![1, channels, width]
    } else {
        vec![1, channels, height, width]
    };
    Pending {
        label: label.to_string(),
        op,
        inputs,
        image,
        shape,
        order: Order::identity(channels * height * width),
        range: (f32::NEG_INFINITY, f32::INFINITY),
    }
}
