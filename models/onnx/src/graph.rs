//! The graph inside an ONNX file, read without a runtime: which node makes which tensor from which, and parts of it cut out as models of
//! their own. Weights are never looked at, only copied.
//!
//! ONNX files are protocol buffers (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>). Only the fields needed here are read; all
//! others are copied as they are. The reader is bounded by the file: it allocates nothing that a length in the file asks for.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// Subgraphs (bodies of `If` and `Loop`) within subgraphs; real models have two.
const DEEPEST: usize = 8;
/// A voice has some thousand nodes, a large language model some ten thousand.
const MOST_NODES: usize = 200_000;

/// Why a file's graph can't be read or cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The bytes are no ONNX model, or cut short.
    #[error("the graph is damaged at byte {offset}: {reason}")]
    Damaged {
        /// Where.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The graph has something that this reader does not handle.
    #[error("{0}")]
    Unsupported(String),
}

/// A graph; it borrows the file's bytes.
pub struct OnnxGraph<'a> {
    /// The model's fields beside its graph (versions, operator sets), with their tags.
    header: Vec<&'a [u8]>,
    nodes: Vec<Node<'a>>,
    /// Name -> the tensor's bytes.
    weights: HashMap<&'a str, &'a [u8]>,
    /// Name and description, in the file's order.
    inputs: Vec<(&'a str, &'a [u8])>,
    outputs: Vec<(&'a str, &'a [u8])>,
}

/// One operation.
#[derive(Clone)]
pub struct Node<'a> {
    raw: &'a [u8],
    /// Tensors it takes; empty names are inputs left out.
    pub inputs: Vec<&'a str>,
    /// Tensors it makes.
    pub outputs: Vec<&'a str>,
    /// Tensors that its subgraphs take from outside.
    captured: Vec<&'a str>,
    /// Such as `Conv`.
    pub operator: &'a str,
    attributes: Vec<&'a [u8]>,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} -> {:?}", self.operator, self.inputs, self.outputs)
    }
}

impl<'a> Node<'a> {
    /// The integers of an attribute, such as `strides`; empty where it is absent or of another kind.
    pub fn integers(&self, name: &str) -> Vec<i64> {
        let mut values = Vec::new();
        for attribute in &self.attributes {
            let fields: Vec<Field<'_>> = Fields::of(attribute).filter_map(Result::ok).collect();
            if !fields.iter().any(|f| f.number == 1 && f.bytes() == name.as_bytes()) {
                continue;
            }
            for field in fields {
                match (field.number, field.value) {
                    (3 | 8, Value::Varint(v)) => values.push(v as i64),
                    (8, Value::Bytes(packed)) => {
                        let mut reader = Fields { bytes: packed, offset: 0, whole: packed.len() };
                        while let Some(v) = reader.varint() {
                            values.push(v as i64);
                        }
                    }
                    _ => {}
                }
            }
        }
        values
    }

    fn parse(raw: &'a [u8], depth: usize) -> Result<Node<'a>, GraphError> {
        let mut node = Node {
            raw,
            inputs: Vec::new(),
            outputs: Vec::new(),
            captured: Vec::new(),
            operator: "",
            attributes: Vec::new(),
        };
        for field in Fields::of(raw) {
            let field = field?;
            match field.number {
                1 => node.inputs.push(field.text()?),
                2 => node.outputs.push(field.text()?),
                4 => node.operator = field.text()?,
                5 => node.attributes.push(field.bytes()),
                _ => {}
            }
        }
        for attribute in &node.attributes {
            for field in Fields::of(attribute) {
                let field = field?;
                // AttributeProto.g and .graphs
                if matches!(field.number, 6 | 11) {
                    captured(field.bytes(), depth, &mut node.captured)?;
                }
            }
        }
        Ok(node)
    }

    fn takes(&self) -> impl Iterator<Item = &'a str> {
        self.inputs.iter().chain(&self.captured).copied().filter(|name| !name.is_empty())
    }
}

/// All tensors that a subgraph's nodes take; those made within it do no harm.
fn captured<'a>(graph: &'a [u8], depth: usize, names: &mut Vec<&'a str>) -> Result<(), GraphError> {
    if depth >= DEEPEST {
        return Err(GraphError::Unsupported(format!("its subgraphs are nested deeper than {DEEPEST}")));
    }
    for field in Fields::of(graph) {
        let field = field?;
        match field.number {
            1 => names.extend(Node::parse(field.bytes(), depth + 1)?.takes()),
            // A subgraph may hand out a tensor from outside as it is.
            12 => names.push(name_in(field.bytes(), 1)?),
            _ => {}
        }
    }
    Ok(())
}

impl<'a> OnnxGraph<'a> {
    /// Reads the graph of an ONNX file.
    ///
    /// # Errors
    /// [`GraphError`] where the bytes are no ONNX model, or weights lie in other files.
    pub fn parse(bytes: &'a [u8]) -> Result<OnnxGraph<'a>, GraphError> {
        let mut found = OnnxGraph {
            header: Vec::new(),
            nodes: Vec::new(),
            weights: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let mut graph = None;
        for field in Fields::of(bytes) {
            let field = field?;
            match field.number {
                7 if graph.is_some() => return Err(GraphError::Unsupported("it holds two graphs".to_string())),
                7 => graph = Some(field.bytes()),
                _ => found.header.push(field.raw),
            }
        }
        let graph = graph.ok_or(GraphError::Damaged { offset: bytes.len(), reason: "it holds no graph" })?;
        for field in Fields::of(graph) {
            let field = field?;
            let bytes = field.bytes();
            match field.number {
                1 if found.nodes.len() >= MOST_NODES => {
                    return Err(GraphError::Unsupported(format!("it has more than {MOST_NODES} nodes")));
                }
                1 => found.nodes.push(Node::parse(bytes, 0)?),
                5 => {
                    for field in Fields::of(bytes) {
                        // TensorProto.data_location: EXTERNAL
                        if let Field { number: 14, value: Value::Varint(1), .. } = field? {
                            return Err(GraphError::Unsupported("its weights lie in another file".to_string()));
                        }
                    }
                    found.weights.insert(name_in(bytes, 8)?, bytes);
                }
                11 => found.inputs.push((name_in(bytes, 1)?, bytes)),
                12 => found.outputs.push((name_in(bytes, 1)?, bytes)),
                14 | 15 => {
                    return Err(GraphError::Unsupported("it has sparse or annotated weights".to_string()));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The operations, in the file's order, which is one in which they can be computed.
    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The node that makes a tensor; `None` for inputs and weights.
    pub fn maker(&self, tensor: &str) -> Option<&Node<'a>> {
        self.nodes.iter().find(|node| node.outputs.contains(&tensor))
    }

    /// Whether a tensor is one of the file's weights.
    pub fn is_weight(&self, tensor: &str) -> bool {
        self.weights.contains_key(tensor)
    }

    /// The part of the graph that makes `output` from the float tensors `cut` and the inputs of the whole, as an ONNX file; and the
    /// names of the inputs that it takes of the whole.
    ///
    /// # Errors
    /// [`GraphError::Unsupported`] where no node makes `output`, or one of the tensors needed.
    pub fn part(&self, cut: &[&str], output: &str) -> Result<(Vec<u8>, Vec<&'a str>), GraphError> {
        let makers: HashMap<&str, usize> =
            self.nodes.iter().enumerate().flat_map(|(i, n)| n.outputs.iter().map(move |o| (*o, i))).collect();
        let (mut nodes, mut weights, mut inputs) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut wanted: Vec<&str> = vec![output];
        let mut seen: HashSet<&str> = cut.iter().copied().collect();
        while let Some(tensor) = wanted.pop() {
            if !seen.insert(tensor) {
                continue;
            }
            if let Some(&maker) = makers.get(tensor) {
                if nodes.insert(maker) {
                    wanted.extend(self.nodes[maker].takes());
                }
            } else if let Some((weight, _)) = self.weights.get_key_value(tensor) {
                weights.insert(*weight);
            } else if let Some((input, _)) = self.inputs.iter().find(|(name, _)| *name == tensor) {
                inputs.insert(*input);
            } else if self.nodes.iter().all(|n| !n.captured.contains(&tensor)) {
                let name: String = tensor.chars().take(100).collect();
                return Err(GraphError::Unsupported(format!("nothing makes the tensor {name:?}")));
            }
        }
        let mut graph = Vec::new();
        for (_, node) in self.nodes.iter().enumerate().filter(|(i, _)| nodes.contains(i)) {
            put(&mut graph, 1, node.raw);
        }
        put(&mut graph, 2, b"part");
        // The file's order, so that the same file gives the same part.
        let mut kept: Vec<&str> = weights.into_iter().collect();
        kept.sort_unstable();
        for name in kept {
            put(&mut graph, 5, self.weights[name]);
        }
        let taken: Vec<&'a str> =
            self.inputs.iter().map(|(name, _)| *name).filter(|name| inputs.contains(name)).collect();
        for (_, raw) in self.inputs.iter().filter(|(name, _)| inputs.contains(name)) {
            put(&mut graph, 11, raw);
        }
        for name in cut {
            put(&mut graph, 11, &float_tensor(name));
        }
        match self.outputs.iter().find(|(name, _)| *name == output) {
            Some((_, raw)) => put(&mut graph, 12, raw),
            None => put(&mut graph, 12, &float_tensor(output)),
        }
        let mut model: Vec<u8> = self.header.concat();
        put(&mut model, 7, &graph);
        Ok((model, taken))
    }
}

/// A `ValueInfoProto` of a float tensor of any shape.
fn float_tensor(name: &str) -> Vec<u8> {
    let (mut kind, mut info) = (Vec::new(), Vec::new());
    put(&mut kind, 1, &[1 << 3, 1]); // tensor_type with elem_type FLOAT
    put(&mut info, 1, name.as_bytes());
    put(&mut info, 2, &kind);
    info
}

/// Appends a field of bytes.
fn put(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn name_in(message: &[u8], number: u32) -> Result<&str, GraphError> {
    for field in Fields::of(message) {
        let field = field?;
        if field.number == number {
            return field.text();
        }
    }
    Ok("")
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

#[derive(Clone, Copy)]
struct Field<'a> {
    number: u32,
    value: Value<'a>,
    /// With its tag.
    raw: &'a [u8],
    offset: usize,
}

impl<'a> Field<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self.value {
            Value::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    fn text(&self) -> Result<&'a str, GraphError> {
        std::str::from_utf8(self.bytes())
            .map_err(|_| GraphError::Damaged { offset: self.offset, reason: "a name is not UTF-8" })
    }
}

/// The fields of a message.
struct Fields<'a> {
    bytes: &'a [u8],
    offset: usize,
    whole: usize,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes, offset: 0, whole: bytes.len() }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.offset)?;
            self.offset += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], &'static str> {
        let end = self.offset.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or("a field is longer than the file")?;
        let bytes = &self.bytes[self.offset..end];
        self.offset = end;
        Ok(bytes)
    }

    fn field(&mut self) -> Result<Field<'a>, &'static str> {
        let begin = self.offset;
        let tag = self.varint().ok_or("a field's tag is cut short")?;
        let number = u32::try_from(tag >> 3).map_err(|_| "a field's number is too large")?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint().ok_or("a number is cut short")?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint().and_then(|n| usize::try_from(n).ok()).ok_or("a length is cut short")?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err("a field has an unknown kind"),
        };
        Ok(Field { number, value, raw: &self.bytes[begin..self.offset], offset: begin })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, GraphError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.whole {
            return None;
        }
        let begin = self.offset;
        let field = self.field().map_err(|reason| GraphError::Damaged { offset: begin, reason });
        if field.is_err() {
            self.offset = self.whole;
        }
        Some(field)
    }
}
