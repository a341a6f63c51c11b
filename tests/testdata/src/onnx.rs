//! Tiny ONNX files, written here: inputs and outputs of any shape, and what the outputs hold. They have the layout of real models and
//! none of their weights.

/// The types of tensors, by ONNX's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floats.
    F32 = 1,
    /// Bytes.
    U8 = 2,
    /// 64-bit integers.
    I64 = 7,
    /// 16-bit floats.
    F16 = 10,
}

/// A model whose outputs do not depend on its inputs.
#[derive(Clone, Debug, Default)]
pub struct TinyOnnx {
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
    nodes: Vec<Vec<u8>>,
    weights: Vec<Vec<u8>>,
    notes: Vec<Vec<u8>>,
}

impl TinyOnnx {
    /// A model with one input of floats.
    pub fn new(input: &str, shape: &[i64]) -> Self {
        Self::default().input(input, Kind::F32, shape)
    }

    /// Another input; a side of -1 is open.
    #[must_use]
    pub fn input(mut self, name: &str, kind: Kind, shape: &[i64]) -> Self {
        self.inputs.push(value_info(name, kind, shape));
        self
    }

    /// An output of floats.
    #[must_use]
    pub fn output(self, name: &str, shape: &[i64], data: &[f32]) -> Self {
        self.any_output(name, Kind::F32, shape, &data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// An output of whole numbers.
    #[must_use]
    pub fn whole_output(self, name: &str, shape: &[i64], data: &[i64]) -> Self {
        self.any_output(name, Kind::I64, shape, &data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }

    fn any_output(mut self, name: &str, kind: Kind, shape: &[i64], raw: &[u8]) -> Self {
        let weight = format!("{name}.weight");
        let mut tensor = Vec::new();
        for side in shape {
            varint_field(&mut tensor, 1, *side as u64);
        }
        varint_field(&mut tensor, 2, kind as u64);
        bytes_field(&mut tensor, 8, weight.as_bytes());
        bytes_field(&mut tensor, 9, raw);
        self.weights.push(tensor);
        let mut node = Vec::new();
        bytes_field(&mut node, 1, weight.as_bytes());
        bytes_field(&mut node, 2, name.as_bytes());
        bytes_field(&mut node, 4, b"Identity");
        self.nodes.push(node);
        self.outputs.push(value_info(name, kind, shape));
        self
    }

    /// A note, as exporters leave them.
    #[must_use]
    pub fn note(mut self, key: &str, value: &str) -> Self {
        let mut note = Vec::new();
        bytes_field(&mut note, 1, key.as_bytes());
        bytes_field(&mut note, 2, value.as_bytes());
        self.notes.push(note);
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut graph = Vec::new();
        self.nodes.iter().for_each(|node| bytes_field(&mut graph, 1, node));
        bytes_field(&mut graph, 2, b"tiny");
        self.weights.iter().for_each(|weight| bytes_field(&mut graph, 5, weight));
        self.inputs.iter().for_each(|input| bytes_field(&mut graph, 11, input));
        self.outputs.iter().for_each(|output| bytes_field(&mut graph, 12, output));
        let mut operators = Vec::new();
        varint_field(&mut operators, 2, 13);
        let mut model = Vec::new();
        varint_field(&mut model, 1, 8);
        bytes_field(&mut model, 7, &graph);
        bytes_field(&mut model, 8, &operators);
        self.notes.iter().for_each(|note| bytes_field(&mut model, 14, note));
        model
    }
}

fn value_info(name: &str, kind: Kind, shape: &[i64]) -> Vec<u8> {
    let mut sides = Vec::new();
    for side in shape {
        let mut dimension = Vec::new();
        match side {
            -1 => bytes_field(&mut dimension, 2, b"n"),
            _ => varint_field(&mut dimension, 1, *side as u64),
        }
        bytes_field(&mut sides, 1, &dimension);
    }
    let (mut tensor, mut holder, mut info) = (Vec::new(), Vec::new(), Vec::new());
    varint_field(&mut tensor, 1, kind as u64);
    bytes_field(&mut tensor, 2, &sides);
    bytes_field(&mut holder, 1, &tensor);
    bytes_field(&mut info, 1, name.as_bytes());
    bytes_field(&mut info, 2, &holder);
    info
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3);
    varint(out, value);
}

fn bytes_field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
