//! The architectures of GGUF files that run here, as a table of where they differ: they share one forward pass (`forward.rs`). To
//! add one that differs in these points only, add a row.

/// How rows are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Normalisation {
    /// By the root of the mean square.
    RootMeanSquare,
    /// The same, with a bias.
    RootMeanSquareAndBias,
    /// To mean 0 and deviation 1, with a bias.
    Layer,
    /// The same, with a bias where the file has one.
    LayerMaybeBias,
}

/// Where rows are normalised in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norms {
    /// Before attention and before the feed-forward network.
    Before,
    /// After each of them.
    After,
    /// Before and after each.
    Both,
}

/// Where the feed-forward network reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// What attention has been added to.
    OneAfterTheOther,
    /// The rows that attention reads: one norm for both.
    SharedNorm,
    /// As `SharedNorm` where the file has no norm for the network, as `OneAfterTheOther` elsewhere.
    SharedNormIfAlone,
    /// The block's input, through `attn_norm`, while attention has `attn_norm_2` if the file has one (Falcon).
    Falcon,
    /// The block's input, through a norm of its own, unless `use_parallel_residual` is false (GPT-NeoX).
    ParallelUnlessFalse,
}

/// What stands between the two matrices of a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `silu(gate) * up`
    Swiglu,
    /// `gelu(gate) * up`
    Geglu,
    /// `gelu(up)`: there is no gate.
    Gelu,
    /// `g sigmoid(1.702 g) (u + 1)` with `g = min(gate, 7)` and `u = clamp(up, -7, 7)`
    ClampedSwiglu,
}

/// Which numbers of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rotation {
    /// (2i, 2i + 1)
    Pairs,
    /// (i, i + rotated / 2)
    Halves,
    /// None: positions are a slope on the scores (ALiBi: Press et al., 2022), of that largest bias if the file does not say.
    Slopes(f32),
}

/// Norms of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadNorms {
    None,
    /// Each head by the same weights.
    Each,
    /// All heads of a token together.
    Together,
    /// Layer normalisation of each head by weights of its own, where the file has them.
    OwnIfPresent,
}

/// How the weights of the chosen experts come from the router's logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gating {
    /// A softmax over all, divided by the sum of the chosen.
    Normalised,
    /// A softmax over all.
    Softmax,
    /// A softmax over the chosen.
    OfChosen,
}

/// Which layers see the last positions only, where the file names a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windowed {
    /// Every layer.
    All,
    /// None: the reference implementation does not use it.
    None,
    /// All but every n-th.
    AllButEvery(usize),
}

/// How layers with a window turn queries and keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Local {
    /// As the others.
    Same,
    /// By angles that nothing stretches, over the base that the file gives for them, this one, or the others'.
    Unstretched(Option<f64>),
}

/// What the layers of a model mix tokens with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mixing {
    /// Attention.
    Attention,
    /// Attention in layers that the file gives heads of keys, a short convolution in the others (LFM2).
    ShortConvWithoutHeads,
    /// The gated delta rule, with attention in every n-th layer where the file names no n of its own (Qwen3.5).
    DeltaRuleBut(usize),
}

/// One architecture: a name in files, and what sets it apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Family {
    pub name: &'static str,
    pub normalisation: Normalisation,
    pub norms: Norms,
    pub order: Order,
    pub activation: Activation,
    pub rotation: Rotation,
    pub head_norms: HeadNorms,
    pub gating: Gating,
    pub mixing: Mixing,
    pub windowed: Windowed,
    /// A window that holds where the file names none.
    pub default_window: Option<usize>,
    pub local: Local,
    /// Every n-th layer does not turn queries and keys.
    pub unrotated_every: Option<usize>,
    /// Embeddings are multiplied by the root of their width.
    pub scaled_embedding: bool,
    /// Embeddings are normalised (`token_embd_norm`).
    pub embedding_norm: bool,
    /// The caps of scores and logits where the file names none.
    pub caps: Option<(f32, f32)>,
    /// Norms before the last matrices of attention and of the network (`attn_sub_norm`, `ffn_sub_norm`).
    pub sub_norms: bool,
    /// The feed-forward network is half as wide as the file says.
    pub half_network: bool,
    /// The norm of the network is called `post_attention_norm`.
    pub renamed_network_norm: bool,
    /// Without a scale in the file, models of so many layers scale scores by the width of a head that shares `d_model`.
    pub scale_by_share: Option<usize>,
    /// Queries come with gates for what attention gives.
    pub gated_attention: bool,
    /// The name of the last norm.
    pub output_norm: &'static str,
    /// What scores are multiplied by where the file does not say, in the place of the root of a head's width.
    pub attention_scale: Option<f32>,
    /// Values are normalised, without weights; keys serve as values where a layer has none.
    pub normed_values: bool,
    /// Layers from this one on use the keys and values of earlier layers, where the file does not say from which on.
    pub shares_from: Option<usize>,
    /// Each layer gets a part of a second embedding of the token, where the file has one.
    pub layer_inputs: bool,
    /// Four streams in the place of one (AltUp: Baykal et al., 2023), with a detour of low rank around attention, and networks of
    /// which the largest gates of the first layers count only (Gemma 3n).
    pub streams: bool,
    /// Pairs of a head turn by the time, the row or the column of a token (M-RoPE), which for text are the same.
    pub sections: bool,
}

const LLAMA: Family = Family {
    name: "llama", // Llama 2 to 3.3, Mistral, Mixtral, TinyLlama, SmolLM2
    normalisation: Normalisation::RootMeanSquare,
    norms: Norms::Before,
    order: Order::OneAfterTheOther,
    activation: Activation::Swiglu,
    rotation: Rotation::Pairs,
    head_norms: HeadNorms::None,
    gating: Gating::Normalised,
    mixing: Mixing::Attention,
    windowed: Windowed::All,
    default_window: None,
    local: Local::Same,
    unrotated_every: None,
    scaled_embedding: false,
    embedding_norm: false,
    caps: None,
    sub_norms: false,
    half_network: false,
    renamed_network_norm: false,
    scale_by_share: None,
    gated_attention: false,
    output_norm: "output_norm",
    attention_scale: None,
    normed_values: false,
    shares_from: None,
    layer_inputs: false,
    streams: false,
    sections: false,
};

/// Llama with halves that turn together, as most others have it.
const HALVES: Family = Family { rotation: Rotation::Halves, ..LLAMA };

/// Layer normalisation and a network without a gate, as after GPT-2.
const GPT: Family = Family { normalisation: Normalisation::Layer, activation: Activation::Gelu, ..HALVES };

const GEMMA: Family = Family { norms: Norms::Both, activation: Activation::Geglu, scaled_embedding: true, ..HALVES };

const GEMMA3N: Family = Family {
    name: "gemma3n",
    head_norms: HeadNorms::Each,
    windowed: Windowed::AllButEvery(5),
    local: Local::Unstretched(Some(10_000.0)),
    caps: Some((0.0, 30.0)),
    attention_scale: Some(1.0),
    normed_values: true,
    shares_from: Some(20),
    layer_inputs: true,
    streams: true,
    ..GEMMA
};

pub(crate) const FAMILIES: &[Family] = &[
    LLAMA,
    Family { name: "qwen2", ..HALVES },
    Family { name: "qwen3", head_norms: HeadNorms::Each, ..HALVES },
    Family { name: "phi2", order: Order::SharedNorm, ..GPT },
    Family { name: "phi3", ..HALVES },
    Family {
        name: "gemma3",
        head_norms: HeadNorms::Each,
        windowed: Windowed::AllButEvery(6),
        local: Local::Unstretched(Some(10_000.0)),
        scale_by_share: Some(62),
        ..GEMMA
    },
    GEMMA3N,
    Family {
        name: "gemma4",
        windowed: Windowed::AllButEvery(6),
        caps: None,
        shares_from: None,
        streams: false,
        ..GEMMA3N
    },
    Family {
        name: "gemma2",
        windowed: Windowed::AllButEvery(2),
        default_window: Some(4096),
        caps: Some((50.0, 30.0)),
        scale_by_share: Some(46),
        ..GEMMA
    },
    Family { name: "smollm3", unrotated_every: Some(4), windowed: Windowed::None, ..LLAMA },
    Family { name: "qwen3moe", head_norms: HeadNorms::Each, ..HALVES },
    Family { name: "qwen2moe", gating: Gating::Softmax, ..HALVES },
    Family { name: "qwen", half_network: true, ..HALVES },
    Family { name: "qwen2vl", sections: true, ..HALVES }, // Qwen2-VL, Qwen2.5-VL
    Family { name: "granite", windowed: Windowed::None, ..LLAMA },
    Family { name: "granitemoe", windowed: Windowed::None, ..LLAMA },
    Family {
        name: "olmo2",
        norms: Norms::After,
        head_norms: HeadNorms::Together,
        windowed: Windowed::AllButEvery(4),
        local: Local::Unstretched(None),
        ..HALVES
    },
    Family {
        name: "gpt-oss",
        activation: Activation::ClampedSwiglu,
        gating: Gating::OfChosen,
        windowed: Windowed::AllButEvery(2),
        renamed_network_norm: true,
        ..HALVES
    },
    Family {
        name: "stablelm",
        normalisation: Normalisation::Layer,
        order: Order::SharedNormIfAlone,
        head_norms: HeadNorms::OwnIfPresent,
        ..HALVES
    },
    Family { name: "falcon", order: Order::Falcon, ..GPT },
    Family { name: "gptneox", order: Order::ParallelUnlessFalse, ..GPT },
    Family { name: "starcoder2", windowed: Windowed::None, ..GPT },
    Family { name: "internlm2", ..LLAMA },
    Family { name: "exaone", ..HALVES },
    Family {
        name: "phimoe",
        normalisation: Normalisation::RootMeanSquareAndBias,
        gating: Gating::Normalised,
        windowed: Windowed::None,
        ..HALVES
    },
    Family { name: "mpt", normalisation: Normalisation::LayerMaybeBias, rotation: Rotation::Slopes(0.0), ..GPT },
    Family { name: "bloom", rotation: Rotation::Slopes(8.0), embedding_norm: true, ..GPT },
    Family { name: "bitnet", sub_norms: true, ..HALVES },
    Family {
        name: "lfm2",
        mixing: Mixing::ShortConvWithoutHeads,
        head_norms: HeadNorms::Each,
        output_norm: "token_embd_norm",
        ..HALVES
    },
    Family {
        name: "qwen35",
        mixing: Mixing::DeltaRuleBut(4),
        head_norms: HeadNorms::Each,
        renamed_network_norm: true,
        gated_attention: true,
        windowed: Windowed::None,
        ..HALVES
    },
];

impl Family {
    /// The architecture of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Family> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// Whether the feed-forward network has a gate.
    pub(crate) fn has_gate(&self) -> bool {
        self.activation != Activation::Gelu
    }
}
