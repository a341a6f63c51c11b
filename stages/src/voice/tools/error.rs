//! Why a toolbox can't be built from the configuration.

use super::{BUILT_IN, MAX_TIMEOUT_MS};

/// Why a toolbox cannot be built from the configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ToolboxError {
    /// A name that the model could not call.
    #[error("`tools.name` must be 1 to 64 letters, digits, `_` or `-`, but one is {name:?}")]
    Name {
        /// The name as configured.
        name: String,
    },
    /// A name used twice, or one of [`BUILT_IN`].
    #[error("there are two tools called {name:?}; give the one in `tools` another name ({built_in} are built in)", built_in = BUILT_IN.join(", "))]
    Duplicate {
        /// The name.
        name: String,
    },
    /// No program to run.
    #[error("the tool {name:?} has an empty `tools.command`; it must be a list that starts with a program")]
    NoCommand {
        /// The tool.
        name: String,
    },
    /// A time limit of nothing or of more than ten minutes.
    #[error("the tool {name:?} has `tools.timeout_ms` = {timeout_ms}; it must be 1 to {MAX_TIMEOUT_MS}")]
    Timeout {
        /// The tool.
        name: String,
        /// The value as configured.
        timeout_ms: u64,
    },
    /// `parameters` is not the schema of an object.
    #[error("the tool {name:?} has `tools.parameters` that are not a JSON schema of an object: {reason}")]
    Parameters {
        /// The tool.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Whether a tool may be called so, beside the others.
pub(super) fn check_name<'a>(
    name: &str,
    has_home: bool,
    mut others: impl Iterator<Item = &'a str>,
) -> Result<(), ToolboxError> {
    let name = name.to_owned();
    let callable = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(callable) {
        return Err(ToolboxError::Name { name });
    }
    let is_of_home = has_home && nearfield_home::tools::is_tool(&name);
    if BUILT_IN.contains(&name.as_str()) || is_of_home || others.any(|other| other == name) {
        return Err(ToolboxError::Duplicate { name });
    }
    Ok(())
}
