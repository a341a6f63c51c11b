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

/// Shape and elements of a tensor of numbers, whatever their type.
pub(crate) fn numbers(value: &ort::value::ValueRef<'_>) -> Option<(Vec<usize>, Vec<f32>)> {
    let sides = |shape: &ort::value::Shape| shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    if let Ok((shape, data)) = value.try_extract_tensor::<f32>() {
        return Some((sides(shape), data.to_vec()));
    }
    if let Ok((shape, data)) = value.try_extract_tensor::<i64>() {
        return Some((sides(shape), data.iter().map(|&v| v as f32).collect()));
    }
    if let Ok((shape, data)) = value.try_extract_tensor::<i32>() {
        return Some((sides(shape), data.iter().map(|&v| v as f32).collect()));
    }
    let (shape, data) = value.try_extract_tensor::<u8>().ok()?;
    Some((sides(shape), data.iter().map(|&v| f32::from(v)).collect()))
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
    pub(crate) fn of(outlet: &ort::value::Outlet) -> Self {
        use ort::value::TensorElementType as Kind;
        let element = match outlet.dtype().tensor_type() {
            Some(Kind::Float32) => Element::F32,
            Some(Kind::Float16) => Element::F16,
            Some(Kind::Uint8) => Element::U8,
            Some(Kind::Int64) => Element::I64,
            _ => Element::Other,
        };
        let shape = outlet.dtype().tensor_shape().map(|shape| shape.iter().map(|&n| usize::try_from(n).ok()).collect());
        Self { name: outlet.name().to_owned(), element, shape: shape.unwrap_or_default() }
    }

    /// The shape for people: `[1, 3, ?, ?]`.
    pub fn shape_text(&self) -> String {
        let sides = self.shape.iter().map(|side| side.map_or("?".to_owned(), |n| n.to_string()));
        format!("[{}]", sides.collect::<Vec<_>>().join(", "))
    }
}
