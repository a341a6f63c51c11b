//! Vocabularies: `tokenizer.json` with byte pairs or with pieces of plain text, or `tokenizer.model`, as `tokenizer.ggml.*`; the
//! special tokens; the chat template.

use std::path::Path;

use nearfield_base::files;
use nearfield_gguf::Metadata;
use serde_json::Value;

use crate::ConvertError;
use crate::config::Json;
use crate::cutting;
use crate::family::Family;
use crate::sentence_pieces;

/// The longest chat template.
const MOST_TEMPLATE_BYTES: u64 = 1 << 20;

/// Kinds of tokens, as `tokenizer.ggml.token_type` numbers them.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The score of tokens that no text is cut into.
const NO_SCORE: f32 = -1000.0;

/// What the folder says about its vocabulary.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub metadata: Vec<(String, Metadata)>,
    /// How many tokens there are; at most as many as embeddings.
    pub len: usize,
    /// What is not as llama.cpp's converter would have it.
    pub notes: Vec<String>,
}

/// A token that was added to a vocabulary.
struct Added {
    id: usize,
    text: String,
    special: bool,
}

impl Vocabulary {
    /// Reads it. `rows` is how many embeddings the model has.
    pub fn of(folder: &Path, config: &Json, family: Family, rows: usize) -> Result<Vocabulary, ConvertError> {
        let tokenizer_path = folder.join("tokenizer.json");
        let tokenizer = Json::read_if_there(&tokenizer_path)?;
        let settings = Json::read_if_there(&folder.join("tokenizer_config.json"))?;
        let pieces = folder.join("tokenizer.model");
        let added = tokenizer.as_ref().map(added_tokens).transpose()?.unwrap_or_default();
        let mut vocabulary = Vocabulary { metadata: Vec::new(), len: 0, notes: Vec::new() };
        let has_pieces = pieces.is_file();
        match (&tokenizer, has_pieces) {
            (_, true) => vocabulary.sentence_pieces(&pieces, folder, settings.as_ref(), rows)?,
            (Some(tokenizer), false) if is_plain(tokenizer) => vocabulary.plain_pairs(tokenizer, &added, rows)?,
            (Some(tokenizer), false) => vocabulary.byte_pairs(tokenizer, &added, rows)?,
            (None, false) => {
                let what = "neither tokenizer.json nor tokenizer.model is there; other vocabularies are not converted";
                return Err(ConvertError::broken(folder, what));
            }
        }
        vocabulary.special(config, settings.as_ref(), tokenizer.as_ref(), &added)?;
        vocabulary.template(folder, settings.as_ref())?;
        // What llama.cpp's converter knows of families.
        match family {
            Family::Gemma3 => vocabulary.set("add_space_prefix", Metadata::Bool(false)),
            Family::Llama => {
                if let Some(prefix) = settings.as_ref().and_then(|settings| settings.bool("add_prefix_space")) {
                    vocabulary.set("add_space_prefix", Metadata::Bool(prefix));
                }
                // SmolLM and Granite.
                if config.get("vocab_size").and_then(Value::as_u64) == Some(49_152) {
                    vocabulary.set("add_bos_token", Metadata::Bool(false));
                }
            }
            _ => {}
        }
        Ok(vocabulary)
    }

    fn set(&mut self, key: &str, value: Metadata) {
        let key = format!("tokenizer.ggml.{key}");
        self.metadata.retain(|(other, _)| *other != key);
        self.metadata.push((key, value));
    }

    /// Byte-level pairs, as of GPT-2, Llama 3, Qwen and SmolLM.
    fn byte_pairs(&mut self, tokenizer: &Json, added: &[Added], rows: usize) -> Result<(), ConvertError> {
        let (mut tokens, mut kinds) = base(tokenizer, rows)?;
        place(tokenizer, added, &mut tokens, &mut kinds)?;
        let merges = merges(tokenizer)?;
        let pre = cutting::name(tokenizer)?;
        let (tokens, kinds) = padded(tokens, kinds);
        self.len = tokens.len();
        self.set("model", Metadata::Text("gpt2".to_owned()));
        self.set("pre", Metadata::Text(pre.to_owned()));
        self.set("tokens", Metadata::Texts(tokens));
        self.set("token_type", Metadata::I32s(kinds));
        let joined = merges.iter().map(|(a, b)| format!("{} {}", spaced(a), spaced(b))).collect();
        self.set("merges", Metadata::Texts(joined));
        Ok(())
    }

    /// Pieces of plain text that are put together by merges: a SentencePiece model of which only `tokenizer.json` is left. Its scores
    /// are made from the order of the merges.
    fn plain_pairs(&mut self, tokenizer: &Json, added: &[Added], rows: usize) -> Result<(), ConvertError> {
        let (mut tokens, mut kinds) = base(tokenizer, rows)?;
        let mut scores = vec![NO_SCORE; rows];
        let index: std::collections::HashMap<&str, usize> =
            tokens.iter().enumerate().filter_map(|(id, text)| Some((text.as_deref()?, id))).collect();
        for (rank, (a, b)) in merges(tokenizer)?.iter().enumerate() {
            if let Some(id) = index.get(format!("{a}{b}").as_str()) {
                scores[*id] = scores[*id].max(-(rank as f32));
            }
        }
        for (text, kind) in tokens.iter().zip(&mut kinds) {
            let text = text.as_deref().unwrap_or_default();
            let is_byte = text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
            if is_byte && u8::from_str_radix(&text[3..5], 16).is_ok() {
                *kind = BYTE;
            }
        }
        place(tokenizer, added, &mut tokens, &mut kinds)?;
        let (tokens, kinds) = padded(tokens, kinds);
        scores.truncate(tokens.len());
        self.notes.push(
            "tokenizer.model is not there: the scores of the tokens were made from the merges of tokenizer.json (llama.cpp's \
             converter writes -1000 for all)"
                .to_owned(),
        );
        self.pieces(tokens, scores, kinds);
        Ok(())
    }

    /// A SentencePiece model.
    fn sentence_pieces(
        &mut self,
        path: &Path,
        folder: &Path,
        settings: Option<&Json>,
        rows: usize,
    ) -> Result<(), ConvertError> {
        let read = sentence_pieces::read(path)?;
        let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
        let (mut scores, mut kinds) = (vec![-10_000.0; rows], vec![UNUSED; rows]);
        if read.len() > rows {
            self.notes
                .push(format!("{} pieces of tokenizer.model are beyond the {rows} embeddings", read.len() - rows));
        }
        for (id, piece) in read.into_iter().take(rows).enumerate() {
            kinds[id] = match piece.kind {
                2 | 3 | 5 | 6 => piece.kind,
                _ => NORMAL,
            };
            (tokens[id], scores[id]) = (piece.text, piece.score);
        }
        if let Some(more) = Json::read_if_there(&folder.join("added_tokens.json"))? {
            for (text, id) in &more.object {
                if let Some(id) = id.as_u64().map(|id| id as usize).filter(|id| *id < rows) {
                    (tokens[id], scores[id], kinds[id]) = (text.clone(), NO_SCORE, USER_DEFINED);
                }
            }
        }
        if let Some(Value::Object(decoder)) = settings.and_then(|settings| settings.get("added_tokens_decoder")) {
            for (id, token) in decoder {
                let id = id.parse().ok().filter(|id: &usize| *id < rows);
                let (Some(id), Some(text)) = (id, token.get("content").and_then(Value::as_str)) else { continue };
                let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
                (tokens[id], kinds[id]) = marked(text, special);
                scores[id] = NO_SCORE;
            }
        }
        self.pieces(tokens, scores, kinds);
        Ok(())
    }

    fn pieces(&mut self, tokens: Vec<String>, scores: Vec<f32>, kinds: Vec<i32>) {
        self.len = tokens.len();
        self.set("model", Metadata::Text("llama".to_owned()));
        self.set("pre", Metadata::Text("default".to_owned()));
        self.set("tokens", Metadata::Texts(tokens));
        self.set("scores", Metadata::F32s(scores));
        self.set("token_type", Metadata::I32s(kinds));
    }

    /// The tokens that begin, end and fill texts, and which of them are added.
    fn special(
        &mut self,
        config: &Json,
        settings: Option<&Json>,
        tokenizer: Option<&Json>,
        added: &[Added],
    ) -> Result<(), ConvertError> {
        const KEYS: [(&str, &str); 6] = [
            ("bos", "bos_token_id"),
            ("eos", "eos_token_id"),
            ("unk", "unknown_token_id"),
            ("sep", "seperator_token_id"), // as the specification spells it
            ("pad", "padding_token_id"),
            ("mask", "mask_token_id"),
        ];
        for (which, key) in KEYS {
            let stated = settings.and_then(|settings| settings.get(&format!("{which}_token")));
            let text = stated.and_then(|stated| stated.as_str().or_else(|| stated.get("content")?.as_str()));
            let by_text =
                text.and_then(|text| added.iter().find(|token| token.text == text)).map(|token| token.id as u64);
            let by_id = config.get(&format!("{which}_token_id")).or_else(|| {
                let text = config.get("text_config")?;
                text.get(format!("{which}_token_id"))
            });
            // A model that ends replies with one of several tokens has a list; the tokenizer's setting is then the one that counts.
            if let Some(id) = by_text.or(by_id.and_then(Value::as_u64)) {
                if id as usize >= self.len {
                    return Err(
                        config.bad(&format!("{which}_token_id"), &format!("{id} is beyond the {} tokens", self.len))
                    );
                }
                self.set(key, Metadata::U32(id as u32));
            }
        }
        let first = tokenizer.and_then(first_of_template);
        let bos = settings.and_then(|settings| settings.get("bos_token"));
        let bos = bos.and_then(|bos| bos.as_str().or_else(|| bos.get("content")?.as_str()));
        if let Some(first) = first {
            self.set("add_bos_token", Metadata::Bool(bos.is_none_or(|bos| bos == first)));
        }
        for which in ["bos", "eos"] {
            let key = format!("add_{which}_token");
            if let Some(adds) = settings.and_then(|settings| settings.bool(&key)) {
                self.set(&key, Metadata::Bool(adds));
            }
        }
        Ok(())
    }

    /// The chat template: a file of its own, or part of the settings.
    fn template(&mut self, folder: &Path, settings: Option<&Json>) -> Result<(), ConvertError> {
        let file = folder.join("chat_template.jinja");
        let of_settings = settings.and_then(|settings| settings.get("chat_template"));
        let mut named = Vec::new();
        let main = match of_settings {
            Some(Value::String(template)) => Some(template.clone()),
            Some(Value::Array(templates)) => {
                for template in templates {
                    let text = |key: &str| template.get(key).and_then(Value::as_str).map(str::to_owned);
                    if let (Some(name), Some(template)) = (text("name"), text("template")) {
                        named.push((name, template));
                    }
                }
                named.iter().find(|(name, _)| name == "default").map(|(_, template)| template.clone())
            }
            _ if file.is_file() => Some(
                files::read_text(&file, MOST_TEMPLATE_BYTES)
                    .map_err(|cause| ConvertError::Read { path: file, cause })?,
            ),
            _ => {
                let file = Json::read_if_there(&folder.join("chat_template.json"))?;
                file.and_then(|file| file.text("chat_template").map(str::to_owned))
            }
        };
        if let Some(main) = main {
            self.metadata.push(("tokenizer.chat_template".to_owned(), Metadata::Text(main)));
        }
        let others: Vec<_> = named.into_iter().filter(|(name, _)| name != "default").collect();
        if !others.is_empty() {
            let names = others.iter().map(|(name, _)| name.clone()).collect();
            self.metadata.push(("tokenizer.chat_templates".to_owned(), Metadata::Texts(names)));
            for (name, template) in others {
                let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                self.metadata.push((format!("tokenizer.chat_template.{name}"), Metadata::Text(template)));
            }
        }
        Ok(())
    }
}

/// Whether a tokenizer's tokens are plain text with single bytes as the last resort, not bytes in a printable alphabet.
fn is_plain(tokenizer: &Json) -> bool {
    let model = tokenizer.get("model");
    let fallback = model.and_then(|model| model.get("byte_fallback")).and_then(Value::as_bool);
    fallback.unwrap_or(false)
}

/// The tokens of the model itself by number; those that are not there are `None`.
fn base(tokenizer: &Json, rows: usize) -> Result<(Vec<Option<String>>, Vec<i32>), ConvertError> {
    let model = tokenizer.get("model");
    let kind = model.and_then(|model| model.get("type")).and_then(Value::as_str);
    if kind.is_some_and(|kind| kind != "BPE") {
        let what = format!("a vocabulary of the kind {} is not converted; supported is BPE", kind.unwrap_or_default());
        return Err(ConvertError::unsupported(&tokenizer.path, what));
    }
    let Some(Value::Object(vocab)) = model.and_then(|model| model.get("vocab")) else {
        return Err(tokenizer.bad("model.vocab", "is missing"));
    };
    let mut tokens = vec![None; rows];
    for (text, id) in vocab {
        let id = id.as_u64().map(|id| id as usize);
        let Some(place) = id.and_then(|id| tokens.get_mut(id)) else {
            let what =
                format!("the token {:?} has no number below {rows}, which the model has embeddings for", short(text));
            return Err(tokenizer.bad("model.vocab", &what));
        };
        if let Some(other) = place.replace(text.clone()) {
            let what = format!("the tokens {:?} and {:?} have the same number", short(&other), short(text));
            return Err(tokenizer.bad("model.vocab", &what));
        }
    }
    let kinds = tokens.iter().map(|token| if token.is_some() { NORMAL } else { UNUSED }).collect();
    Ok((tokens, kinds))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The merges, each of two tokens.
fn merges(tokenizer: &Json) -> Result<Vec<(String, String)>, ConvertError> {
    let Some(Value::Array(merges)) = tokenizer.get("model").and_then(|model| model.get("merges")) else {
        return Err(tokenizer.bad("model.merges", "is missing"));
    };
    let one = |merge: &Value| match merge {
        Value::String(pair) => pair.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(a), Value::String(b)] => Some((a.clone(), b.clone())),
            _ => None,
        },
        _ => None,
    };
    merges
        .iter()
        .map(|merge| one(merge).ok_or_else(|| tokenizer.bad("model.merges", "an entry is no pair of tokens")))
        .collect()
}

/// A space within a token, which separates those of a merge, in the printable alphabet.
fn spaced(token: &str) -> String {
    token.replace(' ', "\u{120}")
}

/// The tokens that were added.
fn added_tokens(tokenizer: &Json) -> Result<Vec<Added>, ConvertError> {
    let Some(Value::Array(list)) = tokenizer.get("added_tokens") else { return Ok(Vec::new()) };
    let one = |token: &Value| {
        Some(Added {
            id: usize::try_from(token.get("id")?.as_u64()?).ok()?,
            text: token.get("content")?.as_str()?.to_owned(),
            special: token.get("special").and_then(Value::as_bool).unwrap_or(false),
        })
    };
    list.iter()
        .map(|token| one(token).ok_or_else(|| tokenizer.bad("added_tokens", "an entry has no id or no content")))
        .collect()
}

/// Puts added tokens in their places.
fn place(
    tokenizer: &Json,
    added: &[Added],
    tokens: &mut [Option<String>],
    kinds: &mut [i32],
) -> Result<(), ConvertError> {
    for token in added {
        if token.id >= tokens.len() {
            let what =
                format!("{:?} has the number {}, beyond the {} embeddings", short(&token.text), token.id, tokens.len());
            return Err(tokenizer.bad("added_tokens", &what));
        }
        let (text, kind) = marked(&token.text, token.special);
        (tokens[token.id], kinds[token.id]) = (Some(text), kind);
    }
    Ok(())
}

/// An added token's text and kind. Some that should be control tokens are not marked as special.
fn marked(text: &str, special: bool) -> (String, i32) {
    let looks_special = ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(&text)
        || (text.starts_with("<|") && text.ends_with("|>"))
        || (text.starts_with("<｜") && text.ends_with("｜>"))
        || (text.starts_with("<unused") && text.ends_with('>'));
    match special || looks_special {
        true => (text.to_owned(), CONTROL),
        false => (text.replace('\u{2581}', " "), USER_DEFINED),
    }
}

/// Numbers without a token get a name.
fn padded(tokens: Vec<Option<String>>, kinds: Vec<i32>) -> (Vec<String>, Vec<i32>) {
    let named = tokens.into_iter().enumerate().map(|(id, token)| token.unwrap_or_else(|| format!("[PAD{id}]")));
    (named.collect(), kinds)
}

/// The special token that the tokenizer puts before a text.
fn first_of_template(tokenizer: &Json) -> Option<&str> {
    let post = tokenizer.get("post_processor")?;
    let single = std::slice::from_ref(post);
    let processors = post.get("processors").and_then(Value::as_array).map_or(single, Vec::as_slice);
    let template = processors.iter().find(|it| it.get("type").and_then(Value::as_str) == Some("TemplateProcessing"))?;
    let parts = template.get("single")?.as_array().filter(|parts| parts.len() > 1)?;
    parts.first()?.get("SpecialToken")?.get("id")?.as_str()
}
