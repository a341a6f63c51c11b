//! Quantized language models on CPUs: weights from a GGUF file ([`Llm`]), state apart from them ([`Session`]), the tokenizer and the chat
//! template that the file carries, sampling, constraints, and generation.
//!
//! ```
//! use nearfield_llm::*;
//! use std::ops::ControlFlow::Continue;
//!
//! let llm = Llm::open("../../assets/models/talk-nano.gguf".as_ref(), &LlmOptions::default())?;
//! let mut session = Session::new(llm.clone(), &SessionOptions { context_tokens: 512, ..SessionOptions::default() })?;
//! let system = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.";
//! let messages = [Message::new(Role::System, system), Message::new(Role::User, "Good morning!")];
//! let prompt = llm.template()?.render(&messages, &[], true)?;
//! session.prompt(&llm.tokenizer()?.encode_prompt(&prompt), &mut || Continue(()))?;
//! let (mut sampler, options) = (Sampler::new(&SamplerOptions::default()), GenerateOptions::default());
//! let generated = generate(&mut session, &mut sampler, &options, &mut |piece| { print!("{piece}"); Continue(()) })?;
//! # assert!(!generated.text.is_empty());
//! # Ok::<(), LlmError>(())
//! ```
//!
//! [`Chat`] adds tools, in the model's own dialect; the examples `chat`, `tool_call` and `constrained_json` go on from here. Absent on
//! purpose: running tools, clocks, and threads except for the compute pool of the kernels, which is created here
//! because it belongs to the weights and is shared by their sessions.

mod architecture;
mod batch;
mod chat;
mod constraint;
mod dialect;
mod embedder;
mod encoder;
mod error;
mod experts;
mod family;
mod forward;
mod generate;
mod layer_inputs;
mod layout;
mod likelihood;
mod logit_bias;
mod lookup;
mod measure;
mod observe;
mod pooled;
mod positions;
mod recurrent;
mod repetition;
mod sampler;
mod session;
mod session_file;
mod shared_run;
mod states;
mod streams;
mod template;
mod template_abilities;
mod template_limits;
mod tensors;
mod tokenizer;
mod vision;
mod weights;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use nearfield_kernels::{Level, Pool};
use serde::{Deserialize, Serialize};

pub use batch::Batch;
pub use chat::{Chat, ChatOptions, ForcedCall};
pub use constraint::{Constrained, Constraint};
pub use dialect::{
    Dialect, Example, LazyConstraint, MAX_CALL_BYTES, MAX_CALLS, ParsedReply, ReplyParser, ToolCall, ToolSchema,
    Trigger,
};
pub use embedder::{Embedder, Pooling};
pub use error::LlmError;
pub use generate::{Finish, GenerateOptions, Generated, Generation, ThoughtLimit, Unread, generate};
pub use likelihood::Likelihood;
pub use logit_bias::LogitBias;
pub use measure::{MeasureOptions, Measured, measure, median, read_bandwidth};
pub use observe::{InputObserver, InputProducts, InputSquares, MatrixPart, MatrixSource, Products, Squares};
pub use sampler::{Sampler, SamplerOptions};
pub use session::{CacheType, Prefill, Session, SessionOptions};
pub use template::{ChatTemplate, Thinking};
pub use tokenizer::{Detokenizer, Tokenizer};
pub use vision::{PicturePrompt, PictureSpan, RgbPicture, VisionInfo, VisionTower};

use architecture::Shape;
#[cfg(feature = "grammar")]
use constraint::Grammars;
use nearfield_gguf::Gguf;
use weights::Weights;

/// The number of a token in its model's vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub u32);

impl TokenId {
    /// Stands in a session's tokens for an appended embedding, which is no token. No prompt can match it.
    pub const EMBEDDING: TokenId = TokenId(u32::MAX);
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The frame of the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said; a tool call is part of the text, in the form that the model was trained on.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message { role, content: content.into() }
    }
}

/// How a model is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LlmOptions {
    /// Threads that compute; 0 takes one for each physical core, at most four.
    pub threads: usize,
}

/// What a model says about itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LlmInfo {
    /// `general.name`, or the file's name.
    pub name: String,
    /// `llama`, `qwen2`, ...
    pub architecture: String,
    /// How many weights.
    pub parameters: u64,
    /// Tokens that it was trained to see at once.
    pub context_length: usize,
    /// The type of most of its weights.
    pub quantization: String,
    /// What the file says it was quantized to, as llama.cpp calls it: `Q4_K_M`.
    pub file_type: Option<&'static str>,
    /// Tokens in its vocabulary.
    pub vocab_size: usize,
    /// Numbers in an embedding.
    pub d_model: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// The file's length.
    pub file_bytes: u64,
    /// Bytes of weights read for each token that is written.
    pub bytes_per_token: u64,
    /// True when the file carries a vocabulary.
    pub has_vocabulary: bool,
    /// True when the file carries a chat template; otherwise ChatML is assumed where the vocabulary has its marks.
    pub has_chat_template: bool,
    /// How it writes tool calls; `None` for a model that only continues text.
    pub dialect: Option<Dialect>,
    /// Whether it can think before it answers.
    pub thinks: bool,
    /// The instructions that the kernels use.
    pub simd: String,
}

impl LlmInfo {
    /// What the file is called by its type: `Q4_K_M`, though most of its weights may be of another.
    pub fn type_name(&self) -> &str {
        self.file_type.unwrap_or(&self.quantization)
    }
}

/// A model: weights, vocabulary, template. Loaded once, never changed, shared by its sessions.
#[derive(Debug)]
pub struct Llm {
    gguf: Gguf,
    shape: Shape,
    weights: Weights,
    tokenizer: Option<Tokenizer>,
    template: Option<ChatTemplate>,
    stop_text: Option<String>,
    /// Made when the first constraint comes.
    #[cfg(feature = "grammar")]
    grammars: std::sync::Mutex<Option<Grammars>>,
    identity: OnceLock<[u8; 32]>,
    info: LlmInfo,
    level: Level,
    pool: Pool,
}

impl Llm {
    /// Opens a model. Its weights stay in the file, mapped into memory, but for those that the kernels of this processor want
    /// laid out otherwise: they are copied, once.
    ///
    /// # Errors
    /// The file cannot be read, is broken or another kind of file, or its architecture, a tensor's type, its tokenizer or its
    /// template is not supported.
    pub fn open(path: &Path, options: &LlmOptions) -> Result<Arc<Llm>, LlmError> {
        Self::read(path, options, true).map(Arc::new)
    }

    /// What a model says about itself, without what takes time: no weight is read.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn info_of(path: &Path) -> Result<LlmInfo, LlmError> {
        Ok(Self::read(path, &LlmOptions { threads: 1 }, false)?.info)
    }

    fn read(path: &Path, options: &LlmOptions, lays_out: bool) -> Result<Llm, LlmError> {
        let level = Level::detect()?;
        let mut gguf = Gguf::open(path)?;
        let shape = Shape::of(&gguf)?;
        let mut tokenizer = Tokenizer::of(&gguf)?;
        let (mut template, mut stop_text) = (None, None);
        if let Some(tokenizer) = &mut tokenizer {
            tokenizer.show(dialect::visible_marks());
            template = ChatTemplate::of(&gguf, tokenizer)?;
            if let Some(template) = &template {
                stop_text = tokenizer.end_at(template.turn_end(), template.dialect());
            }
        }
        // The vocabulary is ours now, and what it was built from is given back before the weights take memory.
        gguf.drop_arrays("tokenizer.");
        nearfield_base::memory::give_back();
        let pool = Pool::new(NonZeroUsize::new(options.threads));
        let mut weights = Weights::of(&gguf, &shape)?;
        if lays_out {
            weights.lay_out(&gguf, level, &pool)?;
        }
        let file_name = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let info = LlmInfo {
            name: gguf.text("general.name")?.map_or_else(file_name, str::to_owned),
            architecture: shape.family.name.to_owned(),
            parameters: gguf
                .tensors()
                .values()
                .map(|tensor| tensor.dims.iter().map(|dim| *dim as u64).product::<u64>())
                .sum(),
            context_length: shape.context_length,
            quantization: most_common_type(&gguf),
            file_type: gguf.integer("general.file_type", 0, 1024).ok().flatten().and_then(file_type),
            vocab_size: shape.n_vocab,
            d_model: shape.d_model,
            layers: shape.layers.len(),
            file_bytes: gguf.file_bytes(),
            bytes_per_token: weights.bytes_per_token(shape.experts.as_ref()) as u64,
            has_vocabulary: tokenizer.is_some(),
            has_chat_template: template.as_ref().is_some_and(|template| !template.is_assumed()),
            dialect: template.as_ref().map(ChatTemplate::dialect),
            thinks: template.as_ref().is_some_and(ChatTemplate::thinks),
            simd: level.name().to_owned(),
        };
        Ok(Llm {
            gguf,
            shape,
            weights,
            tokenizer,
            template,
            stop_text,
            #[cfg(feature = "grammar")]
            grammars: Default::default(),
            identity: OnceLock::new(),
            info,
            level,
            pool,
        })
    }

    /// What the model says about itself.
    pub fn info(&self) -> &LlmInfo {
        &self.info
    }

    /// The vocabulary.
    ///
    /// # Errors
    /// The file carries none.
    pub fn tokenizer(&self) -> Result<&Tokenizer, LlmError> {
        self.tokenizer.as_ref().ok_or_else(|| LlmError::NoVocabulary { path: self.gguf.path().to_owned() })
    }

    /// The chat template.
    ///
    /// # Errors
    /// The file carries no vocabulary, without which a template is of no use; or no template, as models that were not trained to
    /// answer.
    pub fn template(&self) -> Result<&ChatTemplate, LlmError> {
        self.tokenizer()?;
        self.template.as_ref().ok_or_else(|| LlmError::NoTemplate { path: self.gguf.path().to_owned() })
    }

    /// Whether the model was trained on Nearfield's own tools, so that it needs no list of them.
    pub fn knows_tools(&self) -> bool {
        matches!(self.gguf.value("general.tags"), Some(nearfield_gguf::Value::Texts(tags)) if tags.iter().any(|tag| tag == "nearfield"))
    }

    /// Plain text that ends a reply, in a template without special tokens.
    fn stop_text(&self) -> Option<&str> {
        self.stop_text.as_deref()
    }

    /// Checks that a constraint can be followed, and compiles it, which a later text then need not do.
    ///
    /// # Errors
    /// It makes no sense, or the model carries no vocabulary.
    pub fn check_constraint(&self, constraint: &Constraint) -> Result<(), LlmError> {
        let constrained = Constrained { constraint: constraint.clone(), after: None };
        constraint::Guide::new(self, Some(&constrained), &[]).map(|_| ())
    }

    /// What tells this model from others.
    fn identity(&self) -> [u8; 32] {
        *self.identity.get_or_init(|| session_file::identity(&self.gguf))
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Changes how many threads compute, from the next product on.
    pub fn set_threads(&self, threads: usize) {
        self.pool.set_threads(threads);
    }

    /// Whether tokens have a row and a column besides their place in a row, as pictures of Qwen-VL have.
    pub fn places_pictures(&self) -> bool {
        self.shape.sections.is_some()
    }

    /// The embedding of a token as [`Session::append_embeddings`] takes it, for those who mix them with others: `[d_model]`.
    ///
    /// # Errors
    /// The token is beyond the vocabulary.
    pub fn embedding(&self, token: TokenId) -> Result<Vec<f32>, LlmError> {
        if token.0 as usize >= self.shape.n_vocab {
            return Err(LlmError::Input(format!(
                "token {} is beyond the model's vocabulary of {}",
                token.0, self.shape.n_vocab
            )));
        }
        let mut row = vec![0.0; self.shape.d_model];
        self.weights.token_embedding.matrix(&self.gguf).read_row(token.0 as usize, &mut row);
        row.iter_mut().for_each(|x| *x *= self.shape.embedding_scale);
        Ok(row)
    }
}

/// The instructions that the kernels use here: `avx2`, `scalar`, ... (`NEARFIELD_SIMD` lowers them), or why they cannot be used.
pub fn simd_level() -> String {
    Level::detect().map_or_else(|error| error.to_string(), |level| level.name().to_owned())
}

/// The type that holds the most bytes.
/// The names of `llama_ftype` (llama.cpp, include/llama.h) by their numbers.
fn file_type(number: usize) -> Option<&'static str> {
    Some(match number {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        21 => "Q2_K_S",
        25 => "IQ4_NL",
        30 => "IQ4_XS",
        32 => "BF16",
        38 => "MXFP4",
        _ => return None,
    })
}

fn most_common_type(gguf: &Gguf) -> String {
    let mut bytes: Vec<(&str, usize)> = Vec::new();
    for tensor in gguf.tensors().values() {
        match bytes.iter_mut().find(|(name, _)| *name == tensor.kind.name) {
            Some((_, sum)) => *sum += tensor.range.len(),
            None => bytes.push((tensor.kind.name, tensor.range.len())),
        }
    }
    bytes.into_iter().max_by_key(|(_, sum)| *sum).map(|(name, _)| name.to_owned()).unwrap_or_default()
}
