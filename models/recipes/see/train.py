"""Trains see-nano on scenes made as it goes; timed by the clock, resumable from build/see.pt.

    python train.py --minutes 60 [--threads 1] [--bf16]
"""

import argparse
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import scenes
from model import GRID, See

PATH = "build/see.pt"


def targets(batch):
    """batch: [(scene, boxes)]. Centre heat [n, 1, H, W], class and colour of each cell, sizes, and the weight of each cell."""
    n, (gh, gw) = len(batch), GRID
    heat = np.zeros((n, 1, gh, gw), np.float32)
    weight = np.zeros((n, gh, gw), np.float32)
    kind, colour = np.zeros((n, gh, gw), np.int64), np.zeros((n, gh, gw), np.int64)
    size = np.zeros((n, 2, gh, gw), np.float32)
    ys, xs = np.mgrid[:gh, :gw]
    for i, (_, boxes) in enumerate(batch):
        for x, y, w, h, name, dye in boxes:
            cx, cy = x * gw - 0.5, y * gh - 0.5
            ix, iy = min(max(round(cx), 0), gw - 1), min(max(round(cy), 0), gh - 1)
            sigma = min(max(0.6, 0.09 * max(w * gw, h * gh)), 1.2)
            bell = np.exp(-((xs - ix) ** 2 + (ys - iy) ** 2) / (2 * sigma**2)).astype(np.float32)
            nearer = bell > np.maximum(weight[i], 0.2)
            np.maximum(heat[i, 0], bell, out=heat[i, 0])
            weight[i][nearer] = bell[nearer]
            kind[i][nearer], colour[i][nearer] = scenes.OBJECTS.index(name), scenes.COLOURS.index(dye)
            size[i][:, nearer] = np.array([[math.log(w * gw)], [math.log(h * gh)]])
    return [torch.from_numpy(a) for a in (heat, weight, kind, colour, size)]


def loss_of(out, heat, weight, kind, colour, size, night):
    p = out["centre"].float().sigmoid().clamp(1e-4, 1 - 1e-4)
    hit = heat.eq(1).float()
    focal = -(hit * (1 - p) ** 2 * p.log() + (1 - hit) * (1 - heat) ** 4 * p**2 * (1 - p).log())
    n = hit.sum().clamp(min=1)
    total = weight.sum().clamp(min=1)
    parts = {
        "centre": focal.sum() / n,
        "object": (F.cross_entropy(out["object"].float(), kind, reduction="none") * weight).sum() / total,
        "colour": (F.cross_entropy(out["colour"].float(), colour, reduction="none") * weight).sum() / total,
        "size": ((out["size"].float() - size).abs().mean(1) * weight).sum() / total,
        "light": F.cross_entropy(out["light"].float(), night),
    }
    return parts["centre"] + 1.5 * parts["object"] + parts["colour"] + 0.3 * parts["size"] + 0.3 * parts["light"], parts


def batch_of(rng, n, held=None):
    """n scenes; with `held`, a list, a third of them is new and the others come from the latest 6,000 kept there."""
    new = n if held is None or len(held) < n else n // 3
    made = [(scene, *scenes.render(scene, rng)) for scene in (scenes.random_scene(rng) for _ in range(new))]
    if held is not None:
        held += made
        del held[:-6000]
        made += rng.sample(held, n - new)
    x = torch.from_numpy(np.stack([m[1] for m in made])).permute(0, 3, 1, 2).float() / 255
    night = torch.tensor([int(m[0].night) for m in made])
    return x, [*targets([(m[0], m[2]) for m in made]), night]


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--minutes", type=float, default=60)
    args.add_argument("--batch", type=int, default=24)
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--rate", type=float, default=3e-3)
    args.add_argument("--bf16", action="store_true")
    a = args.parse_args()
    torch.set_num_threads(a.threads)
    os.makedirs("build", exist_ok=True)
    model = See().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=a.rate, weight_decay=0.02)
    step, spent = 0, 0.0
    if os.path.exists(PATH):
        last = torch.load(PATH)
        model.load_state_dict(last["model"])
        optimizer.load_state_dict(last["optimizer"])
        step, spent = last["step"], last["spent"]
    rng = random.Random(1000 + step)
    begun, saved, average, held = time.time(), time.time(), {}, []
    while (now := spent + time.time() - begun) < a.minutes * 60:
        progress = now / (a.minutes * 60)
        rate = a.rate * min(1, (step + 1) / 100) * (0.02 + 0.98 * min(1, 2 * (1 - progress)) ** 1.5)
        for group in optimizer.param_groups:
            group["lr"] = rate
        x, wanted = batch_of(rng, a.batch, held)
        with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
            out = model(x.contiguous(memory_format=torch.channels_last))
        loss, parts = loss_of(out, *wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        step += 1
        for k, v in parts.items():
            average[k] = 0.98 * average.get(k, float(v)) + 0.02 * float(v)
        if step % 50 == 0:
            print(f"{now / 60:6.1f} min, step {step}, rate {rate:.5f}: " + ", ".join(f"{k} {v:.3f}" for k, v in average.items()), flush=True)
        if time.time() - saved > 120:
            saved = time.time()
            save(model, optimizer, step, spent + time.time() - begun)
    save(model, optimizer, step, spent + time.time() - begun)


def save(model, optimizer, step, spent):
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "spent": spent}, PATH + ".new")
    os.replace(PATH + ".new", PATH)


if __name__ == "__main__":
    main()
