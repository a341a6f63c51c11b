"""Writes talk-nano as GGUF (F16 and Q8_0) with its tokenizer and chat template, checks the files by reading them
back into two independent forward passes, and writes the golden values for the Rust engine's test.

Llama tensors carry llama.cpp's names; q and k rows are NOT permuted, since training already rotates the pairs
(2i, 2i+1). Norms stay F32; there is no output.weight (the embedding is tied).
"""

import argparse
import hashlib
import json
import os
import random

import gguf
import jinja2
import numpy as np
import torch

import grammar
import reports
import tokenizer
from evaluate import greedy
from files import MATRICES, load_checkpoint, model_of_gguf, read

TEMPLATE = (
    "{%- for message in messages -%}"
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)


def tensors(model):
    """(GGUF name, float32 array) in file order."""
    yield "token_embd.weight", model.embed.weight.detach().numpy()
    for i, b in enumerate(model.blocks):
        yield f"blk.{i}.attn_norm.weight", b.attn_norm.weight.detach().numpy()
        yield f"blk.{i}.ffn_norm.weight", b.ffn_norm.weight.detach().numpy()
        for ours, theirs in MATRICES.items():
            yield f"blk.{i}.{theirs}.weight", getattr(b, ours).weight.detach().numpy()
    yield "output_norm.weight", model.norm.weight.detach().numpy()


def write(path, model, tok, kind):
    s = model.shape
    w = gguf.GGUFWriter(path, "llama")
    w.add_type("model")
    w.add_name("talk-nano")
    w.add_description("The voice assistant's bundled language model of Nearfield: answers about a home's state, tools, short talk, sensor reports, captions. English.")
    w.add_license("MIT OR Apache-2.0")
    w.add_languages(["en"])
    w.add_tags(["nearfield", "home-assistant", "tool-calling", "tiny"])
    w.add_size_label(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if kind == "F16" else gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_vocab_size(s.vocab)
    w.add_context_length(s.context)
    w.add_embedding_length(s.d_model)
    w.add_block_count(s.n_layers)
    w.add_feed_forward_length(s.d_ffn)
    w.add_head_count(s.n_heads)
    w.add_head_count_kv(s.n_kv_heads)
    w.add_key_length(s.head_dim)
    w.add_value_length(s.head_dim)
    w.add_rope_dimension_count(s.head_dim)
    w.add_rope_freq_base(s.rope_base)
    w.add_layer_norm_rms_eps(s.norm_eps)
    spec = json.loads(tok.to_str())["model"]
    entries = [t for t, _ in sorted(tok.get_vocab(with_added_tokens=True).items(), key=lambda x: x[1])]
    types = [gguf.TokenType.USER_DEFINED if t in tokenizer.USER_DEFINED else gguf.TokenType.CONTROL if t.startswith("<|") and t.endswith("|>") else gguf.TokenType.NORMAL for t in entries]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(entries)
    w.add_token_types(types)
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in spec["merges"]])
    end = tok.token_to_id("<|end|>")
    w.add_bos_token_id(end)  # never written: add_bos_token is false
    w.add_eos_token_id(end)
    w.add_pad_token_id(tok.token_to_id("<|pad|>"))
    w.add_add_bos_token(False)
    w.add_add_eos_token(False)
    w.add_chat_template(TEMPLATE)
    for name, x in tensors(model):
        if x.ndim == 1:
            w.add_tensor(name, x.astype(np.float32))
        elif kind == "F16":
            w.add_tensor(name, x.astype(np.float16))
        else:
            q = gguf.quants.quantize(x.astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
            w.add_tensor(name, q, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def plain_forward(path, ids):
    """The last position's logits in float64 numpy, written from the definition of the architecture alone."""
    s, t = read(path)
    norm = lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + s.norm_eps) * w
    x = t["token_embd.weight"][ids].astype(np.float64)
    n, half = len(ids), s.head_dim // 2
    turn = np.exp(1j * np.arange(n)[:, None] * s.rope_base ** (-np.arange(half) * 2.0 / s.head_dim))

    def rope(h):  # [n, heads, head_dim]: neighbours (2i, 2i+1) are one complex number
        z = (h[..., 0::2] + 1j * h[..., 1::2]) * turn[:, None]
        return np.stack((z.real, z.imag), -1).reshape(h.shape)

    for i in range(s.n_layers):
        w = lambda name: t[f"blk.{i}.{name}.weight"]
        h = norm(x, w("attn_norm"))
        q = rope((h @ w("attn_q").T).reshape(n, s.n_heads, -1))
        k = rope((h @ w("attn_k").T).reshape(n, s.n_kv_heads, -1))
        v = (h @ w("attn_v").T).reshape(n, s.n_kv_heads, -1)
        out = np.zeros((n, s.n_heads, s.head_dim))
        for head in range(s.n_heads):
            g = head // (s.n_heads // s.n_kv_heads)
            a = q[:, head] @ k[:, g].T / np.sqrt(s.head_dim) + np.triu(np.full((n, n), -np.inf), 1)
            a = np.exp(a - a.max(-1, keepdims=True))
            out[:, head] = a / a.sum(-1, keepdims=True) @ v[:, g]
        x = x + out.reshape(n, -1) @ w("attn_output").T
        h = norm(x, w("ffn_norm"))
        g = h @ w("ffn_gate").T
        x = x + (g / (1 + np.exp(-g)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
    return norm(x[-1], t["output_norm.weight"]) @ t["token_embd.weight"].T


GOLDEN_HOME = {
    "rooms": {"kitchen": {"temperature_c": 21.5, "humidity_pct": 40, "light": "off"}, "zara's room": {"temperature_c": 19, "light": "on"}, "hall": {"light": "on"}},
    "doors": {"front door": "locked"}, "devices": {"coffee machine": "off"}, "outside": {"temperature_c": -3.2, "weather": "snow"},
}
GOLDEN = [
    ("a question", GOLDEN_HOME, ["What is the temperature in the kitchen?"]),
    ("a command, typed", GOLDEN_HOME, ["turn on the coffee machine"]),
    ("no home", {}, ["Hello."]),
]
GOLDEN_TABLE = """Window: 20 November 2026, 00:00 to 24:00
kitchen temperature: mean 21.3 °C, lowest 19.8 at 05:10, highest 24.9 at 14:20, rose by 0.6
hall humidity: mean 45 %, lowest 38 at 03:00, highest 52 at 14:20, fell by 2
Anomalies: none"""


def golden(path, tok):
    template = jinja2.Environment().from_string(TEMPLATE)
    model, out = model_of_gguf(path).eval(), []
    whole = lambda home: {p: home.get(p, {}) for p in ("rooms", "doors", "devices", "outside")}
    talks = [(name, [grammar.render(whole(home), grammar.SYSTEMS[0]), *asked]) for name, home, asked in GOLDEN]
    for name, (system, *asked) in talks + [("a report", [reports.SYSTEM, GOLDEN_TABLE])]:
        messages = [{"role": "system", "content": system}] + [{"role": "user", "content": q} for q in asked]
        text = template.render(messages=messages, tools=None, add_generation_prompt=True)
        ids = tok.encode(text, add_special_tokens=False).ids
        with torch.no_grad():
            ours = model(torch.tensor([ids]))[0, -1].double().numpy()
        plain = plain_forward(path, ids)
        difference = float(np.abs(ours - plain).max())
        assert difference < 1e-2, difference
        best = np.argsort(-plain)[:20]
        out.append({"name": name, "messages": messages, "text": text, "ids": ids, "greedy_reply": greedy(model, tok, text, most=300),
                    "logits_first_step": [round(float(v), 4) for v in plain], "top20": [[int(i), round(float(plain[i]), 4)] for i in best]})
        print(f"{name}: torch and numpy differ by at most {difference:.2e}; first reply {out[-1]['greedy_reply']!r}")
    return out


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--checkpoint", default="build/final.pt")
    args.add_argument("--out", default="build")
    args.add_argument("--name", default="talk-nano")
    a = args.parse_args()
    tok = tokenizer.load()
    model, data = load_checkpoint(a.checkpoint)
    f16, q8 = f"{a.out}/{a.name}-f16.gguf", f"{a.out}/{a.name}.gguf"
    write(f16, model, tok, "F16")
    write(q8, model, tok, "Q8_0")
    rng, ids = random.Random(3), []
    talk = grammar.conversation(rng, held=True)
    ids, _ = tokenizer.chat(tok, next(talk)[1], [next(talk) for _ in range(4)])
    with torch.no_grad():
        base = model(torch.tensor([ids]))[0]
        for path in (f16, q8):
            other = model_of_gguf(path)(torch.tensor([ids]))[0]
            print(f"{path}: {os.path.getsize(path)} bytes, sha256 {hashlib.sha256(open(path, 'rb').read()).hexdigest()}")
            print(f"  against the checkpoint over {len(ids)} tokens: largest logit difference {float((other - base).abs().max()):.4f}, same choice at {100 * float((other.argmax(-1) == base.argmax(-1)).float().mean()):.1f} %")
    with open(f"{a.out}/talk-golden.json", "w") as f:
        json.dump({"file": os.path.basename(q8), "sha256": hashlib.sha256(open(q8, "rb").read()).hexdigest(),
                   "note": "logits of the position after the prompt, weights of the Q8_0 file dequantized, all arithmetic float64; an engine that also quantizes activations to int8 may differ by a few tenths",
                   "cases": golden(q8, tok)}, f, ensure_ascii=False)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
