"""How often see-nano (the ONNX file) says what was drawn, and how far the gate's embedding keeps noise from change.

    python evaluate.py see-nano.onnx [--scenes 300]
    python evaluate.py --write                     the held-out set for the program: see-heldout.jsonl and see-heldout.mjpeg

Scenes are drawn from seeds that training does not use. The artwork and the vocabulary are the same as in training: the figures
say how well new arrangements are read, nothing about photographs.
"""

import argparse
import copy
import io
import json
import random

import numpy as np
import onnxruntime
from PIL import Image

import scenes


def look(session, picture, names=("slots", "embedding")):
    return session.run(list(names), {"picture": picture.transpose(2, 0, 1)[None].astype(np.float32) / 255})


def cosine(a, b):
    a, b = a.ravel(), b.ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def changed(rng, scene):
    """The same background with one group come, gone, moved to another third, or of another colour or number."""
    other = copy.deepcopy(scene)
    kinds = ["come"] if len(other.groups) < 3 else []
    if other.groups:
        kinds += ["gone", "moved", "counted"]
    kind = rng.choice(kinds)
    used = {(g.place, g.object) for g in other.groups}
    if kind == "come":
        other.groups.append(scenes.random_group(rng, used))
    elif kind == "gone":
        other.groups.pop(rng.randrange(len(other.groups)))
    else:
        g = rng.choice(other.groups)
        if kind == "moved":
            g.place = (g.place + rng.choice([1, 2])) % 3
            if sum((o.place, o.object) == (g.place, g.object) for o in other.groups) > 1:
                return changed(rng, scene)
        else:
            g.count = g.count + 1 if g.count < 3 else 1
    other = scenes.arrange(rng, other)
    return changed(rng, scene) if other.words() == scene.words() else (kind, other)


def write(rows=64):
    """Each row: the 17 words of a scene and what changed; three pictures: the scene, it again in other weather, it changed."""
    rng = random.Random(2_000_000_063)
    with open("see-heldout.jsonl", "w") as lines, open("see-heldout.mjpeg", "wb") as pictures:
        for _ in range(rows):
            scene = scenes.random_scene(rng)
            kind, other = changed(rng, scene)
            lines.write(json.dumps({"words": scene.words(), "change": kind}) + "\n")
            for drawn in (scene, scene, other):
                jpeg = io.BytesIO()
                Image.fromarray(scenes.render(drawn, rng)[0]).save(jpeg, "JPEG", quality=90)
                pictures.write(jpeg.getvalue())


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("model", nargs="?", default="see-nano.onnx")
    args.add_argument("--write", action="store_true")
    args.add_argument("--scenes", type=int, default=300)
    a = args.parse_args()
    if a.write:
        return write()
    session = onnxruntime.InferenceSession(a.model, providers=["CPUExecutionProvider"])
    rng = random.Random(2_000_000_011)
    right, slots, whole = np.zeros(17), 0, 0
    same, far = [], {}
    easy = easy_whole = 0
    for _ in range(a.scenes):
        scene = scenes.random_scene(rng)
        out, embedding = look(session, scenes.render(scene, rng)[0])
        said = [scenes.WORDS[i] for i in out.argmax(1)]
        hits = np.array([s == w for s, w in zip(said, scene.words())])
        right += hits
        whole += hits.all()
        if sum(g.count for g in scene.groups) <= 4:
            easy += 1
            easy_whole += hits.all()
        same.append(cosine(embedding, look(session, scenes.render(scene, rng)[0])[1]))
        kind, other = changed(rng, scene)
        far.setdefault(kind, []).append(cosine(embedding, look(session, scenes.render(other, rng)[0])[1]))
    n = a.scenes
    print(f"{n} scenes: all 17 words right in {100 * whole / n:.1f} %; with at most four things in them ({easy}) in {100 * easy_whole / max(easy, 1):.1f} %")
    names = ["light"] + [f"{what} {i}" for i in range(1, 5) for what in ("count", "colour", "object", "place")]
    print("right by slot: " + ", ".join(f"{name} {100 * r / n:.0f} %" for name, r in zip(names, right)))
    q = lambda x: f"5 % below {np.quantile(x, 0.05):.3f}, median {np.median(x):.3f}, 5 % above {np.quantile(x, 0.95):.3f}"
    print(f"cosine, same scene, other weather and shake: {q(same)}")
    for kind, values in sorted(far.items()):
        print(f"cosine, one group {kind}: {q(values)}")
    for t in (0.8, 0.85, 0.9, 0.95):
        every = [v for values in far.values() for v in values]
        print(f"threshold {t}: {100 * np.mean(np.array(same) < t):.1f} % of the same called changed, {100 * np.mean(np.array(every) >= t):.1f} % of changes missed")


if __name__ == "__main__":
    main()
