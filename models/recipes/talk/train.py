"""Trains talk-nano on the CPU from conversations generated on the fly; resumable, and timed by the clock.

A sequence is one home and as many turns as fit: every answer is supervised (weight 1), questions a little (0.1),
the home and tool results not at all; some sequences are copying drills. Muon drives the matrices, Adam the embedding
and the norms; the learning rate warms up, stays, and falls to zero over the last half of the time given, so that
training ends on time on a machine that others use too. To go on from a finished run, resume with more minutes: the
rate rises again by itself. While it runs it reads mix.json (kind -> share), if there is one, to give harder questions
more room. It leaves out evaluation: that is evaluate.py, in another process.
"""

import argparse
import json
import os
import random
import time

import torch
import torch.nn.functional as F

import grammar
import tokenizer
from model import Llama, Shape

SHAPE = Shape(vocab=tokenizer.VOCAB, d_model=128, n_layers=6, n_heads=4, n_kv_heads=2, head_dim=32, d_ffn=384)
# (until this share of the time, tokens a sequence, sequences a step, most rooms in a home, share of copying drills)
STAGES = [(0.72, 320, 7, 5, 0.08), (1.01, 512, 5, 8, 0.03)]
DECAY_FROM, WARMUP_STEPS = 0.5, 20
MUON_RATE, ADAM_RATE = 0.02, 0.004
# by loss class: context, question, answer, drill
WEIGHTS = torch.tensor([0.0, 0.1, 1.0, 0.5])


def newton_schulz(g, steps=5):
    """Nearest (about) orthogonal matrix of each g in [n, rows, columns]; Keller Jordan's coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    flip = x.shape[-2] > x.shape[-1]
    x = x.mT if flip else x
    for _ in range(steps):
        y = x @ x.mT
        x = a * x + (b * y + c * y @ y) @ x
    return x.mT if flip else x


class Muon:
    def __init__(self, params, momentum=0.95):
        self.groups = {}
        for p in params:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.momentum, self.buffers = momentum, {s: torch.zeros(len(ps), *s) for s, ps in self.groups.items()}

    @torch.no_grad()
    def step(self, rate):
        for shape, ps in self.groups.items():
            grad = torch.stack([p.grad for p in ps])
            buf = self.buffers[shape]
            buf.lerp_(grad, 1 - self.momentum)
            update = newton_schulz(grad.lerp(buf, self.momentum)) * max(1, shape[0] / shape[1]) ** 0.5
            for p, u in zip(ps, update):
                p.mul_(1 - rate * 0.05).sub_(u, alpha=rate)


class Stream:
    """Batches of packed conversations."""

    def __init__(self, seed):
        self.rng, self.tok, self.mix = random.Random(seed), tokenizer.load(), dict(grammar.MIX)

    def drill(self, n, size):
        """A home whose lines come again in other orders, as a user's text: looking up a line by its name and copying it
        is what most answers need, and this teaches it several times sooner than questions alone."""
        rng, tok = self.rng, self.tok
        world = grammar.World(rng)
        while True:
            lines = grammar.render(world.home(size), "").split("\n")[1:]
            if lines:
                break
        ids = [tok.token_to_id("<|system|>")] + tok.encode("Home:\n" + "\n".join(lines)).ids + [tok.token_to_id("<|end|>"), tok.token_to_id("<|user|>")]
        kind = [0] * len(ids)
        while len(ids) < n + 1:
            rng.shuffle(lines)
            for line in lines:  # which line comes next cannot be known, so its first token does not count
                new = tok.encode(line + "\n").ids
                ids += new
                kind += [0] + [3] * (len(new) - 1)
        return ids[: n + 1], kind[: n + 1]

    def sequence(self, n, size, drills=0.0):
        if self.rng.random() < drills:
            return self.drill(n, size)
        while True:
            talk = grammar.conversation(self.rng, size=self.rng.randint(1, size) if self.rng.random() < 0.5 else size, mix=self.mix)
            _, system = next(talk)
            room = n - len(self.tok.encode(system).ids)
            if room < n // 3:
                continue
            turns = [next(talk) for _ in range(room // 22 + 2)]
            ids, kind = tokenizer.chat(self.tok, system, turns)
            while len(ids) < n + 1:
                turns += [next(talk) for _ in range(4)]
                ids, kind = tokenizer.chat(self.tok, system, turns)
            return ids[: n + 1], kind[: n + 1]

    def batch(self, n, count, size, drills=0.0):
        pairs = [self.sequence(n, size, drills) for _ in range(count)]
        return torch.tensor([p[0] for p in pairs]), torch.tensor([p[1] for p in pairs])


def save(path, **what):
    torch.save(what, path + ".part")
    os.replace(path + ".part", path)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--minutes", type=float, default=80)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--dir", default="build")
    args.add_argument("--until", type=float, default=0, help="end of training as Unix time (instead of --minutes)")
    a = args.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    path = f"{a.dir}/checkpoint.pt"
    model = Llama(SHAPE)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim == 1 or "embed" in n]
    muon, adam = Muon(matrices), torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    step, seen, spent = 0, 0, 0.0
    if os.path.exists(path):
        old = torch.load(path, weights_only=False)
        model.load_state_dict(old["model"])
        adam.load_state_dict(old["adam"])
        for s, b in old["muon"].items():
            muon.buffers[s].copy_(b)
        step, seen, spent = old["step"], old["seen"], old["spent"]
        print(f"resumed at step {step}, {spent / 60:.1f} minutes", flush=True)
    stream = Stream(a.seed * 1000003 + step)
    hidden = torch.compile(model.hidden, dynamic=True)
    begun = time.time() - spent
    total = (a.until - begun) if a.until else a.minutes * 60
    log = open(f"{a.dir}/train.log", "a")
    saved = mixed = time.time()
    sums = torch.zeros(6)
    t_log, s_log = time.time(), seen
    while True:
        spent = time.time() - begun
        at = spent / total
        if at >= 1:
            break
        _, n, count, size, drills = next(s for s in STAGES if at < s[0])
        rate = min(1, (step + 1) / WARMUP_STEPS) * min(1, max(0.0, (1 - at) / (1 - DECAY_FROM)))
        ids, kind = stream.batch(n, count, size, drills)
        x, y, k = ids[:, :-1], ids[:, 1:].flatten(), kind[:, 1:].flatten()
        keep = k.nonzero()[:, 0]
        y, k = y[keep], k[keep]
        h = hidden(x).flatten(0, 1)[keep]
        each = F.cross_entropy(model.logits(h), y, reduction="none")
        weight = WEIGHTS[k]
        loss = (each * weight).sum() / weight.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(MUON_RATE * rate)
        for g in adam.param_groups:
            g["lr"] = ADAM_RATE * rate
        adam.step()
        model.zero_grad(set_to_none=True)
        step, seen = step + 1, seen + x.numel()
        with torch.no_grad():
            sums += torch.stack([torch.stack((each[k == c].sum(), (k == c).sum())) for c in (2, 1, 3)]).flatten()
        if step % 20 == 0:
            line = f"{time.strftime('%H:%M:%S')} step {step} at {at:.3f} n {n} answer {sums[0] / sums[1]:.4f} question {sums[2] / sums[3]:.3f} drill {sums[4] / sums[5].clamp(min=1):.3f} rate {rate:.3f} tokens {seen / 1e6:.2f}M {(seen - s_log) / (time.time() - t_log):.0f}/s"
            print(line, flush=True)
            print(line, file=log, flush=True)
            sums.zero_()
            t_log, s_log = time.time(), seen
        if time.time() - saved > 150 or os.path.exists(f"{a.dir}/save"):
            if os.path.exists(f"{a.dir}/save"):
                os.remove(f"{a.dir}/save")
            save(path, model=model.state_dict(), adam=adam.state_dict(), muon=muon.buffers, step=step, seen=seen, spent=spent, shape=SHAPE.as_dict())
            saved = time.time()
        if time.time() - mixed > 20 and os.path.exists(f"{a.dir}/mix.json"):
            mixed = time.time()
            try:
                stream.mix = {**grammar.MIX, **json.load(open(f"{a.dir}/mix.json"))}
            except ValueError:
                pass
    save(path, model=model.state_dict(), adam=adam.state_dict(), muon=muon.buffers, step=step, seen=seen, spent=spent, shape=SHAPE.as_dict())
    save(f"{a.dir}/final.pt", model=model.state_dict(), step=step, seen=seen, spent=spent, shape=SHAPE.as_dict())
    print(f"done: {step} steps, {seen / 1e6:.2f} million tokens, {spent / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
