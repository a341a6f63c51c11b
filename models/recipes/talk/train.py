"""Trains talk-nano on the CPU from text generated on the fly; resumable, and timed by the clock.

A sequence belongs to one skill: a home and as many turns as fit, or several tables with their reports, or many pictures
with their captions. Every answer is supervised (weight 1), questions about a home a little (0.1), all else not at all;
some sequences are copying drills. Products run in bfloat16, the weights and their sums stay in float32. Muon drives the
matrices, Adam the embedding and the norms; the learning rate warms up, stays for a quarter of the time given, and then
falls to zero, so that training ends on time on a machine that others use too. To go on from a finished run, resume with
more minutes: the rate rises again by itself. While it runs it reads mix.json, if there is one: kind of question ->
share, "skills" -> shares of the skills, "rate" -> factor on the learning rate. It leaves out evaluation: that is
evaluate.py, in another process.
"""

import argparse
import json
import os
import random
import time

import torch
import torch.nn.functional as F

import grammar
import pictures
import reports
import tokenizer
from model import Llama, Shape

SHAPE = Shape(vocab=tokenizer.VOCAB, d_model=256, n_layers=9, n_heads=8, n_kv_heads=4, head_dim=32, d_ffn=768)
# (until this share of the time, tokens a sequence, sequences a step, most rooms in a home, share of copying drills)
STAGES = [(0.3, 352, 12, 7, 0.12), (0.85, 384, 16, 8, 0.06), (1.01, 512, 12, 8, 0.03)]
REASONING = 0.15  # share of the home's sequences that are nothing but conclusions
VARIED = 0.4  # share of the sequences that a variant of the tokenizer spells, at first; falls to none in the end
SKILLS = {"home": 0.66, "report": 0.26, "picture": 0.08}  # shares of the tokens
MIX = {**grammar.MIX, "compare": 12, "list_": 11, "any_": 5, "all_": 5, "count": 8, "things": 6, "temp": 9, "humidity": 6, "light_cmd": 9, "turn_back": 6}  # the harder kinds more often
DECAY_FROM, WARMUP_STEPS = 0.25, 30
MUON_RATE, ADAM_RATE = 0.02, 0.004
# by loss class: context, question, answer about a home, drill, report, caption, conclusion
CLASSES = {"home": 2, "report": 4, "picture": 5}
WEIGHTS = torch.tensor([0.0, 0.1, 1.0, 0.5, 1.0, 1.0, 3.0])


def newton_schulz(g, steps=5):
    """Nearest (about) orthogonal matrix of each g in [n, rows, columns]; Keller Jordan's coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)).bfloat16()
    flip = x.shape[-2] > x.shape[-1]
    x = x.mT if flip else x
    for _ in range(steps):
        y = x @ x.mT
        x = a * x + (b * y + c * y @ y) @ x
    return (x.mT if flip else x).float()


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

    def __init__(self, seed, rate=1.0):
        self.rate, self.varied = rate, VARIED
        self.rng, self.whole, self.mix, self.skills = random.Random(seed), tokenizer.load(), dict(MIX), dict(SKILLS)
        self.tok, self.variants = self.whole, tokenizer.variants(self.whole, self.rng, 200)
        grammar.TOKENS = sorted(t for t in self.tok.get_vocab() if t.isascii() and t.isalpha() and t.islower() and len(t) > 1)

    def drill(self, n, size):
        """A home whose lines come again in other orders, as a user's text: copying is what most answers need, and this
        teaches it several times sooner than questions alone."""
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

    def reasoning(self, n):
        """Short talks whose conclusions alone count: which number is larger, how many names were said, where it is warmest. In
        an ordinary talk they are one token in a hundred, too few to be learned in the time."""
        rng, tok = self.rng, self.tok
        system, user, assistant, end = (tok.token_to_id(t) for t in ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"))
        ids, kind = [], []
        while len(ids) < n + 1:
            world = grammar.World(rng)
            home = world.home(rng.randint(2, 6))
            talker = grammar.Talker(rng, home, world)
            extreme = rng.random() < 0.4
            if extreme:  # the readings must stand somewhere; elsewhere the answer says them
                state = tok.encode(grammar.render(home, "")).ids
                ids += [system, *state, end]
                kind += [0] * (len(state) + 2)
            for _ in range(4):
                turn = talker.extreme() if extreme else rng.choice((talker.compare, talker.compare, talker.threshold, talker.count))()
                if turn is None:
                    continue
                reply = turn.reply
                at = reply.find(" in the ") if extreme else reply.rfind(", ")
                at = reply.find(" in ") if extreme and at < 0 else at
                if at < 0 or reply.startswith("There"):
                    continue
                said, whole = (tok.encode(t).ids for t in (reply[: at + (3 if extreme else 1)], reply))
                asked = tok.encode(turn.question).ids
                ids += [user, *asked, end, assistant, *whole, end]
                kind += [0] * (len(asked) + 3 + len(said)) + [6] * (len(whole) - len(said)) + [0]
        return ids[: n + 1], kind[: n + 1]

    def talk(self, n, size):
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
            return ids, kind

    def sequence(self, n, size, drills=0.0):
        skill, mixed = self.rng.choices(list(self.skills), list(self.skills.values()))[0], {}
        self.tok = self.rng.choice(self.variants) if skill != "picture" and self.rng.random() < self.varied else self.whole  # a picture's words must stay one token each
        if skill == "report":
            ids, kind = reports.pack(self.tok, self.rng, n)
        elif skill == "picture":
            ids, kind, mixed = pictures.pack(self.tok, self.rng, n)
        elif self.rng.random() < REASONING:
            ids, kind = self.reasoning(n)
        elif self.rng.random() < drills:
            ids, kind = self.drill(n, size)
        else:
            ids, kind = self.talk(n, size)
        kind = [CLASSES[skill] if k == 2 else k for k in kind[: n + 1]]
        return ids[: n + 1], kind, {at: what for at, what in mixed.items() if at < n}

    def batch(self, n, count, size, drills=0.0):
        """Token ids and loss classes [count, n + 1], and what is mixed into which embeddings, [count, n] and [count, n, 1]."""
        rows = [self.sequence(n, size, drills) for _ in range(count)]
        other, share = torch.zeros(count, n, dtype=torch.long), torch.zeros(count, n, 1)
        for i, (_, _, mixed) in enumerate(rows):
            if mixed:
                at = torch.tensor(list(mixed))
                other[i, at] = torch.tensor([w for w, _ in mixed.values()])
                share[i, at, 0] = torch.tensor([s for _, s in mixed.values()])
        return torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows]), other, share


@torch.no_grad()
def grow(model, tensors, old):
    """Puts the weights of a smaller shape into `model` so that it says what the small one said: what is new in it is heard by
    nothing at first (zero columns in `wo` and `down`, zero dimensions in the embedding), but can be learned from. The
    layers that are new are copies that add nothing, after every third or fourth of the old."""
    new, olds = model.shape, range(old["n_layers"])
    extra = new.n_layers - len(olds)
    order = sorted([*olds] + [(i + 1) * len(olds) // extra - 1 for i in range(extra)])
    thinner = (old["d_model"] / new.d_model) ** 0.5  # zero dimensions make a norm divide by less
    for name, whole in model.named_parameters():
        copy, of = False, name
        if name.startswith("blocks."):
            _, at, rest = name.split(".", 2)
            copy, of = int(at) > 0 and order[int(at) - 1] == order[int(at)], f"blocks.{order[int(at)]}.{rest}"
        small = tensors[of] * (thinner if "norm" in name else 0 if copy and (".wo." in name or ".down." in name) else 1)
        if "norm" in name:
            whole.fill_(float(small.mean()))
        elif "embed" in name or ".wo." in name or ".down." in name:
            whole.zero_()
        else:
            torch.nn.init.normal_(whole, std=0.5 * new.d_model**-0.5)
        whole[tuple(slice(n) for n in small.shape)] = small


def save(path, **what):
    torch.save(what, path + ".part")
    os.replace(path + ".part", path)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--minutes", type=float, default=80)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--dir", default="build")
    args.add_argument("--rate", type=float, default=1, help="factor on the learning rate: less than 1 to go on from a trained model")
    args.add_argument("--until", type=float, default=0, help="end of training as Unix time (instead of --minutes)")
    a = args.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    path = f"{a.dir}/checkpoint.pt"
    model = Llama(SHAPE)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim == 1 or "embed" in n]
    muon, adam = Muon(matrices), torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    step, seen, spent, warm_from = 0, 0, 0.0, 0
    if os.path.exists(path):
        old = torch.load(path, weights_only=False)
        step, seen, spent = old["step"], old["seen"], old["spent"]
        if "adam" in old and old["shape"] == SHAPE.as_dict():
            model.load_state_dict(old["model"])
            adam.load_state_dict(old["adam"])
            for s, b in old["muon"].items():
                muon.buffers[s].copy_(b)
        else:
            warm_from = step
            grow(model, old["model"], old["shape"])
            print(f"grown from {old['shape']}", flush=True)
        print(f"resumed at step {step}, {spent / 60:.1f} minutes", flush=True)
    stream = Stream(a.seed * 1000003 + step, a.rate)

    def forward(tokens, other, share):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model.train_hidden(tokens, other, share)

    def losses(hidden, targets):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model.logits(hidden)
        return F.cross_entropy(logits.float(), targets, reduction="none")

    hidden, losses = torch.compile(forward, dynamic=False), torch.compile(losses, dynamic=True)
    begun = time.time() - spent
    total = (a.until - begun) if a.until else a.minutes * 60
    log = open(f"{a.dir}/train.log", "a")
    saved, mixed = time.time(), 0.0
    sums, making = torch.zeros(12), 0.0
    t_log, s_log = time.time(), seen
    while True:
        spent = time.time() - begun
        at = spent / total
        if at >= 1:
            break
        _, n, count, size, drills = next(s for s in STAGES if at < s[0])
        rate = min(1, (step - warm_from + 1) / WARMUP_STEPS) * min(1, max(0.0, (1 - at) / (1 - DECAY_FROM))) ** 1.5 * stream.rate
        stream.varied = VARIED * (1 - at) ** 2
        t = time.process_time()
        ids, kind, other, share = stream.batch(n, count, size, drills)
        making += time.process_time() - t
        x, y, k = ids[:, :-1], ids[:, 1:].flatten(), kind[:, 1:].flatten()
        keep = k.nonzero()[:, 0]
        y, k = y[keep], k[keep]
        h = hidden(x, other, share).flatten(0, 1)[keep]
        each = losses(h, y)
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
            sums += torch.stack([torch.stack((each[k == c].sum(), (k == c).sum())) for c in (2, 4, 5, 1, 3, 6)]).flatten()
        if step % 20 == 0:
            answer, report, caption, question, drill, conclusion = (sums[0::2] / sums[1::2].clamp(min=1)).tolist()
            wall = time.time() - t_log
            line = (f"{time.strftime('%H:%M:%S')} step {step} at {at:.3f} n {n} answer {answer:.4f} report {report:.4f} caption {caption:.4f} question {question:.3f} "
                    f"drill {drill:.3f} conclusion {conclusion:.3f} rate {rate:.3f} tokens {seen / 1e6:.2f}M {(seen - s_log) / wall:.0f}/s data {100 * making / wall:.0f}%")
            print(line, flush=True)
            print(line, file=log, flush=True)
            sums.zero_()
            t_log, s_log, making = time.time(), seen, 0.0
        if time.time() - saved > 150 or os.path.exists(f"{a.dir}/save"):
            if os.path.exists(f"{a.dir}/save"):
                os.remove(f"{a.dir}/save")
            save(path, model=model.state_dict(), adam=adam.state_dict(), muon=muon.buffers, step=step, seen=seen, spent=spent, shape=SHAPE.as_dict())
            saved = time.time()
        if time.time() - mixed > 20 and os.path.exists(f"{a.dir}/mix.json"):
            mixed = time.time()
            try:
                asked = json.load(open(f"{a.dir}/mix.json"))
                stream.rate = asked.pop("rate", a.rate)
                stream.skills = {**SKILLS, **asked.pop("skills", {})}
                stream.mix = {**MIX, **asked}
            except ValueError:
                pass
    save(path, model=model.state_dict(), adam=adam.state_dict(), muon=muon.buffers, step=step, seen=seen, spent=spent, shape=SHAPE.as_dict())
    save(f"{a.dir}/final.pt", model=model.state_dict(), step=step, seen=seen, spent=spent, shape=SHAPE.as_dict())
    print(f"done: {step} steps, {seen / 1e6:.2f} million tokens, {spent / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
