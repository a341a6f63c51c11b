"""Writes a file for each block format: random blocks, then the floats that ggml's own Python package makes of them.

    pip install gguf numpy && python3 make.py

A file holds 512 weights: their blocks, then 512 little-endian floats.
"""

import pathlib

import gguf
import numpy as np

# Format, weights and bytes of a block, where its f16 scales are.
FORMATS = {
    "Q8_0": (32, 34, [0]),
    "Q4_0": (32, 18, [0]),
    "Q4_1": (32, 20, [0, 2]),
    "Q5_0": (32, 22, [0]),
    "Q5_1": (32, 24, [0, 2]),
    "Q2_K": (256, 84, [80, 82]),
    "Q3_K": (256, 110, [108]),
    "Q4_K": (256, 144, [0, 2]),
    "Q5_K": (256, 176, [0, 2]),
    "Q6_K": (256, 210, [208]),
    "IQ4_NL": (32, 18, [0]),
    "IQ4_XS": (256, 136, [0]),
    "MXFP4": (32, 17, []),
}

random = np.random.default_rng(20)
for name, (weights, size, scales) in FORMATS.items():
    blocks = random.integers(0, 256, (512 // weights, size), dtype=np.uint8)
    for at in scales:
        values = random.uniform(-0.1, 0.1, len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = values.view(np.uint8).reshape(-1, 2)
    if name == "MXFP4":
        blocks[:, 0] = random.integers(118, 128, len(blocks))
        blocks[:3, 0] = [0, 1, 250]  # the smallest scales, which are no normal floats, and a large one
    floats = gguf.quants.dequantize(blocks.reshape(1, -1), gguf.GGMLQuantizationType[name]).astype("<f4")
    assert floats.size == 512
    pathlib.Path(__file__).with_name(f"{name}.bin").write_bytes(blocks.tobytes() + floats.tobytes())
