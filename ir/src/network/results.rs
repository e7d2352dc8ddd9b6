//! From the tensors of a device to the outputs of the file: what the host computes after a run.
//!
//! A device gives int8 tensors. Whatever the file has behind them (a dequantisation, a softmax, a transpose, a last layer
//! whose result stays float) is a short list of [`HostStep`]s, which the host computes for every device alike, in the
//! type and under the name that the file states. Real numbers are computed in f64 and rounded to f32 at the end, once.

use super::{HostType, HostValues, Network, NetworkError, TensorId};
use crate::fit::Fit;
use crate::numerics::Clamp;
use crate::op::{Conv, Value, table_index, table_values};
use serde::{Deserialize, Serialize};

/// The position of a step in [`Network::host_steps`]; it stands for the step's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostId(pub u32);

/// One step that the host computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostStep {
    /// The node in the file that the step comes from.
    pub name: String,
    /// What it computes.
    pub operator: HostOperator,
    /// Its operands, earlier steps; none for [`HostOperator::Read`].
    pub inputs: Vec<HostId>,
}

/// What a step computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum HostOperator {
    /// The int8 values of an output of the device, `[channels, height, width]`.
    Read(TensorId),
    /// The values in another shape and order.
    Arrange(Arrangement),
    /// int8 to uint8, 128 above.
    Rebase,
    /// Integers to real values, `(value - zero_point) * scale`.
    Dequantise {
        /// The size of one step.
        scale: f32,
        /// The value that stands for zero.
        zero_point: i32,
    },
    /// Real values to integers.
    Quantise {
        /// The size of one step.
        scale: f32,
        /// The int8 value that stands for zero.
        zero_point: i8,
    },
    /// Any real function of int8 values, as the list of its 256 results, that of -128 first.
    Lookup(Vec<f64>),
    /// A convolution of int8 values whose result stays float.
    Conv(Box<FloatConv>),
    /// The sum of two tensors of real values.
    Add,
    /// The mean of each line of real values along the axes `axis..end`, which then have one entry.
    Mean {
        /// The first axis of a line.
        axis: usize,
        /// The axis after the last of a line.
        end: usize,
    },
    /// Real values of which the largest of each line along `axis` stands out: `exp(x) / sum(exp(x))`.
    Softmax {
        /// The first axis of a line.
        axis: usize,
        /// The axis after the last of a line.
        end: usize,
        /// Whether the logarithm is wanted.
        log: bool,
    },
    /// onnxruntime's softmax of integers.
    QuantisedSoftmax {
        /// The first axis of a line.
        axis: usize,
        /// The axis after the last of a line.
        end: usize,
        /// Scale of the operand.
        x_scale: f32,
        /// Scale of the result.
        y_scale: f32,
        /// Zero point of the result, in its own type.
        y_zero_point: i32,
    },
    /// The position of the largest value of each line along `axis`, which then has one entry.
    ArgMax {
        /// The axis.
        axis: usize,
        /// Whether the last of several equal values counts, rather than the first.
        last: bool,
        /// Whether the smallest value is meant.
        smallest: bool,
    },
}

/// A shape and where its values come from: the index in row-major order is written in mixed radix, and each digit has a
/// step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrangement {
    /// The new shape.
    pub shape: Vec<usize>,
    /// Size and step of each digit, most significant first.
    pub digits: Vec<(usize, usize)>,
}

/// A convolution whose result stays float: `acc * scales[o] + bias[o]`, held in a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FloatConv {
    /// Weights and window; its bias is zero, its scales and clamp are not used.
    pub conv: Conv,
    /// The shape of the result, `[channels, height, width]`.
    pub output: [usize; 3],
    /// The operand.
    pub input: TensorId,
    /// One step of the accumulator, for each output channel.
    pub scales: Vec<f64>,
    /// The bias of each output channel, in real values.
    pub bias: Vec<f64>,
    /// The smallest and largest real value.
    pub range: (f32, f32),
}

/// An output of the file and the step that gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphOutput {
    /// Its name in the file.
    pub name: String,
    /// The step.
    pub value: HostId,
}

/// Values with a shape while the host works on them: real numbers are not rounded before the end.
#[derive(Debug, Clone)]
struct Held {
    shape: Vec<usize>,
    values: HeldValues,
}

/// Shape and type of a value; real numbers are [`HostType::Float32`].
#[derive(Debug, Clone)]
struct Form {
    shape: Vec<usize>,
    host_type: HostType,
}

impl Form {
    fn expect(&self, types: &[HostType]) -> Result<(), HostFault> {
        if types.contains(&self.host_type) {
            Ok(())
        } else {
            Err(HostFault::Type)
        }
    }

    fn reals(&self) -> Result<(), HostFault> {
        self.expect(&[HostType::Float32])
    }
}

#[derive(Debug, Clone)]
enum HeldValues {
    Real(Vec<f64>),
    Int8(Vec<i8>),
    Uint8(Vec<u8>),
    Int64(Vec<i64>),
}

/// Values with a shape, as the host has them.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// The shape.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub values: HostValues,
}

/// What is wrong with the steps of a network: always a fault of whoever built it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// A step reads what is no output of the device, or no earlier step.
    #[error("reads what is not there")]
    Operand,
    /// The operand has another type.
    #[error("cannot work on values of this type")]
    Type,
    /// Shape, axis or list do not fit the operand.
    #[error("does not fit the shape of its operand")]
    Shape,
}

impl HostOperator {
    /// The name that messages use, such as `softmax`.
    pub fn name(&self) -> &'static str {
        match self {
            HostOperator::Read(_) => "read",
            HostOperator::Arrange(_) => "arrange",
            HostOperator::Rebase => "rebase",
            HostOperator::Dequantise { .. } => "dequantise",
            HostOperator::Quantise { .. } => "quantise",
            HostOperator::Lookup(_) => "float function",
            HostOperator::Conv(_) => "float conv",
            HostOperator::Add => "float add",
            HostOperator::Mean { .. } => "float mean",
            HostOperator::Softmax { log: false, .. } => "softmax",
            HostOperator::Softmax { log: true, .. } => "log softmax",
            HostOperator::QuantisedSoftmax { .. } => "quantised softmax",
            HostOperator::ArgMax { .. } => "position of the largest",
        }
    }

    /// Whether the step only reads values back, in the type and order of the file.
    fn is_reading(&self) -> bool {
        matches!(
            self,
            HostOperator::Read(_)
                | HostOperator::Arrange(_)
                | HostOperator::Rebase
                | HostOperator::Dequantise { .. }
                | HostOperator::Quantise { .. }
        )
    }
}

impl Network {
    /// What is left for the host to compute, beside reading outputs back in their type and order.
    pub fn left_to_host(&self) -> impl Iterator<Item = &HostStep> {
        self.host_steps
            .iter()
            .filter(|step| !step.operator.is_reading())
    }

    /// Name, shape and type of each output of the file, for one image.
    ///
    /// # Errors
    /// [`NetworkError::Host`] if a step contradicts the network.
    pub fn result_types(&self) -> Result<Vec<(String, Vec<usize>, HostType)>, NetworkError> {
        let forms = self.forms()?;
        let result = |output: &GraphOutput| {
            let form = forms.get(output.value.0 as usize);
            let form = form.ok_or_else(|| NetworkError::Host {
                step: output.name.clone(),
                fault: HostFault::Operand,
            })?;
            Ok((output.name.clone(), form.shape.clone(), form.host_type))
        };
        self.results.iter().map(result).collect()
    }

    /// How many classes the first output of the file tells apart in one image: as many as it has values, or, where it is
    /// the place of one of them, as many as it is chosen from. None if it says more of an image than one class.
    ///
    /// # Errors
    /// As [`Network::result_types`].
    pub fn n_classes(&self) -> Result<Option<usize>, NetworkError> {
        let forms = self.forms()?;
        let Some(output) = self.results.first() else {
            return Ok(None);
        };
        let mut id = output.value;
        while let Some(step) = self.host_steps.get(id.0 as usize) {
            let form = &forms[id.0 as usize];
            let is_line = form.shape.iter().filter(|&&size| size != 1).count() <= 1;
            if !is_line {
                return Ok(None);
            }
            if form.host_type != HostType::Int64 {
                return Ok(Some(form.shape.iter().product()));
            }
            // A place is the result of one step, which others may give another shape.
            let from = *step.inputs.first().unwrap_or(&id);
            match step.operator {
                HostOperator::ArgMax { axis, .. } if form.shape.iter().all(|&size| size == 1) => {
                    let form = forms.get(from.0 as usize);
                    return Ok(form.map(|form| form.shape[axis]));
                }
                HostOperator::Arrange(_) if from < id => id = from,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Shape and type of what each step gives. Nothing is computed, for a small file may state large tensors.
    fn forms(&self) -> Result<Vec<Form>, NetworkError> {
        let mut forms: Vec<Form> = Vec::with_capacity(self.host_steps.len());
        for step in &self.host_steps {
            let operands = step.inputs.iter().map(|id| forms.get(id.0 as usize));
            let operands: Option<Vec<&Form>> = operands.collect();
            let form = match (&step.operator, operands.as_deref()) {
                (HostOperator::Read(id), Some([])) if self.outputs.contains(id) => Ok(Form {
                    shape: self.tensor(*id).shape().to_vec(),
                    host_type: HostType::Int8,
                }),
                (HostOperator::Add, Some([a, b])) => match a.reals().and(b.reals()) {
                    Ok(()) if a.shape != b.shape => Err(HostFault::Shape),
                    checked => checked.map(|()| (*a).clone()),
                },
                (operator, Some([x])) => self.form(operator, x),
                _ => Err(HostFault::Operand),
            };
            forms.push(form.map_err(|fault| NetworkError::Host {
                step: step.name.clone(),
                fault,
            })?);
        }
        Ok(forms)
    }

    /// What an operator with one operand gives.
    fn form(&self, operator: &HostOperator, x: &Form) -> Result<Form, HostFault> {
        let of_type = |host_type| Form {
            shape: x.shape.clone(),
            host_type,
        };
        Ok(match operator {
            HostOperator::Read(_) | HostOperator::Add => return Err(HostFault::Operand),
            HostOperator::Mean { axis, end } => {
                x.reals()?;
                check_line(&x.shape, *axis, *end)?;
                let mut form = x.clone();
                form.shape[*axis..*end].fill(1);
                form
            }
            HostOperator::Arrange(arrangement) => {
                arrangement.check(product(x.shape.iter().copied()))?;
                Form {
                    shape: arrangement.shape.clone(),
                    host_type: x.host_type,
                }
            }
            HostOperator::Rebase => {
                x.expect(&[HostType::Int8])?;
                of_type(HostType::Uint8)
            }
            HostOperator::Dequantise { .. } => {
                x.expect(&[HostType::Int8, HostType::Uint8])?;
                of_type(HostType::Float32)
            }
            HostOperator::Quantise { .. } => {
                x.reals()?;
                of_type(HostType::Int8)
            }
            HostOperator::Lookup(results) => {
                x.expect(&[HostType::Int8])?;
                if results.len() != table_values().count() {
                    return Err(HostFault::Shape);
                }
                of_type(HostType::Float32)
            }
            HostOperator::Conv(op) => {
                x.expect(&[HostType::Int8])?;
                self.check_conv(op, &x.shape)?;
                Form {
                    shape: op.output.to_vec(),
                    host_type: HostType::Float32,
                }
            }
            HostOperator::Softmax { axis, end, .. } => {
                x.reals()?;
                check_line(&x.shape, *axis, *end)?;
                x.clone()
            }
            HostOperator::QuantisedSoftmax { axis, end, .. } => {
                x.expect(&[HostType::Int8, HostType::Uint8])?;
                check_line(&x.shape, *axis, *end)?;
                x.clone()
            }
            HostOperator::ArgMax { axis, .. } => {
                x.expect(&[HostType::Float32, HostType::Int8, HostType::Uint8])?;
                check_line(&x.shape, *axis, axis.saturating_add(1))?;
                let mut form = of_type(HostType::Int64);
                form.shape[*axis] = 1;
                form
            }
        })
    }

    /// Computes the outputs of the file, by name, from the device's `outputs` of each image of one batch.
    ///
    /// `images` has [`Network::batch`] entries, each in the order of [`Network::outputs`]. Images follow each other along
    /// the first axis of a result.
    ///
    /// # Errors
    /// [`NetworkError::Host`] if a step contradicts the network, [`NetworkError::Boundary`] if values do not fit.
    pub fn results(
        &self,
        images: &[Vec<Vec<i8>>],
    ) -> Result<Vec<(String, HostTensor)>, NetworkError> {
        let mut joined: Vec<(String, HostTensor)> = Vec::new();
        for outputs in images {
            for (i, (name, tensor)) in self.results_of(outputs)?.into_iter().enumerate() {
                match joined.get_mut(i) {
                    None => joined.push((name, tensor)),
                    Some((_, whole)) => {
                        whole.shape[0] += tensor.shape[0];
                        whole.values.append(tensor.values);
                    }
                }
            }
        }
        Ok(joined)
    }

    /// The outputs of the file for one image.
    fn results_of(&self, outputs: &[Vec<i8>]) -> Result<Vec<(String, HostTensor)>, NetworkError> {
        let mut values: Vec<Held> = Vec::with_capacity(self.host_steps.len());
        for step in &self.host_steps {
            let fault = |fault| NetworkError::Host {
                step: step.name.clone(),
                fault,
            };
            let operands = step.inputs.iter().map(|id| values.get(id.0 as usize));
            let operands: Option<Vec<&Held>> = operands.collect();
            let value = match (&step.operator, operands.as_deref()) {
                (HostOperator::Read(id), Some([])) => self.read_output(*id, outputs)?,
                (HostOperator::Add, Some([a, b])) => add(a, b).map_err(fault)?,
                (operator, Some([x])) => self.host_value(operator, x).map_err(fault)?,
                _ => return Err(fault(HostFault::Operand)),
            };
            values.push(value);
        }
        let result = |output: &GraphOutput| {
            let value = values.get(output.value.0 as usize);
            let value = value.ok_or_else(|| NetworkError::Host {
                step: output.name.clone(),
                fault: HostFault::Operand,
            })?;
            Ok((output.name.clone(), value.rounded()))
        };
        self.results.iter().map(result).collect()
    }

    fn read_output(&self, id: TensorId, outputs: &[Vec<i8>]) -> Result<Held, NetworkError> {
        let at = self.outputs.iter().position(|output| *output == id);
        let values = at.and_then(|at| outputs.get(at));
        let tensor = self.tensor(id);
        match values {
            Some(values) if values.len() == tensor.n_values() => Ok(Held {
                shape: tensor.shape().to_vec(),
                values: HeldValues::Int8(values.clone()),
            }),
            _ => Err(NetworkError::Boundary {
                tensor: tensor.name.clone(),
                expected: format!("{} int8 values", tensor.n_values()),
                given: values.map_or(0, Vec::len).to_string(),
            }),
        }
    }

    fn host_value(&self, operator: &HostOperator, x: &Held) -> Result<Held, HostFault> {
        let like = |values| Held {
            shape: x.shape.clone(),
            values,
        };
        Ok(match operator {
            HostOperator::Read(_) | HostOperator::Add => return Err(HostFault::Operand),
            HostOperator::Mean { axis, end } => {
                let values = x.reals()?;
                let mean = |line: Vec<usize>| {
                    let sum: f64 = line.iter().map(|&i| values[i]).sum();
                    sum / line.len() as f64
                };
                let means = lines(&x.shape, *axis, *end)?
                    .into_iter()
                    .map(mean)
                    .collect();
                let mut shape = x.shape.clone();
                shape[*axis..*end].fill(1);
                Held {
                    shape,
                    values: HeldValues::Real(means),
                }
            }
            HostOperator::Arrange(arrangement) => arrangement.apply(x)?,
            HostOperator::Rebase => {
                let rebased = x.int8()?.iter().map(|&value| value.cast_unsigned() ^ 0x80);
                like(HeldValues::Uint8(rebased.collect()))
            }
            HostOperator::Dequantise { scale, zero_point } => {
                let real =
                    |value: i32| (f64::from(value) - f64::from(*zero_point)) * f64::from(*scale);
                like(HeldValues::Real(match &x.values {
                    HeldValues::Int8(values) => values.iter().map(|&v| real(v.into())).collect(),
                    HeldValues::Uint8(values) => values.iter().map(|&v| real(v.into())).collect(),
                    _ => return Err(HostFault::Type),
                }))
            }
            HostOperator::Quantise { scale, zero_point } => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "beyond int64 it stays at the end, and is clamped"
                )]
                let code = |&real: &f64| {
                    let steps = (real / f64::from(*scale)).round_ties_even();
                    Clamp::FULL.apply((steps as i64).saturating_add(i64::from(*zero_point)))
                };
                like(HeldValues::Int8(x.reals()?.iter().map(code).collect()))
            }
            HostOperator::Lookup(results) => {
                let result = |&value: &i8| results.get(table_index(value)).copied();
                let values: Option<Vec<f64>> = x.int8()?.iter().map(result).collect();
                like(HeldValues::Real(values.ok_or(HostFault::Shape)?))
            }
            HostOperator::Conv(op) => self.float_conv(op, x)?,
            HostOperator::Softmax { axis, end, log } => {
                let mut values = x.reals()?.to_vec();
                for line in lines(&x.shape, *axis, *end)? {
                    softmax(&mut values, &line, *log);
                }
                like(HeldValues::Real(values))
            }
            HostOperator::QuantisedSoftmax {
                axis,
                end,
                x_scale,
                y_scale,
                y_zero_point,
            } => {
                let (bytes, signed) = match &x.values {
                    HeldValues::Int8(values) => {
                        (values.iter().map(|&v| v.cast_unsigned()).collect(), true)
                    }
                    HeldValues::Uint8(values) => (values.clone(), false),
                    _ => return Err(HostFault::Type),
                };
                let mut bytes: Vec<u8> = bytes;
                for line in lines(&x.shape, *axis, *end)? {
                    let rule = QuantisedSoftmax {
                        x_scale: *x_scale,
                        y_scale: *y_scale,
                        y_zero_point: *y_zero_point,
                        signed,
                    };
                    rule.apply(&mut bytes, &line);
                }
                like(if signed {
                    HeldValues::Int8(bytes.iter().map(|&v| v.cast_signed()).collect())
                } else {
                    HeldValues::Uint8(bytes)
                })
            }
            HostOperator::ArgMax {
                axis,
                last,
                smallest,
            } => {
                let sign = if *smallest { -1.0 } else { 1.0 };
                let values: Vec<f64> = match &x.values {
                    HeldValues::Real(values) => values.iter().map(|&v| v * sign).collect(),
                    HeldValues::Int8(values) => {
                        values.iter().map(|&v| f64::from(v) * sign).collect()
                    }
                    HeldValues::Uint8(values) => {
                        values.iter().map(|&v| f64::from(v) * sign).collect()
                    }
                    HeldValues::Int64(_) => return Err(HostFault::Type),
                };
                let best = |line: Vec<usize>| {
                    let mut best = 0;
                    for (i, &at) in line.iter().enumerate() {
                        let (value, most) = (values[at], values[line[best]]);
                        if value > most || (*last && value == most) {
                            best = i;
                        }
                    }
                    best.fit::<i64>()
                };
                let positions = lines(&x.shape, *axis, axis.saturating_add(1))?
                    .into_iter()
                    .map(best);
                let mut shape = x.shape.clone();
                shape[*axis] = 1;
                Held {
                    shape,
                    values: HeldValues::Int64(positions.collect()),
                }
            }
        })
    }

    /// The tensor that a convolution reads, if it fits.
    fn check_conv(&self, op: &FloatConv, x: &[usize]) -> Result<&super::Tensor, HostFault> {
        let tensor = self
            .tensors
            .get(op.input.index())
            .ok_or(HostFault::Operand)?;
        let shape = op.conv.output_shape(tensor.shape());
        let n_channels = [op.scales.len(), op.bias.len()];
        let is_range = op.range.0 <= op.range.1;
        let fits = shape == Ok(op.output) && n_channels == [op.output[0]; 2] && is_range;
        if !fits || x != tensor.shape() {
            return Err(HostFault::Shape);
        }
        Ok(tensor)
    }

    fn float_conv(&self, op: &FloatConv, x: &Held) -> Result<Held, HostFault> {
        let tensor = self.check_conv(op, &x.shape)?;
        let [channels, height, width] = op.output;
        let input = Value {
            tensor,
            values: x.int8()?,
        };
        let output = super::Tensor {
            channels,
            height,
            width,
            ..tensor.clone()
        };
        let accumulators = op.conv.accumulators(input, &output);
        let real = |(i, &acc): (usize, &i32)| {
            let channel = i / (height * width);
            let value = f64::from(acc) * op.scales[channel] + op.bias[channel];
            value.clamp(op.range.0.into(), op.range.1.into())
        };
        Ok(Held {
            shape: op.output.to_vec(),
            values: HeldValues::Real(accumulators.iter().enumerate().map(real).collect()),
        })
    }
}

impl Held {
    fn int8(&self) -> Result<&[i8], HostFault> {
        match &self.values {
            HeldValues::Int8(values) => Ok(values),
            _ => Err(HostFault::Type),
        }
    }

    fn reals(&self) -> Result<&[f64], HostFault> {
        match &self.values {
            HeldValues::Real(values) => Ok(values),
            _ => Err(HostFault::Type),
        }
    }

    /// The same with real numbers rounded to f32.
    fn rounded(&self) -> HostTensor {
        HostTensor {
            shape: self.shape.clone(),
            values: match &self.values {
                HeldValues::Real(values) => {
                    #[expect(clippy::cast_possible_truncation, reason = "this is the rounding")]
                    let float = |&value: &f64| value as f32;
                    HostValues::Float32(values.iter().map(float).collect())
                }
                HeldValues::Int8(values) => HostValues::Int8(values.clone()),
                HeldValues::Uint8(values) => HostValues::Uint8(values.clone()),
                HeldValues::Int64(values) => HostValues::Int64(values.clone()),
            },
        }
    }
}

impl HeldValues {
    fn len(&self) -> usize {
        match self {
            HeldValues::Real(values) => values.len(),
            HeldValues::Int8(values) => values.len(),
            HeldValues::Uint8(values) => values.len(),
            HeldValues::Int64(values) => values.len(),
        }
    }

    /// The values at `positions`, which must be there.
    fn picked(&self, positions: &[usize]) -> HeldValues {
        fn pick<T: Copy>(values: &[T], positions: &[usize]) -> Vec<T> {
            positions.iter().map(|&i| values[i]).collect()
        }
        match self {
            HeldValues::Real(values) => HeldValues::Real(pick(values, positions)),
            HeldValues::Int8(values) => HeldValues::Int8(pick(values, positions)),
            HeldValues::Uint8(values) => HeldValues::Uint8(pick(values, positions)),
            HeldValues::Int64(values) => HeldValues::Int64(pick(values, positions)),
        }
    }
}

impl Arrangement {
    /// Whether it takes each of `n_values` to a place that is there.
    fn check(&self, n_values: Option<usize>) -> Result<(), HostFault> {
        let n_values = n_values.ok_or(HostFault::Shape)?;
        let last = self.digits.iter().try_fold(0_usize, |last, &(size, step)| {
            last.checked_add(size.checked_sub(1)?.checked_mul(step)?)
        });
        if product(self.shape.iter().copied()) != Some(n_values)
            || product(self.digits.iter().map(|digit| digit.0)) != Some(n_values)
            || last.is_none_or(|last| last >= n_values)
        {
            return Err(HostFault::Shape);
        }
        Ok(())
    }

    fn apply(&self, x: &Held) -> Result<Held, HostFault> {
        self.check(Some(x.values.len()))?;
        let positions = self
            .digits
            .iter()
            .fold(vec![0], |positions, &(size, step)| {
                let along = |start: usize| (0..size).map(move |i| start + i * step);
                positions.into_iter().flat_map(along).collect::<Vec<_>>()
            });
        Ok(Held {
            shape: self.shape.clone(),
            values: x.values.picked(&positions),
        })
    }
}

fn product(mut sizes: impl Iterator<Item = usize>) -> Option<usize> {
    sizes.try_fold(1_usize, |product, size| product.checked_mul(size))
}

fn check_line(shape: &[usize], axis: usize, end: usize) -> Result<(), HostFault> {
    if axis >= end || end > shape.len() {
        return Err(HostFault::Shape);
    }
    Ok(())
}

/// The indices of each line of a tensor of `shape` along the axes `axis..end`.
fn lines(shape: &[usize], axis: usize, end: usize) -> Result<Vec<Vec<usize>>, HostFault> {
    check_line(shape, axis, end)?;
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let (outer, along, inner) = (
        product(&shape[..axis]),
        product(&shape[axis..end]),
        product(&shape[end..]),
    );
    let line = |start: usize| (0..along).map(|i| start + i * inner).collect();
    let starts = (0..outer).flat_map(|o| (0..inner).map(move |i| o * along * inner + i));
    Ok(starts.map(line).collect())
}

fn add(a: &Held, b: &Held) -> Result<Held, HostFault> {
    if a.shape != b.shape {
        return Err(HostFault::Shape);
    }
    let sum = a.reals()?.iter().zip(b.reals()?).map(|(a, b)| a + b);
    Ok(Held {
        shape: a.shape.clone(),
        values: HeldValues::Real(sum.collect()),
    })
}

fn softmax(values: &mut [f64], line: &[usize], log: bool) {
    let largest = line
        .iter()
        .map(|&i| values[i])
        .fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = line.iter().map(|&i| libm::exp(values[i] - largest)).sum();
    for &i in line {
        let shifted = values[i] - largest;
        values[i] = if log {
            shifted - libm::log(sum)
        } else {
            libm::exp(shifted) / sum
        };
    }
}

/// Scales and type of onnxruntime's softmax of integers, which works with a table of 256 exponentials in f32.
///
/// The table is scaled so that a line of the largest entries adds up to e^-5 of what f32 holds, and the size of a step of
/// the result counts as one over a whole number.
///
/// # Source
/// onnxruntime, `QLinearSoftmax` (`contrib_ops/cpu/quantization/qlinear_softmax.cc`).
struct QuantisedSoftmax {
    x_scale: f32,
    y_scale: f32,
    y_zero_point: i32,
    signed: bool,
}

impl QuantisedSoftmax {
    fn apply(&self, bytes: &mut [u8], line: &[usize]) {
        const RESERVE: f32 = 5.0;
        let reach = libm::logf(f32::MAX / line.len() as f32) - RESERVE;
        let shift = f64::from((reach / self.x_scale).max(0.0));
        let x_scale = f64::from(self.x_scale);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "onnxruntime keeps these terms in f32"
        )]
        let exponential = |i: usize| libm::exp((i as f64 - 255.0 + shift) * x_scale) as f32;
        let flip = if self.signed { 0x80 } else { 0 };
        let largest = line.iter().map(|&i| bytes[i] ^ flip).max().unwrap_or(0);
        let raised = |byte: u8| exponential(usize::from((byte ^ flip) + (u8::MAX - largest)));
        let terms: Vec<f32> = line.iter().map(|&i| raised(bytes[i])).collect();
        let sum: f32 = terms.iter().sum();
        let steps = (1.0 / self.y_scale).floor();
        let (low, high) = if self.signed { (-128, 127) } else { (0, 255) };
        for (&i, term) in line.iter().zip(terms) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "beyond int64 it stays at the end, and is clamped"
            )]
            let step = (term * steps / sum).round_ties_even() as i64;
            let code = step
                .saturating_add(self.y_zero_point.into())
                .clamp(low, high);
            bytes[i] = (code & 0xff).fit::<u8>();
        }
    }
}
