"""The bundled sequence: a street on which little happens, three pictures of each scene, each with its own noise and shake.

    python demo.py FOLDER      writes 01-1.jpg ... and scenes.json, the words that were drawn
"""

import json
import os
import random
import sys

from PIL import Image

from scenes import HEIGHT, WIDTH, Group, Scene, render

STREET = 20261121
STORY = [  # (night, [(place, object, colour, variant, [(x, y, size)])]) in parts of the picture
    (False, [(2, "house", "plain", 0, [(0.84, 0.36, 0.26)])]),
    (False, [(0, "car", "red", 0, [(0.17, 0.68, 0.27)]), (2, "house", "plain", 0, [(0.84, 0.36, 0.26)])]),
    (False, [(0, "car", "red", 0, [(0.17, 0.68, 0.27)]), (1, "person", "plain", 1, [(0.5, 0.62, 0.26)]), (2, "house", "plain", 0, [(0.84, 0.36, 0.26)])]),
    (False, [(1, "dog", "brown", 1, [(0.42, 0.76, 0.21), (0.58, 0.5, 0.21)]), (2, "house", "plain", 0, [(0.84, 0.36, 0.26)])]),
    (False, [(2, "house", "plain", 0, [(0.84, 0.36, 0.26)])]),
    (True, [(2, "house", "plain", 0, [(0.84, 0.36, 0.26)])]),
    (True, [(0, "bus", "yellow", 0, [(0.17, 0.62, 0.24)]), (2, "house", "plain", 0, [(0.84, 0.36, 0.26)])]),
]


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    told = {}
    for i, (night, groups) in enumerate(STORY, 1):
        scene = Scene(night, [Group(p, name, colour, len(at), variant, at) for p, name, colour, variant, at in groups], STREET)
        for k in range(1, 4):
            rng = random.Random(1000 * i + k)
            picture, _ = render(scene, rng, scale=2, weather=0.6)
            name = f"{i:02}-{k}.jpg"
            Image.fromarray(picture).save(os.path.join(folder, name), quality=80)
            told[name] = " ".join(scene.words())
    with open(os.path.join(folder, "scenes.json"), "w") as f:
        json.dump(told, f, indent=1)
    print(f"{len(told)} pictures of {WIDTH * 2} x {HEIGHT * 2}, {sum(os.path.getsize(os.path.join(folder, n)) for n in told)} bytes")


if __name__ == "__main__":
    main()
