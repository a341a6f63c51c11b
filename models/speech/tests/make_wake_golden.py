"""Writes `data/wake.json`: the scores of openWakeWord's own Python code for a stream of sound, for `wake.rs`.

    pip install openwakeword==0.6.0 onnxruntime
    python make_wake_golden.py melspectrogram.onnx embedding_model.onnx hey_jarvis_v0.1.onnx alexa_v0.1.onnx

The stream: a question, "hey jarvis" (`data/hey-jarvis.wav`, spoken by espeak-ng), and another question, one after the other. The
reference begins with the embeddings of random noise, so its first 26 scores differ from run to run and are left out.
"""
import json, sys, wave
from pathlib import Path

import numpy as np
from openwakeword.model import Model

HERE = Path(__file__).parent
FILES = ["../../../assets/speech/2-light.wav", "data/hey-jarvis.wav", "../../../assets/speech/4-football.wav"]
parts = []
for name in FILES:
    with wave.open(str(HERE / name)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
        parts.append(np.frombuffer(file.readframes(file.getnframes()), np.int16))
sound = np.concatenate(parts)
melspectrogram, embedding, *words = sys.argv[1:]
model = Model(wakeword_models=words, inference_framework="onnx", melspec_model_path=melspectrogram, embedding_model_path=embedding)
names = [Path(word).stem for word in words]
rows = []
for start in range(0, len(sound) - 1279, 1280):
    scores = model.predict(sound[start:start + 1280])
    rows.append([round(float(scores[name]), 6) for name in names])
golden = {"files": FILES, "words": [f"{name}.onnx" for name in names], "first": 26, "scores": rows[26:]}
(HERE / "data/wake.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
print(len(rows), "scores; highest:", dict(zip(names, np.max(rows, axis=0))))
