#!/usr/bin/env python3
"""Makes models/speech/tests/data/tiny-piper.onnx and its .json: a model with the interface of a Piper voice that is no voice.

Inputs and outputs are those of a Piper voice (input [1, n] i64, input_lengths [1] i64, scales [3] f32, and sid [1] i64
in the second file; output [1, 1, 1, m] f32). What it "says" can be computed by hand, so that a test can check every
input: phoneme id p becomes 256 samples of value (p / 200) * scales[1], except that the pad (id 0) becomes silence; with
a speaker, values are negated for speaker 1. tiny-vits.onnx (and -two-speakers) instead has the decoder of a VITS voice in small: a
convolution, a transposed one, one with dilation, tanh; with speakers, one more convolution of what belongs to the speaker. For maintainers; needs the PyPI package `onnx`.
"""

import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

SAMPLES_PER_ID = 256
DATA = Path(__file__).parent / "data"
PHONEMES = ["_", "^", "$", " ", "!", ",", ".", ":", ";", "?", "ˈ", "ˌ", "ː"] + list("abdefhijklmnoprstuvwzæðŋɑɐɒɔəɚɛɜɡɪɹʃʊʌʒθɾɬᵻ")


def model(speakers: int) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    constants = [
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("two", TensorProto.INT64, [1], [2]),
        helper.make_tensor("unit", TensorProto.FLOAT, [1], [1.0 / 200.0]),
        helper.make_tensor("ones", TensorProto.FLOAT, [1, 1, 1, SAMPLES_PER_ID], [1.0] * SAMPLES_PER_ID),
        helper.make_tensor("column", TensorProto.INT64, [4], [1, 1, -1, 1]),
        helper.make_tensor("row", TensorProto.INT64, [4], [1, 1, 1, -1]),
        helper.make_tensor("minus_two", TensorProto.FLOAT, [1], [-2.0]),
        helper.make_tensor("plus_one", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
    ]
    nodes = [
        # The ids that `input_lengths` counts; a wrong length shows as missing sound.
        helper.make_node("Slice", ["input", "zero", "input_lengths", "one"], ["counted"]),
        helper.make_node("Cast", ["counted"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["scales", "one", "two", "zero"], ["length_scale"]),
        helper.make_node("Mul", ["ids", "unit"], ["levels"]),
        helper.make_node("Mul", ["levels", "length_scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "column"], ["standing"]),
        helper.make_node("Mul", ["standing", "ones"], ["spread"]),
        helper.make_node("Reshape", ["spread", "row"], ["mono" if speakers > 1 else "output"]),
    ]
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        nodes += [
            helper.make_node("Cast", ["sid"], ["speaker"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["speaker", "minus_two"], ["doubled"]),
            helper.make_node("Add", ["doubled", "plus_one"], ["sign"]),
            helper.make_node("Mul", ["mono", "sign"], ["output"]),
        ]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "tiny_piper",
        inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])],
        [c for c in constants if c.name in used],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def config(speakers: int) -> dict:
    return {
        "audio": {"sample_rate": 22050, "quality": "none"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_map": {},
        "phoneme_id_map": {phoneme: [i] for i, phoneme in enumerate(PHONEMES)},
        "num_symbols": len(PHONEMES),
        "num_speakers": speakers,
        "speaker_id_map": {f"speaker {i}": i for i in range(speakers)} if speakers > 1 else {},
        "piper_version": "1.0.0",
    }


def vits(speakers: int) -> onnx.ModelProto:
    """Two channels a phoneme; 4 samples a frame; weights of a simple rule."""

    def weights(name: str, shape: list[int]) -> onnx.TensorProto:
        count = 1
        for n in shape:
            count *= n
        return helper.make_tensor(name, TensorProto.FLOAT, shape, [((i * 7919 + len(name) * 31) % 1000) / 1000.0 - 0.5 for i in range(count)])

    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        for name, values in {"zero": [0], "one": [1], "two": [2], "middle": [1]}.items()
    ] + [helper.make_tensor("unit", TensorProto.FLOAT, [1], [1.0 / 40.0]), helper.make_tensor("third", TensorProto.FLOAT, [1], [1.0 / 3.0])]
    constants += [weights("spread", [2, 1, 1]), weights("pre", [4, 2, 7]), weights("up", [4, 3, 8]), weights("dilated", [3, 3, 5]), weights("post", [1, 3, 7])]
    nodes = [
        helper.make_node("Slice", ["input", "zero", "input_lengths", "one"], ["counted"]),
        helper.make_node("Cast", ["counted"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["scales", "one", "two", "zero"], ["length_scale"]),
        helper.make_node("Mul", ["ids", "length_scale"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "unit"], ["levels"]),
        helper.make_node("Unsqueeze", ["levels", "middle"], ["row"]),
        helper.make_node("Conv", ["row", "spread"], ["latent"], kernel_shape=[1]),
        helper.make_node("Conv", ["latent", "pre"], ["begun"], kernel_shape=[7], pads=[3, 3]),
    ]
    begun = "begun"
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        constants += [weights("embedding", [speakers, 2]), weights("condition", [4, 2, 1])]
        nodes += [
            helper.make_node("Gather", ["embedding", "sid"], ["speaker"]),
            helper.make_node("Unsqueeze", ["speaker", "two"], ["standing"]),
            helper.make_node("Conv", ["standing", "condition"], ["conditioned"], kernel_shape=[1]),
            helper.make_node("Add", ["begun", "conditioned"], ["both"]),
        ]
        begun = "both"
    nodes += [
        helper.make_node("LeakyRelu", [begun], ["bent"], alpha=0.1),
        helper.make_node("ConvTranspose", ["bent", "up"], ["upsampled"], kernel_shape=[8], strides=[4], pads=[2, 2]),
        helper.make_node("Conv", ["upsampled", "dilated"], ["filtered"], kernel_shape=[5], dilations=[3], pads=[6, 6]),
        helper.make_node("Add", ["upsampled", "filtered"], ["summed"]),
        helper.make_node("Mul", ["summed", "third"], ["mean"]),
        helper.make_node("Conv", ["mean", "post"], ["wave"], kernel_shape=[7], pads=[3, 3]),
        helper.make_node("Tanh", ["wave"], ["bounded"]),
        helper.make_node("Unsqueeze", ["bounded", "one"], ["output"]),
    ]
    graph = helper.make_graph(nodes, "tiny_vits", inputs, [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def main() -> None:
    DATA.mkdir(exist_ok=True)
    for name, speakers in (("tiny-vits", 1), ("tiny-vits-two-speakers", 2)):
        (DATA / f"{name}.onnx").write_bytes(vits(speakers).SerializeToString())
        text = json.dumps(config(speakers), ensure_ascii=False, indent=1)
        (DATA / f"{name}.onnx.json").write_text(text + "\n", encoding="utf-8")
    for name, speakers in (("tiny-piper", 1), ("tiny-piper-two-speakers", 2)):
        (DATA / f"{name}.onnx").write_bytes(model(speakers).SerializeToString())
        text = json.dumps(config(speakers), ensure_ascii=False, indent=1)
        (DATA / f"{name}.onnx.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
