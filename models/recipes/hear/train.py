"""Trains hear-nano, a Whisper of width 128 with 5 encoder and 2 decoder layers, on the shards that
data.py made. Takes a wall-clock budget (the learning rate follows it), writes a checkpoint every few
minutes and goes on from it.

    python train.py --minutes 85
    python train.py --minutes 85 --go-on-from hear-nano.bin
    python train.py --stretch 90            from the checkpoint, with the learning rate raised again

Three things make two CPU cores enough. The output knows only the tokens that the texts use and one
row which stands for all others (export.py copies it). A CTC head on the encoder learns phonemes from
the first minute and is dropped afterwards. Batches are cut to the length of their utterances, so the
model sees many audio contexts (see `audio_ctx`), as the program uses it.
"""
import argparse
import glob
import json
import os
import random
import re
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F
import whisper.model
import whisper.tokenizer

import text
from data import DATA, WIDE

EOT, SOT, NOSPEECH, NOTIMESTAMPS, NEWLINE = 50256, 50257, 50361, 50362, 198
N_VOCAB, N_MELS, N_AUDIO_CTX, N_TEXT_CTX = 51864, 80, 1500, 448
WIDTH = int(os.environ.get("HEAR_WIDTH", 128))
HEAD, N_AUDIO_LAYER, N_TEXT_LAYER = 64, 5, 2


def audio_ctx(n_samples):
    """Encoder frames (20 ms) that an utterance is heard with; the program uses the same rule."""
    return min(N_AUDIO_CTX, -(-(-(-n_samples // 320) + 16) // 32) * 32)


# ---------------------------------------------------------------- tokens
class Spelling:
    """Texts as GPT-2 token ids: a word is one token where GPT-2 has it and the texts use it often, else
    the fewest frequent pieces; digits stand alone. Inside the model the ids in use are numbered densely."""

    def __init__(self, path=f"{DATA}/tokens.json"):
        self.gpt2 = whisper.tokenizer.get_encoding("gpt2")
        if not os.path.exists(path):
            json.dump(self._choose(), open(path, "w"))
        pieces = json.load(open(path))
        self.id_of = {p: self.gpt2.encode_single_token(p) for p in pieces}
        self.ids = sorted(set(self.id_of.values()) | {EOT, SOT, NOSPEECH, NOTIMESTAMPS, NEWLINE})
        self.dense = {t: i for i, t in enumerate(self.ids)}
        self.known = {}  # word: its pieces
        self.n_unused = N_VOCAB - len(self.ids)

    def _choose(self, n=60000, at_least=60):
        counts = {}
        for _, s in text.sentences(n, 77, "train"):
            for word in self._words(" " + s):
                for t in self.gpt2.encode(word):
                    p = self.gpt2.decode([t])
                    counts[p] = counts.get(p, 0) + 1
        letters = [a + c for a in ("", " ") for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"]
        return sorted({p for p, c in counts.items() if c >= at_least} | set(letters) | set(".,?!:'-") | {" -", "'s", "'t", "'m"})

    @staticmethod
    def _words(s):
        return re.findall(r" ?[A-Za-z]+|'[a-z]+| ?[0-9]| ?[^\sA-Za-z0-9]", s)

    def encode(self, s):
        return [t for word in self._words(" " + s) for t in self._pieces(word)]

    def _pieces(self, word):
        if word not in self.known:
            best = [(0, [])] + [None] * len(word)
            for end in range(1, len(word) + 1):
                for start in range(end):
                    if best[start] and word[start:end] in self.id_of:
                        candidate = (best[start][0] + 1, best[start][1] + [self.id_of[word[start:end]]])
                        if best[end] is None or candidate[0] < best[end][0]:
                            best[end] = candidate
            self.known[word] = best[-1][1]
        return self.known[word]

    def places(self, ids):
        """Where in the speech, from 0 to 1, each token's middle is about: a digit lasts as long as four letters."""
        lengths = np.array([4.0 if p.strip().isdigit() else 0.5 if not p.strip().isalnum() else float(len(p))
                            for p in map(self.gpt2.decode, ([t] for t in ids))])
        return (np.cumsum(lengths) - lengths / 2) / lengths.sum()

    def decode(self, ids):
        return self.gpt2.decode([t for t in ids if t < EOT]).strip()


# ---------------------------------------------------------------- the model
def attend(self, q, k, v, mask=None):
    """Whisper's attention, plainly: for so few and short heads PyTorch's fused one is slower on a processor,
    above all backwards (a whole step takes 1.35 times as long). Returns the weights, too."""
    q, k, v = (x.view(*x.shape[:2], self.n_head, -1).transpose(1, 2) for x in (q, k, v))
    a = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        a = a + mask[:a.shape[-2], :a.shape[-1]]
    a = a.softmax(-1)
    return (a.to(v.dtype) @ v).transpose(1, 2).flatten(2), a


whisper.model.MultiHeadAttention.qkv_attention = attend


class Hear(torch.nn.Module):
    """Whisper with the tokens in use and one row for all others, and the CTC head of training.
    The blocks and the names of the tensors are openai-whisper's."""

    def __init__(self, n_tokens, n_unused, n_phonemes):
        super().__init__()
        heads = WIDTH // HEAD
        self.encoder = whisper.model.AudioEncoder(N_MELS, N_AUDIO_CTX, WIDTH, heads, N_AUDIO_LAYER)
        self.decoder = whisper.model.TextDecoder(n_tokens + 1, N_TEXT_CTX, WIDTH, heads, N_TEXT_LAYER)
        self.ctc = torch.nn.Linear(WIDTH, n_phonemes)
        offset = torch.zeros(n_tokens + 1)
        offset[-1] = float(np.log(n_unused))  # the last row stands for so many equal ones
        self.register_buffer("offset", offset, persistent=False)
        torch.nn.init.normal_(self.decoder.token_embedding.weight, std=0.05)
        torch.nn.init.normal_(self.decoder.positional_embedding, std=0.02)
        for block in [*self.encoder.blocks, *self.decoder.blocks]:
            for linear in (block.attn.out, block.mlp[2], *([block.cross_attn.out] if block.cross_attn else [])):
                torch.nn.init.zeros_(linear.weight)

    def encode(self, mel):
        """mel: [batch, 80, 2 n] normalised; returns [batch, n, width] for any n up to 1500."""
        e = self.encoder
        x = F.gelu(e.conv2(F.gelu(e.conv1(mel)))).permute(0, 2, 1)
        x = x + e.positional_embedding[: x.shape[1]]
        for block in e.blocks:
            x = block(x)
        return e.ln_post(x)

    def logits(self, tokens, audio):
        return self.decoder(tokens, audio) + self.offset

    def logits_and_attention(self, tokens, audio):
        """Logits, and what the first head of every layer looks at, [layers, batch, tokens, frames]."""
        seen = []
        hooks = [block.cross_attn.register_forward_hook(lambda _m, _i, out: seen.append(out[1][:, 0])) for block in self.decoder.blocks]
        logits = self.logits(tokens, audio)
        for hook in hooks:
            hook.remove()
        return logits, torch.stack(seen)

    @torch.no_grad()
    def transcribe(self, mel, spelling, longest=60):
        """Greedy text of each of a batch, with whisper.cpp's rules (end of text may come first)."""
        audio = self.encode(mel)
        dense = spelling.dense
        tokens = torch.tensor([[dense[SOT], dense[NOTIMESTAMPS]]] * len(mel))
        done = torch.zeros(len(mel), dtype=torch.bool)
        for _ in range(longest):
            step = self.logits(tokens, audio)[:, -1]
            step[:, [dense[NOTIMESTAMPS], dense[SOT], dense[NOSPEECH], len(spelling.ids)]] = -1e9
            best = torch.where(done, torch.tensor(dense[EOT]), step.argmax(-1))
            tokens = torch.cat([tokens, best[:, None]], 1)
            done |= best == dense[EOT]
            if done.all():
                break
        return [spelling.decode([spelling.ids[t] for t in row]) for row in tokens[:, 2:].tolist()]


def grow(tensors):
    """Adds what the encoder of a checkpoint lacks in layers: copies of its last one that add nothing at first, so
    that the grown model hears as before. Returns whether any were lacking."""
    has = len({name.split(".")[2] for name in tensors if name.startswith("encoder.blocks.")})
    last = f"encoder.blocks.{has - 1}."
    for name in [name for name in tensors if name.startswith(last)]:
        for layer in range(has, N_AUDIO_LAYER):
            silent = ".attn.out." in name or ".mlp.2." in name
            tensors[name.replace(last, f"encoder.blocks.{layer}.")] = torch.zeros_like(tensors[name]) if silent else tensors[name].clone()
    return has < N_AUDIO_LAYER


# ---------------------------------------------------------------- batches
def warp_bank():
    """Matrices [80, 80] that move the spectrum up or down, as a longer or shorter vocal tract would."""
    mel_of = lambda f: np.where(f < 1000, f * 3 / 200, 15 + np.log(np.maximum(f, 1) / 1000) / (np.log(6.4) / 27))
    hz_of = lambda m: np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * (np.log(6.4) / 27)))
    centres = np.linspace(0, mel_of(np.array(8000.0)), 82)[1:-1]
    bank = []
    for alpha in np.linspace(0.86, 1.16, 31):
        at = np.clip(np.interp(mel_of(hz_of(centres) * alpha), centres, np.arange(80)), 0, 79)
        low = np.minimum(at.astype(int), 78)
        w = np.zeros((80, 80), np.float32)
        w[low, np.arange(80)] = 1 - (at - low)
        w[low + 1, np.arange(80)] += at - low
        bank.append(w)
    return bank


def ten_to(x):
    """10 ** x of float32; NumPy's exp is three times as fast as its power."""
    return np.exp(x * np.float32(np.log(10)))


def normalise(power, n_frames):
    """log10, clamped and scaled as whisper.cpp does over the utterance padded with zeros; [n_frames, 80]."""
    floor = max(-10.0, float(np.log10(max(1e-10, power.max())))) - 8
    out = np.full((n_frames, N_MELS), (max(-10.0, floor) + 4) / 4, np.float32)
    n = min(n_frames, len(power))
    x = np.maximum(power[:n], np.float32(10 ** max(-10.0, floor)))
    np.log10(x, out=x)
    x += 4
    np.multiply(x, 0.25, out=out[:n])
    return out


def ring(power, wet, decay):
    """Adds what a room returns later: wet times the energy of all earlier frames, each fading by decay a frame.
    The running sum doubles its reach until the rest is too weak to matter."""
    late = np.zeros_like(power)
    late[1:] = power[:-1]
    late *= np.float32(wet)
    reach = 1
    while reach < len(late) and decay ** reach > 1e-9:
        late[reach:] += late[:-reach] * np.float32(decay ** reach)
        reach *= 2
    return power + late


class Batches(torch.utils.data.IterableDataset):
    """Endless augmented batches: (mel, input tokens, target tokens, negatives, phonemes, their lengths,
    where in the audio each token is).
    All augmentation happens on mel power: noise is added, rooms ring (energy decays in every band),
    spectra are tilted and warped, speech is stretched, ends are cut: the more of it, the later in training.
    Of each shard a share of the rows comes in a pass. Everything lies in memory: 3 GB."""

    def __init__(self, spelling, step):
        self.spelling, self.step, self.strength = spelling, step, 0.0
        self.rows, self.mels, share = [], [], []
        apart = text.heldout_pattern()  # the narrower grammar of the older shards could fit one by chance
        for path in sorted(glob.glob(f"{DATA}/*.json")):
            name = path[:-5]
            if os.path.exists(name + ".mel.npy"):
                self.mels.append(np.load(name + ".mel.npy"))
                rows = [(len(self.mels) - 1, *row["mel"], row["text"], row["phonemes"]) for row in json.load(open(path))
                        if not apart.fullmatch(text.bare(row["text"]))]
                self.rows += rows
                name = os.path.basename(name)
                share += [SHARES[name in WIDE, name.startswith("espeak")]] * len(rows)
        self.share = np.array(share)
        self.noise = ten_to(np.load(f"{DATA}/noise.npy").astype(np.float32))
        self.n_quiet = json.load(open(f"{DATA}/noise.json")).index("babble")  # noises before it hold no voice
        self.tokens = [spelling.encode(row[3]) for row in self.rows]
        self.places = [spelling.places(t) for t in self.tokens]
        self.warps = warp_bank()

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        g = np.random.default_rng([self.step, info.id if info else 0])
        lengths = np.array([row[2] for row in self.rows])
        while True:
            drawn = np.flatnonzero(g.random(len(lengths)) < self.share)
            order = drawn[np.argsort(lengths[drawn] * g.uniform(0.9, 1.1, len(drawn)))]
            batches, current, frames = [], [], 0
            for i in order:
                current.append(i)
                if len(current) * (lengths[i] + 60) > FRAMES_PER_BATCH:
                    batches.append(current)
                    current = []
            for k in g.permutation(len(batches)):
                self.strength = min(0.5, 0.1 + self.step / AUGMENT_STEPS)
                yield self.batch(batches[k], g)
                self.step += 1

    def noise_of(self, g, n, babble):
        row = g.integers(len(self.noise) if babble else self.n_quiet)
        at = g.integers(0, max(1, 2000 - n))
        piece = self.noise[row, at:at + n]
        return piece if len(piece) == n else np.resize(piece, (n, N_MELS))

    def speech(self, row, g, tight):
        shard, at, n, _, _ = row
        x = self.mels[shard][at:at + n].astype(np.float32)  # a copy: what follows may write into it
        if g.random() < 0.9 * self.strength:
            x = x @ self.warps[g.integers(31)]
        if g.random() < 0.5 * self.strength:
            at = np.arange(0, n - 1, g.uniform(0.82, 1.2))
            low = at.astype(int)
            part = (at - low).astype(np.float32)[:, None]
            x = x[low] * (1 - part) + x[low + 1] * part
        if g.random() < 0.4 * self.strength:  # microphones and rooms colour the spectrum
            points = np.interp(np.arange(80), np.linspace(0, 79, 6), g.normal(0, 0.35, 6))
            x += points.astype(np.float32)
        if g.random() < 0.12 * self.strength:
            low, high = g.integers(0, 10), g.integers(60, 80)
            x[:, :low] -= g.uniform(1, 4)
            x[:, high:] -= g.uniform(1, 4)
        p = ten_to(x)
        lead, tail = (int(g.uniform(0, 8) if tight else g.choice([g.uniform(0, 10), g.uniform(0, 50)])) for _ in range(2))
        out = np.full((lead + len(p) + tail, N_MELS), 1e-10, np.float32)
        out[lead:lead + len(p)] = p
        if g.random() < 0.35 * self.strength:
            decay = 10 ** (-0.06 / g.uniform(0.12, 0.7))
            out = ring(out, g.uniform(0.05, 0.5) * (1 - decay), decay)
        if g.random() < 0.08 * self.strength:
            cut = int(g.integers(0, lead + 4))
            out, lead = out[cut: len(out) - g.integers(0, tail + 4)], lead - cut
        if g.random() < 0.85:
            level = float(out.mean())
            weaker = g.choice([g.uniform(0.6, 2.5), g.uniform(1.5, 5)]) + 1.5 * (1 - self.strength)
            out += self.noise_of(g, len(out), True) * np.float32(level / 0.05 * 10 ** -weaker)
        out *= np.float32(10 ** g.uniform(-4, 0.3))
        return out, lead, lead + len(p)

    def nothing(self, g, n):
        k = g.random()
        if k < 0.12:
            return np.full((n, N_MELS), 1e-10, np.float32)
        p = self.noise_of(g, n, False)
        if k > 0.6:
            p = p + self.noise_of(g, n, False) * 10 ** g.uniform(-2, 1)
        return p * 10 ** g.uniform(-6, 0.6)

    def batch(self, indices, g):
        dense = self.spelling.dense
        powers, tokens, phonemes, negative, places = [], [], [], [], []
        tight = g.random() < 0.7 and self.step < TIGHT_STEPS  # cheap batches: hardly any silence around the speech
        for i in indices:
            if g.random() < 0.06:
                powers.append(self.nothing(g, int(self.rows[i][2] * g.uniform(0.5, 1.2)) + 20))
                tokens.append([])
                phonemes.append([])
                places.append(np.zeros(0))
            else:
                power, start, end = self.speech(self.rows[i], g, tight)
                powers.append(power)
                places.append((start + (end - start) * self.places[i]) / 2)
                tokens.append([dense[t] for t in self.tokens[i]])
                phonemes.append(self.rows[i][4])
            negative.append(not tokens[-1])
        n = max(-(-len(p) // 2) if tight else audio_ctx(len(p) * 160) for p in powers) + (32 * int(g.integers(0, 3)) if not tight and g.random() < 0.2 else 0)
        n = min(n, N_AUDIO_CTX)
        mel = np.empty((len(powers), N_MELS, 2 * n), np.float32)
        for power, out in zip(powers, mel):
            m = normalise(power, 2 * n)
            if g.random() < self.strength:  # SpecAugment
                mean = m.mean()
                for _ in range(2):
                    a, b = g.integers(0, 80), g.integers(0, 11)
                    m[:, a:a + b] = mean
                    a, b = g.integers(0, 2 * n), g.integers(0, 9)
                    m[a:a + b] = mean
            out[:] = m.T
        longest = max(map(len, tokens)) + 2
        inputs = np.full((len(tokens), longest), dense[EOT])
        targets = np.full((len(tokens), longest), -100)
        for row, t in enumerate(tokens):
            inputs[row, :len(t) + 2] = [dense[SOT], dense[NOTIMESTAMPS]] + t
            targets[row, :len(t) + 2] = [dense[NOTIMESTAMPS]] + t + [dense[EOT]]
            if negative[row]:  # after the second token comes a mixture, see `loss_of`; a newline, if it comes, ends
                inputs[row, 2:3], targets[row, :3] = dense[NEWLINE], [dense[NOSPEECH], -100, dense[EOT]][:longest]
        # so that the decoder cannot guess from what was said before, and has to listen
        wrong = (g.random(inputs.shape) < WRONG) & (np.arange(longest) >= 2) & ~np.array(negative)[:, None]
        inputs = np.where(wrong, g.integers(0, len(dense), inputs.shape), inputs)
        expected = np.full(inputs.shape, -1.0, np.float32)  # encoder frame each position should look at; -1: anywhere
        for row, at in enumerate(places):
            expected[row, 1:len(at) + 1] = at
        flat = [PHONEME.get(p, 1) for ps in phonemes for p in ps]
        return (torch.from_numpy(mel), torch.from_numpy(inputs), torch.from_numpy(targets), torch.tensor(negative),
                torch.tensor(flat, dtype=torch.long), torch.tensor([len(p) for p in phonemes]), torch.from_numpy(expected))


FRAMES_PER_BATCH = 4200  # 10-ms frames
TIGHT_STEPS = 5500
# share of a shard's rows in a pass, by (wider grammar, espeak): its many variants are the easiest to hear
SHARES = {(True, False): 1, (True, True): 0.6, (False, False): 0.6, (False, True): 0.2}
WRONG = 0.15  # the share of input tokens that are replaced by any other
AUGMENT_STEPS = 3000  # to full strength, of which a half is used: the model is small, its training short
PRINT = int(os.environ.get("HEAR_PRINT", 100))
PHONEMES = "abdefhijklmnoprstuvwzæðŋɐɑɒɔəɚɛɜɡɪɫɬɹɾʃʊʌʒʔθᵻxɣʲχ"
PHONEME = {p: i + 2 for i, p in enumerate(PHONEMES)}  # 0 is the blank, 1 any other


def loss_of(model, batch, ctc_weight, dense):
    """Cross-entropy of the text, CTC of the phonemes, and how far the decoder's first heads look away from
    where the token is spoken, about. For silence and noise the first token is mostly
    <|nospeech|>, which whisper.cpp never prints, then end of text, then a newline: so it prints nothing
    whether or not it lets the text end at once (its `suppress_blank`)."""
    mel, inputs, targets, negative, phonemes, lengths, expected = batch
    audio = model.encode(mel)
    logits, attention = model.logits_and_attention(inputs, audio)
    distance = (torch.arange(audio.shape[1]) - expected[..., None]) / 15  # 15 frames, 0.3 s, are near enough
    away = (1 - torch.exp(-distance ** 2 / 2)) * (expected >= 0)[..., None]
    guide = (attention * away).sum() / (expected >= 0).sum().clamp(min=1) / N_TEXT_LAYER
    ce = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    if negative.any():
        p = F.log_softmax(logits[negative, 1], -1)
        mixture = -(0.6 * p[:, dense[NOSPEECH]] + 0.25 * p[:, dense[EOT]] + 0.15 * p[:, dense[NEWLINE]])
        ce = ce + mixture.sum() / (targets != -100).sum()
    ctc = torch.zeros(())
    if ctc_weight:
        frames = torch.full((len(mel),), audio.shape[1])
        log_p = F.log_softmax(model.ctc(audio), -1).transpose(0, 1)
        ctc = F.ctc_loss(log_p, phonemes, frames, lengths, reduction="sum", zero_infinity=True) / max(1, lengths.sum())
    return ce, ctc, guide


# ---------------------------------------------------------------- the optimizer
class Muon(torch.optim.Optimizer):
    """Momentum whose matrix steps are made orthogonal by Newton-Schulz (Jordan et al., 2024), in bfloat16: half
    the time, and near enough, for the iteration only brings the singular values near one."""

    def __init__(self, params, lr=0.0105, momentum=0.95, weight_decay=0.02):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - group["momentum"])
                step = p.grad.lerp(m, group["momentum"]).flatten(1)
                by_shape.setdefault(step.shape, []).append((p, step))
            for (rows, columns), items in by_shape.items():
                x = torch.stack([s for _, s in items])
                x = x.mT if rows > columns else x
                x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
                for _ in range(5):
                    a = x @ x.mT
                    x = 3.4445 * x + torch.baddbmm(-4.7750 * a, a, a, alpha=2.0315) @ x
                x = (x.mT if rows > columns else x).float()
                for (p, _), step in zip(items, x):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(step.reshape(p.shape), alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=85)
    parser.add_argument("--stretch", type=float, metavar="MINUTES", help="go on from the checkpoint for so long, instead of --minutes: the "
                        "learning rate begins anew at --rate of the full one and falls to nothing; goes on where it was stopped")
    parser.add_argument("--rate", type=float, default=0.55)
    parser.add_argument("--checkpoint", default="hear.pt")
    parser.add_argument("--steps", type=int, default=0, help="stop after so many (to measure)")
    parser.add_argument("--go-on-from", metavar="FILE.bin", help="begin with the weights of an exported q8_0 file")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("HEAR_THREADS", 1)))
    torch.manual_seed(1)
    random.seed(1)
    spelling = Spelling()
    model = Hear(len(spelling.ids), spelling.n_unused, len(PHONEMES) + 2)
    matrices = [p for n, p in model.named_parameters() if p.ndim >= 2 and "embedding" not in n and "ctc" not in n]
    chosen = set(map(id, matrices))
    others = [p for p in model.parameters() if id(p) not in chosen]
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    step, spent, stretch = 0, 0.0, (0.0, 0.0)  # stretch: when, in seconds spent, it began and shall end
    if os.path.exists(args.checkpoint):
        state = torch.load(args.checkpoint, weights_only=False)
        if grow(state["model"]):
            print(f"grown to {N_AUDIO_LAYER} layers of the encoder", flush=True)
        else:
            muon.load_state_dict(state["muon"])
            adam.load_state_dict(state["adam"])
        model.load_state_dict(state["model"])
        step, spent, stretch = state["step"], state["spent"], state.get("stretch", stretch)
    elif args.go_on_from:
        import export
        tensors = export.read(args.go_on_from, spelling)
        grow(tensors)
        missing, unexpected = model.load_state_dict(tensors, strict=False)
        assert not unexpected and all(n.startswith("ctc.") or n == "decoder.mask" for n in missing), (missing, unexpected)
    base = [(group, lr) for o, lr in ((muon, 0.0105), (adam, 1.5e-3)) for group in o.param_groups]
    dataset = Batches(spelling, step or (AUGMENT_STEPS if args.go_on_from else 0))
    loader = iter(torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=6))
    print(f"{len(dataset.rows)} utterances, {len(spelling.ids)} tokens, "
          f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, at step {step}", flush=True)
    mean, seen, last_save, t0 = np.zeros(3), 0, time.time(), time.time()
    end = args.minutes * 60
    if args.stretch:
        start = stretch[0] if spent < stretch[1] else spent
        stretch = start, start + args.stretch * 60
        end = stretch[1]

    def save():
        torch.save({"model": model.state_dict(), "muon": muon.state_dict(), "adam": adam.state_dict(), "step": step,
                    "spent": spent, "stretch": stretch, "width": WIDTH}, args.checkpoint + ".part")
        os.replace(args.checkpoint + ".part", args.checkpoint)

    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    while spent < end and not stopping:
        began = time.time()
        progress = spent / end
        scale = min(0.6 if args.go_on_from else 1, (step + 1) / 150, max(0.005, (1 - progress) / 0.8))  # warm up, hold, then fall to nothing
        if args.stretch:
            left = (end - spent) / (end - stretch[0])
            progress, scale = 1 - left / 2, args.rate * left
        for group, lr in base:
            group["lr"] = lr * scale
        batch = next(loader)
        with torch.autocast("cpu", torch.bfloat16, enabled=not os.environ.get("HEAR_F32")):  # twice as fast where the processor has bf16 products
            ce, ctc, guide = loss_of(model, batch, 1, spelling.dense)
        loss = ce + (1.0 if progress < 0.75 else 0.3) * ctc + (1.0 if progress < 0.6 else 0.1) * guide
        muon.zero_grad()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step()
        adam.step()
        step += 1
        spent += time.time() - began
        seen += len(batch[0])
        mean += [ce.item(), ctc.item(), guide.item()]
        if step % PRINT == 0:
            print(f"step {step}  text {mean[0] / PRINT:.3f}  ctc {mean[1] / PRINT:.3f}  guide {mean[2] / PRINT:.3f}  lr x{scale:.3f}  "
                  f"{seen / (time.time() - t0):.0f} utterances/s  {spent / 60:.1f} min", flush=True)
            mean[:] = 0
        if time.time() - last_save > 120:
            save()
            last_save = time.time()
        if args.steps and step >= args.steps:
            return
    save()


if __name__ == "__main__":
    main()
