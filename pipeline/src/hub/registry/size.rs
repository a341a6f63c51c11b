//! How large models are, as people read it.

use std::fmt;

use indicatif::DecimalBytes;

/// The size of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In bytes.
    pub bytes: u64,
    /// Whether every file's size is known, not estimated.
    pub exact: bool,
}

impl Default for Size {
    fn default() -> Self {
        Self { bytes: 0, exact: true }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 && !self.exact {
            return f.write_str("size unknown");
        }
        let bytes = DecimalBytes(self.bytes);
        if self.exact {
            return write!(f, "{bytes}");
        }
        write!(f, "about {}", bytes.to_string().replace(".00 ", " ")) // an estimate has no hundredths
    }
}
