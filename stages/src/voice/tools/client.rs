//! Tools that somebody else runs: the client of a connection, which is told of each call and sends its result.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::Value;

use super::CallError;

/// Has a call run elsewhere.
pub trait ToolRunner: Debug + Send + Sync {
    /// Waits for the result; not for long once `stop` says so.
    ///
    /// # Errors
    /// Why there is none, as the end of a sentence about it.
    fn run(&self, name: &str, arguments: &Value, stop: &dyn Fn() -> bool) -> Result<Value, String>;
}

/// A tool that the client of a connection runs.
#[derive(Clone, Debug)]
pub struct ClientTool {
    /// The name that the model calls it by: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does and when to call it, for the model.
    pub description: String,
    /// The JSON schema of the arguments; `{}` for none.
    pub parameters: Value,
    /// Who has it run.
    pub runner: Arc<dyn ToolRunner>,
}

pub(super) fn run(tool: &ClientTool, arguments: &Value, stop: &dyn Fn() -> bool) -> Result<Value, CallError> {
    let failed = |reason| CallError::Failed { what: format!("use the tool {}", tool.name), reason };
    tool.runner.run(&tool.name, arguments, stop).map_err(failed)
}
