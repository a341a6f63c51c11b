//! `[remote]`: the voice assistant's remote language model.

use std::path::PathBuf;
use std::time::Duration;

use nearfield_base::range::in_range;
use nearfield_stages::remote::{RemoteOptions, When};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A remote language model: any endpoint with OpenAI's chat completions. Off unless `when` says otherwise; where it does not answer, the
/// local model does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteConfig {
    // The text also stands in configurations, where a link's brackets would be read literally.
    #[allow(rustdoc::bare_urls)]
    /// Where, up to and without "/chat/completions", as in "http://server.local:8080/v1".
    pub url: String,
    /// The file that holds its key; empty: none.
    pub key_file: PathBuf,
    /// The model's name there.
    pub model: String,
    /// Which requests go there: "never"; "pass", those that are about nothing in the home, of which it then reads nothing; or
    /// "always", all that the sentence templates do not answer, with the home's state and tools. Sound never leaves the device.
    pub when: When,
    /// The longest wait for the first piece of an answer, and between two; then the local model answers.
    pub timeout_s: f64,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self { url: String::new(), key_file: PathBuf::new(), model: String::new(), when: When::Never, timeout_s: 6.0 }
    }
}

impl RemoteConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("timeout_s", self.timeout_s, 0.2..=120.0)?;
        if self.when == When::Never {
            return Ok(());
        }
        let (url, model) = (&self.url, &self.model);
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!(
                "url is {:?} but must begin with http:// or https:// where remote.when is not \"never\"",
                nearfield_base::redact::redacted(url)
            ));
        }
        if model.trim().is_empty() {
            return Err(format!("model is {model:?} but must name a model of the endpoint"));
        }
        Ok(())
    }

    /// The endpoint; `None` where nothing is to leave the device.
    pub fn options(&self) -> Option<RemoteOptions> {
        (self.when != When::Never).then(|| RemoteOptions {
            url: self.url.clone(),
            key_file: (!self.key_file.as_os_str().is_empty()).then(|| self.key_file.clone()),
            model: self.model.clone(),
            when: self.when,
            timeout: Duration::from_secs_f64(self.timeout_s),
        })
    }
}
