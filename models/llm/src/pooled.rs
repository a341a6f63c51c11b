//! The states of a language model's last layer, pooled: embeddings of models that were trained to make them.

use std::ops::ControlFlow;

use nearfield_kernels::{KvFormat, KvStore, Together};

use super::embedder::Pooling;
use super::forward::{Buffers, Part, Past, Place, states};
use super::states::States;
use super::{Llm, LlmError, TokenId};

/// Tokens that go through the model together.
const BLOCK: usize = 64;

impl Llm {
    /// The pooled states of a text, of at least one token: `[d_model]`; `None` when `go_on`, which is called between blocks, broke it
    /// off.
    pub(crate) fn pooled(
        &self,
        tokens: &[TokenId],
        pooling: Pooling,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, LlmError> {
        let capacity = tokens.len();
        let no_memory =
            || LlmError::Context { context_tokens: capacity, what: "there is not that much memory".to_owned() };
        let mut past = Past {
            store: KvStore::new(KvFormat::F16, &self.shape.stored, capacity).ok_or_else(no_memory)?,
            states: States::new(self.shape.state_len).ok_or_else(no_memory)?,
        };
        let (mut buffers, mut rows, mut first) = (Buffers::default(), Vec::new(), 0);
        for block in tokens.chunks(BLOCK) {
            if go_on().is_break() {
                return Ok(None);
            }
            let n = block.len();
            let wanted = match pooling {
                Pooling::Mean => n,
                Pooling::Cls => usize::from(first == 0) * n,
                Pooling::Last => usize::from(first + n == capacity),
            };
            buffers.tokens.clear();
            buffers.x.clear();
            buffers.look_up(self, block);
            let part = Part { past: &mut past, place: Place::of_text(first, capacity), n, wanted };
            rows.extend_from_slice(states(self, &mut [part], &mut buffers, Together::Fastest));
            first += n;
        }
        Ok(Some(pooling.pool(&rows, self.shape.d_model)))
    }
}
