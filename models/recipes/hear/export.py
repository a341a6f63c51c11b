"""Writes hear-nano as a ggml file that whisper.cpp loads (the layout of whisper.cpp's
models/convert-pt-to-ggml.py and examples/quantize), and compares whisper.cpp with PyTorch on it.

    python export.py hear.pt hear-nano.bin --type q8_0
    python export.py hear.pt hear-nano.bin --type q8_0 --check    compares only

whisper.cpp's interface shows the decoder's logits, not the encoder's output; the check therefore
compares the logits after <|startoftranscript|><|notimestamps|>, which pass through all of both.
"""
import argparse
import base64
import ctypes
import hashlib
import os
import struct

import numpy as np
import torch
import whisper

import data
import train

# name: (ggml tensor type, file type; 2000 is the version of the quantized layouts)
TYPES = {"f16": (1, 1), "q8_0": (8, 2007), "q5_0": (6, 2008), "q5_1": (7, 2009)}


def quantize(x, kind):
    """x: 2-D float32 whose rows are multiples of 32; returns bytes in ggml's block layout."""
    b = x.reshape(-1, 32).astype(np.float32)
    if kind == "q8_0":
        d = np.abs(b).max(1, keepdims=True) / 127
        q = np.round(b * np.where(d > 0, 1 / np.where(d > 0, d, 1), 0)).astype(np.int8)
        return np.concatenate([d.astype(np.float16).view(np.uint8), q.view(np.uint8)], 1).tobytes()
    if kind == "q5_0":
        peak = b[np.arange(len(b)), np.abs(b).argmax(1)][:, None]
        d, low = peak / -16, np.zeros_like(peak)
        q = np.clip(np.floor(b * np.where(d != 0, 1 / np.where(d != 0, d, 1), 0) + 16.5), 0, 31).astype(np.uint8)
        head = d.astype(np.float16).view(np.uint8)
    else:  # q5_1
        low = b.min(1, keepdims=True)
        d = (b.max(1, keepdims=True) - low) / 31
        q = np.clip(np.floor((b - low) * np.where(d > 0, 1 / np.where(d > 0, d, 1), 0) + 0.5), 0, 31).astype(np.uint8)
        head = np.concatenate([d.astype(np.float16).view(np.uint8), low.astype(np.float16).view(np.uint8)], 1)
    fifth = ((q >> 4).astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32)[:, None].view(np.uint8)
    nibbles = (q[:, :16] & 15) | ((q[:, 16:] & 15) << 4)
    return np.concatenate([head, fifth, nibbles], 1).tobytes()


def tensors_of(state, spelling):
    """The checkpoint's tensors with the token table unfolded to all 51864 rows."""
    out = {n: t.float().numpy() for n, t in state.items() if n.startswith(("encoder.", "decoder.")) and n != "decoder.mask"}
    small = out["decoder.token_embedding.weight"]
    full = np.repeat(small[-1:], train.N_VOCAB, axis=0)
    full[spelling.ids] = small[:-1]
    out["decoder.token_embedding.weight"] = full
    return out


def write(path, tensors, kind):
    """Writes the ggml file: header, mel filters, the 50256 GPT-2 words, tensors."""
    ggml_type, file_type = TYPES[kind]
    heads = train.WIDTH // train.HEAD
    ranks = os.path.join(os.path.dirname(whisper.__file__), "assets", "gpt2.tiktoken")
    words = [base64.b64decode(line.split()[0]) for line in open(ranks, "rb") if line.strip()]
    with open(path, "wb") as f:
        f.write(struct.pack("12i", 0x67676D6C, train.N_VOCAB, train.N_AUDIO_CTX, train.WIDTH, heads, train.N_AUDIO_LAYER,
                            train.N_TEXT_CTX, train.WIDTH, heads, train.N_TEXT_LAYER, train.N_MELS, file_type))
        f.write(struct.pack("2i", *data.FILTERS.shape) + data.FILTERS.astype(np.float32).tobytes())
        f.write(struct.pack("i", len(words)))
        for word in words:
            f.write(struct.pack("i", len(word)) + word)
        for name, x in tensors.items():
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                x = x.reshape(-1, 1)
            plain = x.ndim < 2 or "positional_embedding" in name or name.endswith("conv1.bias") or name.endswith("conv2.bias")
            if plain:
                t, raw = 0, x.astype(np.float32).tobytes()
            elif x.ndim == 3 or kind == "f16":
                t, raw = 1, x.astype(np.float16).tobytes()
            else:
                t, raw = ggml_type, quantize(x, kind)
            f.write(struct.pack("3i", x.ndim, len(name), t) + struct.pack(f"{x.ndim}i", *x.shape[::-1]) + name.encode() + raw)


def read(path, spelling):
    """The state of a file that `write` wrote in q8_0, for training to go on from it: the values as they were rounded,
    the token table folded again, without the CTC head, which is not in the file."""
    f = open(path, "rb")
    head = struct.unpack("12i", f.read(48))
    assert head[0] == 0x67676D6C and head[3] == train.WIDTH and head[11] % 1000 == 7, "not a q8_0 file of this width"
    n_mel, n_fft = struct.unpack("2i", f.read(8))
    f.seek(4 * n_mel * n_fft, 1)
    for _ in range(struct.unpack("i", f.read(4))[0]):
        f.seek(struct.unpack("i", f.read(4))[0], 1)
    state = {}
    while header := f.read(12):
        n_dims, n_name, t = struct.unpack("3i", header)
        shape = struct.unpack(f"{n_dims}i", f.read(4 * n_dims))[::-1]
        name, n = f.read(n_name).decode(), int(np.prod(shape))
        if t == 8:
            b = np.frombuffer(f.read(n // 32 * 34), np.uint8).reshape(-1, 34)
            x = b[:, :2].copy().view(np.float16).astype(np.float32) * b[:, 2:].view(np.int8)
        else:
            x = np.frombuffer(f.read(n * (2 if t else 4)), np.float16 if t else np.float32).astype(np.float32)
        state[name] = torch.from_numpy(x.reshape(shape).astype(np.float32))
    for name in ("encoder.conv1.bias", "encoder.conv2.bias"):
        state[name] = state[name].flatten()
    full = state["decoder.token_embedding.weight"]
    unused = np.setdiff1d(np.arange(train.N_VOCAB), spelling.ids)[:1]
    state["decoder.token_embedding.weight"] = torch.cat([full[spelling.ids], full[unused]])
    return state


def load(checkpoint):
    """The trained model and its spelling."""
    state = torch.load(checkpoint, weights_only=False, map_location="cpu")
    assert state["width"] == train.WIDTH, "set HEAR_WIDTH to the width of the checkpoint"
    spelling = train.Spelling()
    model = train.Hear(len(spelling.ids), spelling.n_unused, len(train.PHONEMES) + 2)
    model.load_state_dict(state["model"])
    return model.eval(), spelling, state


class ContextParams(ctypes.Structure):
    """whisper.cpp's struct whisper_context_params."""
    _fields_ = [("use_gpu", ctypes.c_bool), ("flash_attn", ctypes.c_bool), ("gpu_device", ctypes.c_int), ("dtw", ctypes.c_bool),
                ("dtw_preset", ctypes.c_int), ("dtw_n_top", ctypes.c_int), ("dtw_n_heads", ctypes.c_size_t),
                ("dtw_heads", ctypes.c_void_p), ("dtw_mem_size", ctypes.c_size_t)]


def whisper_cpp_logits(path, wave, prompt):
    """Logits [51864] after the prompt, by whisper.cpp's own library with the full audio context."""
    import pywhispercpp
    lib = ctypes.CDLL(os.path.join(os.path.dirname(os.path.dirname(pywhispercpp.__file__)), "libwhisper.so.1"))
    lib.whisper_init_from_file_with_params.restype = ctypes.c_void_p
    lib.whisper_init_from_file_with_params.argtypes = [ctypes.c_char_p, ContextParams]
    lib.whisper_get_logits.restype = ctypes.POINTER(ctypes.c_float)
    ctx = ctypes.c_void_p(lib.whisper_init_from_file_with_params(path.encode(), ContextParams()))  # no flash attention, see README
    assert ctx.value, "whisper.cpp does not load the file"
    wave = np.ascontiguousarray(wave, np.float32)
    assert lib.whisper_pcm_to_mel(ctx, wave.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), len(wave), 1) == 0
    assert lib.whisper_encode(ctx, 0, 1) == 0
    tokens = (ctypes.c_int32 * len(prompt))(*prompt)
    assert lib.whisper_decode(ctx, tokens, len(prompt), 0, 1) == 0
    rows = np.ctypeslib.as_array(lib.whisper_get_logits(ctx), (len(prompt), train.N_VOCAB))
    out = rows[-1].copy()
    lib.whisper_free(ctx)
    return out


def check(path, model, spelling, kind):
    """Largest difference of the first step's logits, over a sentence and its prefixes."""
    tolerance = {"f16": 0.05, "q8_0": 0.6, "q5_1": 2.0, "q5_0": 2.5}[kind]
    wave = data.Espeak().say("Is the light on in the kitchen?", "en-us", 175, 50)
    mel = torch.from_numpy(train.normalise(data.mel_power(wave), 2 * train.N_AUDIO_CTX).T.copy())[None]
    text = spelling.encode("Is the light on in the kitchen?")
    worst = 0.0
    with torch.no_grad():
        audio = model.encode(mel)
        for n in (0, 1, 3, len(text)):
            prompt = [train.SOT, train.NOTIMESTAMPS] + text[:n]
            ours = model.decoder(torch.tensor([[spelling.dense[t] for t in prompt]]), audio)[0, -1].numpy()
            theirs = whisper_cpp_logits(path, wave, prompt)
            unused = np.setdiff1d(np.arange(train.N_VOCAB), spelling.ids)
            worst = max(worst, np.abs(theirs[spelling.ids] - ours[:-1]).max(), np.abs(theirs[unused] - ours[-1]).max())
    print(f"largest difference of logits, whisper.cpp {kind} against PyTorch f32: {worst:.4f} (tolerance {tolerance}, "
          f"logits span {ours.min():.1f} to {ours.max():.1f})")
    assert worst < tolerance


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    net, words, info = load(args.checkpoint)
    if not args.check:
        write(args.out, tensors_of(net.state_dict(), words), args.type)
    print(f"{args.out}: {os.path.getsize(args.out)} bytes, sha256 {hashlib.sha256(open(args.out, 'rb').read()).hexdigest()}, "
          f"step {info['step']}, {info['spent'] / 60:.0f} minutes")
    check(args.out, net, words, args.type)
