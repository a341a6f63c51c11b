//! What goes into a model and comes out: tensors of numbers, and what a file declares of them.

/// An input tensor: its shape, and its elements row-major.
#[derive(Clone, Copy, Debug)]
pub enum OnnxInput<'a> {
    /// Floats.
    F32(&'a [usize], &'a [f32]),
    /// Integers.
    I64(&'a [usize], &'a [i64]),
    /// Bytes, as models that take pictures without any scaling have them.
    U8(&'a [usize], &'a [u8]),
}

/// An output tensor of floats; whole numbers are given as floats.
#[derive(Clone, Debug)]
pub struct OnnxOutput {
    /// Its name in the model.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: Vec<f32>,
}

/// The type of a tensor's elements, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Bytes.
    U8,
    /// 64-bit integers.
    I64,
    /// Anything else.
    Other,
}

/// An input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub element: Element,
    /// Its sides; `None` where the file leaves one open.
    pub shape: Vec<Option<usize>>,
}

impl TensorInfo {
    /// The shape for people: `[1, 3, ?, ?]`.
    pub fn shape_text(&self) -> String {
        let sides = self.shape.iter().map(|side| side.map_or("?".to_owned(), |n| n.to_string()));
        format!("[{}]", sides.collect::<Vec<_>>().join(", "))
    }
}
