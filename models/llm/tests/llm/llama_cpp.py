#!/usr/bin/env python3
"""Asks llama.cpp what it makes of the files and strings of peer.rs, for maintainers.

    pip install xllamacpp gguf
    NEARFIELD_PEER=FOLDER cargo test --release --workspace --test llm peer -- --ignored
    llama_cpp.py FOLDER STORIES.gguf

prints, for each file, the largest difference of logits and how often the likeliest token is the same, and writes
llama-cpp-golden.json: token ids of hostile strings under each pre-tokenizer, and 200 greedy tokens of the stories model.
The wheel's extension module exports llama.cpp's C functions, which are called directly.
"""
import ctypes as C
import json
import os
import sys
from collections import Counter

import gguf
import numpy as np
import xllamacpp

L = C.CDLL(os.path.join(os.path.dirname(xllamacpp.__file__), "xllamacpp.abi3.so"))


class Params(C.Structure):  # larger than any parameter structure; passed last, so its size does not matter
    _fields_ = [("bytes", C.c_uint8 * 1024)]


class Batch(C.Structure):
    _fields_ = [("n", C.c_int32)] + [(name, C.c_void_p) for name in ("tokens", "embd", "pos", "n_seq", "seq", "logits")]


for name, result, *arguments in [
    ("llama_model_default_params", Params), ("llama_context_default_params", Params),
    ("llama_model_load_from_file", C.c_void_p, C.c_char_p, Params), ("llama_init_from_model", C.c_void_p, C.c_void_p, Params),
    ("llama_model_get_vocab", C.c_void_p, C.c_void_p), ("llama_vocab_n_tokens", C.c_int32, C.c_void_p),
    ("llama_tokenize", C.c_int32, C.c_void_p, C.c_char_p, C.c_int32, C.c_void_p, C.c_int32, C.c_bool, C.c_bool),
    ("llama_batch_get_one", Batch, C.c_void_p, C.c_int32), ("llama_decode", C.c_int32, C.c_void_p, Batch),
    ("llama_get_logits_ith", C.POINTER(C.c_float), C.c_void_p, C.c_int32),
    ("llama_free", None, C.c_void_p), ("llama_model_free", None, C.c_void_p),
]:
    getattr(L, name).restype, getattr(L, name).argtypes = result, arguments
say = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)(lambda level, text, _: None)
L.llama_log_set(say, None)
L.llama_backend_init()


class Model:
    def __init__(self, path):
        self.model = L.llama_model_load_from_file(os.fsencode(path), L.llama_model_default_params())
        assert self.model, path
        self.vocab = L.llama_model_get_vocab(self.model)

    def session(self, n_ctx):
        params = L.llama_context_default_params()
        C.memmove(C.byref(params), C.byref(C.c_uint32(n_ctx)), 4)  # n_ctx is its first field
        return L.llama_init_from_model(self.model, params)

    def logits(self, session, tokens):
        array = (C.c_int32 * len(tokens))(*tokens)
        assert L.llama_decode(session, L.llama_batch_get_one(array, len(tokens))) == 0
        return L.llama_get_logits_ith(session, -1)[: L.llama_vocab_n_tokens(self.vocab)]

    def tokenize(self, text, bos=False):
        data = text.encode()
        array = (C.c_int32 * (2 * len(data) + 16))()
        n = L.llama_tokenize(self.vocab, data, len(data), array, len(array), bos, False)
        assert n >= 0, n
        return array[:n]


TEXTS = [
    "", " ", "  ", "a", " a", "a ", "Hello, world!", "hello  world", "   three   spaces   ", "\n", "\n\n", "\r\n\r\n", "\t\ttabs",
    "a\nb\n\nc \n d", "trailing \n", "it's we'll I'VE they'Re 'S o'clock", "1", "12", "123", "1234567890", "3.14159 and 1,000,000",
    "x1y22z333 4444", "½ ² Ⅷ ٣٤٥ ४५", "Grüße aus Köln", "e\u0301 vs \u00e9", "ﬁ ligature", "日本語のテキスト", "中文字符，标点。",
    "한국어 텍스트", "مرحبا بالعالم", "שלום עולם", "\u202eright to left\u202c", "हिन्दी में", "ภาษาไทย", "👋", "👋🏽👨‍👩‍👧‍👦🇩🇪", "a👋b 🎉 c",
    "\u0000", "a\u0000b", "\u0001\u001f\u007f\u0085\u00a0\u2003\u3000\ufeff", "\ufffd\ufffd broken", "zero\u200bwidth\u200djoiner",
    "<s>", "</s> <unk> <|im_start|>user", "<tool_call>{\"name\": \"x\"}</tool_call>", "{\"key\": [1, 2.5e-3, null]}",
    "fn main() { println!(\"{}\", a[0] ^ b | c); }", "$100 + €200 = £300?!...", "~`@#%&*()_-+=[]{}|\\:;\"'<>,./", "CamelCaseWords and UPPERCASE",
    "ÀÉÎÕÜ àéîõü ẞß", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈", "\u2581under\u2581score", "Ġgpt Ċ marks", "Dž ǅ ǆ ʰ", "x\u0301\u0302\u0303y",
    ["a", 600], [" ", 301], ["\n", 150], ["ab ", 200], ["日", 100], ["👋", 60], ["1", 200], ["!?", 150], ["é", 200], ["A b", 99],
]

PRES = ["qwen2", "llama-bpe", "gpt-2", "phi-2", "smollm", "gpt-4o", "dbrx", "tekken", "default"]
N_VOCAB = 2560  # as many as the bundled model, whose weights peer.rs borrows


def vocabulary():
    """Byte pairs over whole texts, so that every place where a pre-tokenizer cuts shows in the tokens."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    alphabet = [chr(b) if b in printable else chr(next(others)) for b in range(256)]
    words = [[alphabet[b] for b in (t if isinstance(t, str) else t[0] * min(t[1], 40)).encode()] for t in TEXTS] * 2
    tokens, merges = list(alphabet), []
    while len(tokens) < N_VOCAB - 1:
        pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
        if not pairs:
            break
        (left, right), _ = max(pairs.items(), key=lambda item: (item[1], item[0]))
        merges.append(f"{left} {right}")
        if left + right not in tokens:
            tokens.append(left + right)
        for at, word in enumerate(words):
            merged, i = [], 0
            while i < len(word):
                pair = word[i : i + 2] == [left, right]
                merged.append(left + right if pair else word[i])
                i += 1 + pair
            words[at] = merged
    return {"tokens": tokens + ["<|end|>"], "merges": merges}


def file_with(pre, path, vocabulary):
    """A model of nearly no weights with this vocabulary."""
    w = gguf.GGUFWriter(path, "llama")
    for add, value in [
        (w.add_block_count, 1), (w.add_context_length, 64), (w.add_embedding_length, 32), (w.add_feed_forward_length, 32),
        (w.add_head_count, 1), (w.add_layer_norm_rms_eps, 1e-5), (w.add_rope_dimension_count, 32),
        (w.add_tokenizer_model, "gpt2"), (w.add_tokenizer_pre, pre), (w.add_token_list, vocabulary["tokens"]),
        (w.add_token_merges, vocabulary["merges"]), (w.add_token_types, [1] * (len(vocabulary["tokens"]) - 1) + [3]),
        (w.add_eos_token_id, len(vocabulary["tokens"]) - 1), (w.add_add_bos_token, False),
    ]:
        add(value)
    zeros = lambda *shape: np.zeros(shape, np.float32)
    w.add_tensor("token_embd.weight", zeros(len(vocabulary["tokens"]), 32))
    w.add_tensor("output_norm.weight", zeros(32))
    for name in ["attn_norm", "ffn_norm"]:
        w.add_tensor(f"blk.0.{name}.weight", zeros(32))
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        w.add_tensor(f"blk.0.{name}.weight", zeros(32, 32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


folder, stories = sys.argv[1:3]
golden = {"texts": TEXTS, "vocabulary": vocabulary(), "tokens": {}}
files = {}
for pre in PRES:
    files[pre] = os.path.join(folder, f"pre-{pre}.gguf")
    file_with(pre, files[pre], golden["vocabulary"])
files["talk"] = os.path.join(os.path.dirname(__file__), "../../../assets/models/talk-nano.gguf")
for name, path in {**files, "stories": stories}.items():
    model = Model(path)
    golden["tokens"][name] = [model.tokenize(t if isinstance(t, str) else t[0] * t[1]) for t in TEXTS]
    if name == "stories":
        prompt = model.tokenize("Once upon a time, there was a little girl named Lily. She loved", True)
        session, tokens, row = model.session(512), [], None
        row = model.logits(session, prompt)
        while len(tokens) < 200:
            tokens.append(max(range(len(row)), key=row.__getitem__))
            row = model.logits(session, tokens[-1:])
        golden["story"] = {"prompt": prompt, "tokens": tokens}
        L.llama_free(session)
    L.llama_model_free(model.model)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "llama-cpp-golden.json"), "w") as out:
    out.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")

for case in json.load(open(os.path.join(folder, "logits.json"))):
    model = Model(case["file"])
    worst, same, deviation = 0.0, 0, 0.0
    for run in case["runs"]:
        session = model.session(256)
        theirs, ours = model.logits(session, run["tokens"]), run["logits"]
        L.llama_free(session)
        worst = max(worst, max(abs(a - b) for a, b in zip(ours, theirs, strict=True)))
        mean = sum(theirs) / len(theirs)
        deviation = max(deviation, (sum((x - mean) ** 2 for x in theirs) / len(theirs)) ** 0.5)
        best = lambda row: max(range(len(row)), key=row.__getitem__)
        same += best(ours) == best(theirs)
    print(f"{case['name']:<22} largest difference {worst:.5f} (deviation of logits {deviation:.2f}), top-1 {same} of {len(case['runs'])}")
    L.llama_model_free(model.model)
