"""Reads what the recipe writes: checkpoints of train.py, and GGUF files of export.py with their tokenizer."""

import gguf
import numpy as np
import torch

import tokenizer
from model import Llama, Shape

MATRICES = dict(wq="attn_q", wk="attn_k", wv="attn_v", wo="attn_output", gate="ffn_gate", up="ffn_up", down="ffn_down")


def load_checkpoint(path):
    data = torch.load(path, weights_only=False)
    model = Llama(Shape(**data["shape"]))
    model.load_state_dict(data["model"])
    return model.eval(), data


def read(path):
    """(shape, name -> float32 array) of a GGUF file."""
    r = gguf.GGUFReader(path)
    get = lambda key: r.fields["llama." + key].contents()
    shape = Shape(get("vocab_size"), get("embedding_length"), get("block_count"), get("attention.head_count"), get("attention.head_count_kv"),
                  get("attention.key_length"), get("feed_forward_length"), get("rope.freq_base"), get("attention.layer_norm_rms_epsilon"), get("context_length"))
    return shape, {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).copy() for t in r.tensors}


def model_of_gguf(path):
    shape, t = read(path)
    model = Llama(shape)
    with torch.no_grad():
        model.embed.weight.copy_(torch.from_numpy(t["token_embd.weight"]))
        model.norm.weight.copy_(torch.from_numpy(t["output_norm.weight"]))
        for i, b in enumerate(model.blocks):
            b.attn_norm.weight.copy_(torch.from_numpy(t[f"blk.{i}.attn_norm.weight"]))
            b.ffn_norm.weight.copy_(torch.from_numpy(t[f"blk.{i}.ffn_norm.weight"]))
            for ours, theirs in MATRICES.items():
                getattr(b, ours).weight.copy_(torch.from_numpy(t[f"blk.{i}.{theirs}.weight"]))
    return model


def tokenizer_of(path):
    fields = gguf.GGUFReader(path).fields
    entries, merges = (fields[f"tokenizer.ggml.{what}"].contents() for what in ("tokens", "merges"))
    return tokenizer.assemble({t: i for i, t in enumerate(entries)}, [m.split(" ") for m in merges])
