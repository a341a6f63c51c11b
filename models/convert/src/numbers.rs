//! Numbers as the file stores them.

use half::{bf16, f16};

/// How the matrices of the file are stored. Vectors are always 32-bit floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float {
    /// 32-bit floats.
    F32,
    /// Half floats.
    F16,
    /// Brain floats, which have the range of 32-bit ones.
    Bf16,
}

impl Float {
    /// Its name among the types of GGUF.
    pub(crate) fn tensor_type(self) -> &'static str {
        match self {
            Float::F32 => "F32",
            Float::F16 => "F16",
            Float::Bf16 => "BF16",
        }
    }

    /// What `general.file_type` says of a file whose matrices are stored so.
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Float::F32 => 0,
            Float::F16 => 1,
            Float::Bf16 => 32,
        }
    }

    /// Appends numbers, rounded to the nearest; of two as near the even one. Returns the first that is too large.
    pub(crate) fn write(self, numbers: &[f32], to: &mut Vec<u8>) -> Option<f32> {
        match self {
            Float::F32 => to.extend(numbers.iter().flat_map(|x| x.to_le_bytes())),
            Float::Bf16 => to.extend(numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes())),
            Float::F16 => {
                for x in numbers {
                    let half = f16::from_f32(*x);
                    if half.is_infinite() {
                        return Some(*x);
                    }
                    to.extend(half.to_le_bytes());
                }
            }
        }
        None
    }
}
