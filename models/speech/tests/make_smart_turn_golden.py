"""Writes `data/smart_turn.json`: what Whisper's feature extractor and Smart Turn make of two recordings, for `turn.rs`.

    pip install numpy onnxruntime transformers
    python make_smart_turn_golden.py smart-turn-v3.2-cpu.onnx

The steps are those of pipecat's `LocalSmartTurnAnalyzerV3`: the last 8 s, zeros before shorter sound, normalized as a whole.
"""
import json, sys, wave
from pathlib import Path

import numpy as np
import onnxruntime
from transformers import WhisperFeatureExtractor

HERE = Path(__file__).parent
extractor = WhisperFeatureExtractor(chunk_length=8)
session = onnxruntime.InferenceSession(sys.argv[1])
cases = []
for name, share in [("2-light.wav", 1.0), ("2-light.wav", 0.5), ("4-football.wav", 1.0), ("4-football.wav", 0.6)]:
    with wave.open(str(HERE / "../../../assets/speech" / name)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    sound = sound[: int(len(sound) * share)]
    padded = np.concatenate([np.zeros(8 * 16000 - len(sound), np.float32), sound])
    features = extractor(padded, sampling_rate=16000, return_tensors="np", padding="max_length", max_length=8 * 16000,
                         truncation=True, do_normalize=True).input_features.astype(np.float32)
    probability = float(session.run(None, {"input_features": features})[0].reshape(-1)[0])
    # Every 7th band of every 37th frame.
    cases.append({"file": name, "samples": len(sound), "probability": round(probability, 5),
                  "features": [[round(float(v), 4) for v in features[0, ::7, frame]] for frame in range(5, 800, 37)]})
(HERE / "data/smart_turn.json").write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
for case in cases:
    print(case["file"], case["samples"], case["probability"])
