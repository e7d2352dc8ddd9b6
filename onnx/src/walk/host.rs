//! What the host computes behind the device: the outputs of the graph, and the steps that lead to them.

use super::{Walk, identity_reals, unexpected};
use crate::constant::made;
use crate::error::Reason;
use crate::order::Order;
use crate::value::{ConvDraft, HostValue, Pending, PendingOp, Quant, Value, View};
use ir::network::{Arrangement, FloatConv, HostId, HostOperator, HostStep, HostType, TensorId};
use ir::numerics::Clamp;
use ir::op::{Conv, Kind, Table, table_values};

impl Walk<'_> {
    /// The value as the host has it, read back from the device where it is there.
    pub(crate) fn on_host(&mut self, label: &str, value: &Value) -> Result<HostValue, Reason> {
        match value {
            Value::Host(value) => Ok(value.clone()),
            Value::Integer(view) => self.read_codes(label, view),
            Value::Real(view) => self.read_real(label, view),
            Value::Pending(pending) => self.read_pending(label, pending),
            other => Err(Reason::unsupported(format!("it is {}", other.describe()))
                .help("leave this output out of the file: nothing computes it")),
        }
    }

    /// Appends a step on `x`, whose result has `shape` and `host_type`.
    pub(crate) fn host_step(
        &mut self,
        label: &str,
        operator: HostOperator,
        inputs: Vec<HostId>,
        shape: Vec<usize>,
        host_type: HostType,
    ) -> HostValue {
        let id = HostId(u32::try_from(self.host_steps.len()).expect("a file has fewer nodes"));
        self.host_steps.push(HostStep {
            name: label.to_string(),
            operator,
            inputs,
        });
        HostValue {
            id,
            shape,
            host_type,
        }
    }

    /// The host's value in another shape and order.
    pub(crate) fn arrange(
        &mut self,
        label: &str,
        x: &HostValue,
        shape: Vec<usize>,
        order: &Order,
    ) -> HostValue {
        if x.shape == shape && order.is_identity() {
            return x.clone();
        }
        let operator = HostOperator::Arrange(Arrangement {
            shape: shape.clone(),
            digits: order.digits(),
        });
        self.host_step(label, operator, vec![x.id], shape, x.host_type)
    }

    /// The host's real value of integers of `quant`.
    pub(crate) fn dequantise_on_host(
        &mut self,
        label: &str,
        x: &HostValue,
        quant: Quant,
    ) -> HostValue {
        let rebase = if x.host_type == HostType::Uint8 {
            128
        } else {
            0
        };
        let operator = HostOperator::Dequantise {
            scale: quant.scale,
            zero_point: i32::from(quant.zero_point) + rebase,
        };
        self.host_step(
            label,
            operator,
            vec![x.id],
            x.shape.clone(),
            HostType::Float32,
        )
    }

    /// Integers of `quant` of the host's real value.
    pub(crate) fn quantise_on_host(
        &mut self,
        label: &str,
        x: &HostValue,
        quant: Quant,
    ) -> HostValue {
        let operator = HostOperator::Quantise {
            scale: quant.scale,
            zero_point: quant.zero_point,
        };
        let codes = self.host_step(label, operator, vec![x.id], x.shape.clone(), HostType::Int8);
        if quant.unsigned {
            self.rebase(label, &codes)
        } else {
            codes
        }
    }

    fn rebase(&mut self, label: &str, x: &HostValue) -> HostValue {
        let shape = x.shape.clone();
        self.host_step(
            label,
            HostOperator::Rebase,
            vec![x.id],
            shape,
            HostType::Uint8,
        )
    }

    /// The values of a tensor of the device, in its own order.
    fn read(&mut self, label: &str, id: TensorId) -> Result<HostValue, Reason> {
        let shape = self.tensor(id).shape();
        let is_given = self.inputs.contains(&id)
            || self.constants.iter().any(|constant| constant.tensor == id);
        let id = if is_given {
            // What is given is copied once, so that a device has something to give back.
            let quant = self.quant_of(id)?;
            let table = Kind::Table(Table {
                values: table_values().collect(),
            });
            let name = format!("{}.copy", self.drafts[id.index()].name);
            self.push(label, table, vec![id], &name, (shape, quant))?
        } else {
            id
        };
        if !self.outputs.contains(&id) {
            self.outputs.push(id);
        }
        let read = HostOperator::Read(id);
        Ok(self.host_step(label, read, Vec::new(), shape.to_vec(), HostType::Int8))
    }

    fn read_view(&mut self, label: &str, view: &View) -> Result<HostValue, Reason> {
        self.decide_by_rank(view)?;
        let order = self.order(view)?;
        let read = self.read(label, view.tensor)?;
        Ok(self.arrange(label, &read, view.shape.clone(), &order))
    }

    fn read_codes(&mut self, label: &str, view: &View) -> Result<HostValue, Reason> {
        let codes = self.read_view(label, view)?;
        Ok(if self.is_unsigned(view.tensor) {
            self.rebase(label, &codes)
        } else {
            codes
        })
    }

    fn read_real(&mut self, label: &str, view: &View) -> Result<HostValue, Reason> {
        let quant = self.quant_of(view.tensor)?;
        let codes = self.read_view(label, view)?;
        Ok(self.dequantise_on_host(label, &codes, quant))
    }

    /// A float result that nothing quantises: from the integers before it, in real numbers.
    fn read_pending(&mut self, label: &str, pending: &Pending) -> Result<HostValue, Reason> {
        let function = |results: &mut dyn Iterator<Item = f64>| {
            let (lo, hi) = (f64::from(pending.range.0), f64::from(pending.range.1));
            HostOperator::Lookup(results.map(|real| real.clamp(lo, hi)).collect())
        };
        let (x, operator) = match &pending.op {
            PendingOp::Copy(x) => {
                let quant = self.quant_of(*x)?;
                (*x, function(&mut identity_reals(quant).into_iter()))
            }
            PendingOp::Function(x, reals) => (*x, function(&mut reals.iter().copied())),
            PendingOp::Conv(draft) => self.float_conv(pending, draft)?,
            PendingOp::AveragePool { x, window, counted } if *counted == window.pads => {
                let draft = self.average(*x, pending.image, *window)?;
                self.float_conv(pending, &draft)?
            }
            PendingOp::Add(operands) if pending.is_unlimited() => {
                let mut ids = Vec::new();
                for &tensor in operands {
                    let view = View {
                        tensor,
                        shape: pending.shape.clone(),
                        order: pending.order.clone(),
                    };
                    ids.push(self.read_real(label, &view)?.id);
                }
                let shape = pending.shape.clone();
                return Ok(self.host_step(label, HostOperator::Add, ids, shape, HostType::Float32));
            }
            _ => {
                let view = self.realise(pending).ok_or_else(|| {
                    Reason::unsupported("it is a float result that is not quantised").help(
                        "put a QuantizeLinear behind it: only the last convolution, product, average or function of \
                         one value is computed in float, by the host",
                    )
                })??;
                return self.read_real(label, &view);
            }
        };
        let codes = self.read(label, x)?;
        let shape = if let HostOperator::Lookup(_) = operator {
            codes.shape.clone()
        } else {
            pending.image.to_vec()
        };
        let real = self.host_step(label, operator, vec![codes.id], shape, HostType::Float32);
        Ok(self.arrange(label, &real, pending.shape.clone(), &pending.order))
    }

    fn float_conv(
        &mut self,
        pending: &Pending,
        draft: &ConvDraft,
    ) -> Result<(TensorId, HostOperator), Reason> {
        let draft = self.of_eight_bits(draft.clone(), &pending.label)?;
        let steps = draft.bias_steps.iter().zip(&draft.scales);
        let bias = steps
            .zip(&draft.bias)
            .map(|((steps, scale), real)| steps * scale + real);
        let operator = HostOperator::Conv(Box::new(FloatConv {
            output: pending.image,
            input: draft.input,
            bias: bias.collect(),
            range: pending.range,
            conv: Conv {
                out_channels: draft.out_channels,
                group_channels: draft.group_channels,
                groups: draft.groups,
                window: draft.window,
                stretch: draft.stretch,
                weights: draft.int8_weights()?,
                bias: vec![0; draft.out_channels],
                bias_error: 0.0,
                scales: vec![1.0; draft.out_channels],
                clamp: Clamp::FULL,
            },
            scales: draft.scales,
        }));
        Ok((draft.input, operator))
    }

    /// The average over windows that all count as many values, as a convolution with weights of one.
    fn average(
        &self,
        x: TensorId,
        [channels, ..]: [usize; 3],
        window: ir::op::Window,
    ) -> Result<ConvDraft, Reason> {
        let scale = f64::from(self.quant_of(x)?.scale) / window.n_taps() as f64;
        let n_weights = made(&[channels, window.n_taps()])?;
        Ok(ConvDraft {
            input: x,
            out_channels: channels,
            group_channels: 1,
            groups: channels,
            window,
            stretch: [1, 1],
            weights: vec![1; n_weights],
            bias_steps: vec![0.0; channels],
            bias: vec![0.0; channels],
            scales: vec![scale; channels],
        })
    }

    /// The value at input `i` of `node` as the host has it, for a step that the host computes.
    pub(crate) fn host_input(
        &mut self,
        node: &crate::node::Node,
        i: usize,
    ) -> Result<HostValue, Reason> {
        let value = self.value(node, i)?;
        match value {
            Value::Constant(_) | Value::QuantConstant(_) | Value::FloatInput(_) => {
                Err(unexpected(i, "a result of the network", &value))
            }
            _ => self.on_host(&node.label, &value),
        }
    }
}
