//! The tensor types of GGML: number, name and size of a block.

/// A tensor type of GGML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorType {
    /// Its number in the file.
    pub id: u32,
    /// Its name in GGUF tools.
    pub name: &'static str,
    pub(super) block_weights: usize,
    block_bytes: usize,
}

/// Number, name, weights and bytes of a block, as the specification lists them.
const TENSOR_TYPES: [TensorType; 36] = {
    const fn t(id: u32, name: &'static str, block_weights: usize, block_bytes: usize) -> TensorType {
        TensorType { id, name, block_weights, block_bytes }
    }
    [
        t(0, "F32", 1, 4),
        t(1, "F16", 1, 2),
        t(2, "Q4_0", 32, 18),
        t(3, "Q4_1", 32, 20),
        t(6, "Q5_0", 32, 22),
        t(7, "Q5_1", 32, 24),
        t(8, "Q8_0", 32, 34),
        t(9, "Q8_1", 32, 36),
        t(10, "Q2_K", 256, 84),
        t(11, "Q3_K", 256, 110),
        t(12, "Q4_K", 256, 144),
        t(13, "Q5_K", 256, 176),
        t(14, "Q6_K", 256, 210),
        t(15, "Q8_K", 256, 292),
        t(16, "IQ2_XXS", 256, 66),
        t(17, "IQ2_XS", 256, 74),
        t(18, "IQ3_XXS", 256, 98),
        t(19, "IQ1_S", 256, 50),
        t(20, "IQ4_NL", 32, 18),
        t(21, "IQ3_S", 256, 110),
        t(22, "IQ2_S", 256, 82),
        t(23, "IQ4_XS", 256, 136),
        t(24, "I8", 1, 1),
        t(25, "I16", 1, 2),
        t(26, "I32", 1, 4),
        t(27, "I64", 1, 8),
        t(28, "F64", 1, 8),
        t(29, "IQ1_M", 256, 56),
        t(30, "BF16", 1, 2),
        t(31, "Q4_0_4_4", 32, 18),
        t(32, "Q4_0_4_8", 32, 18),
        t(33, "Q4_0_8_8", 32, 18),
        t(34, "TQ1_0", 256, 54),
        t(35, "TQ2_0", 256, 66),
        t(39, "MXFP4", 32, 17),
        t(40, "NVFP4", 64, 36),
    ]
};

impl TensorType {
    /// The type of that number in a file.
    pub fn of(id: u32) -> Option<TensorType> {
        TENSOR_TYPES.into_iter().find(|kind| kind.id == id)
    }

    /// The type of that name, in any case: `q4_K` is `Q4_K`.
    pub fn named(name: &str) -> Option<TensorType> {
        TENSOR_TYPES.into_iter().find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    /// The number of weights that a block holds; rows are whole blocks.
    pub fn block_weights(self) -> usize {
        self.block_weights
    }

    /// The bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.block_bytes
    }

    /// Bits a weight, scales included.
    pub fn bits(self) -> f64 {
        8.0 * self.block_bytes as f64 / self.block_weights as f64
    }

    /// Bytes of `weights` weights, if they fill whole blocks.
    pub fn bytes(self, weights: usize) -> Option<usize> {
        if !weights.is_multiple_of(self.block_weights) {
            return None;
        }
        (weights / self.block_weights).checked_mul(self.block_bytes)
    }
}
