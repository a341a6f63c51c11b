"""Speech for hear-nano: says the sentences of text.py with Debian's synthesizers (espeak-ng, flite,
festival), stores 16 kHz int16 waves and their mel power in memory-mapped shards under data/, builds a
bank of noises, and writes the held-out list that evaluate.py and the Rust program speak again.

    python data.py train NAME...   shards to make (default: all of SHARDS), each resumable as a whole
    python data.py noise           the noise bank
    python data.py heldout         hear-heldout.jsonl

Kept out of training: the voice flite/rms, the espeak-ng variant f4, and whatever fits a held-out template of
text.py. Shards up to -4 were made with text.py's grammar before it was widened: made anew, they differ.
"""
import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import scipy.io.wavfile
import scipy.signal
import whisper.audio

import text

RATE = 16000
DATA = os.environ.get("HEAR_DATA", "data")
HELD_OUT_VOICE, HELD_OUT_VARIANT = "rms", "f4"

ACCENTS = ["en-us", "en-us", "en-us", "en", "en", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan",
           "en-gb-x-gbcwmd", "en-us-nyc"]
VARIANTS = ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f5", "Alex", "Andy", "Annie", "Denis",
            "Gene", "Hugo", "Jacky", "Lee", "Mario", "Michael", "Mr", "Alicia", "Andrea", "anika", "belinda", "benjamin",
            "boris", "caleb", "david", "ed", "edward", "grandpa", "iven", "john", "klatt", "klatt2", "klatt4", "linda",
            "marcelo", "max", "miguel", "mike", "norbert", "pablo", "paul", "quincy", "rob", "robert", "sandro", "shelby",
            "steph", "steph2", "steph3", "travis", "victor", "zac"]

# name of the shard: (synthesizer, voice, number of sentences, seed of the sentences)
SHARDS = {
    "espeak-default": ("espeak", "default", 2500, 1),
    "espeak-accents": ("espeak", "accents", 1500, 2),
    "espeak-variants": ("espeak", "variants", 6000, 3),
    "flite-slt": ("flite", "slt", 1500, 4),
    "flite-awb": ("flite", "awb", 1500, 5),
    "flite-kal16": ("flite", "kal16", 1200, 6),
    "festival-ked": ("festival", "voice_ked_diphone", 1500, 7),
    "festival-slt-hts": ("festival", "voice_cmu_us_slt_arctic_hts", 1200, 8),
    "festival-kal": ("festival", "voice_kal_diphone", 500, 9),
    "espeak-default-2": ("espeak", "default", 2500, 11),
    "espeak-variants-2": ("espeak", "variants", 5000, 12),
    "espeak-variants-3": ("espeak", "variants", 6000, 18),
    "flite-slt-2": ("flite", "slt", 4000, 24),
    "flite-awb-2": ("flite", "awb", 4000, 25),
    "flite-kal16-2": ("flite", "kal16", 3000, 26),
    "festival-ked-2": ("festival", "voice_ked_diphone", 3000, 27),
    "festival-slt-hts-2": ("festival", "voice_cmu_us_slt_arctic_hts", 3000, 28),
    "espeak-variants-4": ("espeak", "variants", 6000, 29),
    # from here on with the wider grammar and its mixed sentences: training draws these more often (see WIDE)
    "flite-slt-3": ("flite", "slt", 4500, 34),
    "flite-awb-3": ("flite", "awb", 4500, 35),
    "flite-kal16-3": ("flite", "kal16", 4500, 36),
    "espeak-variants-5": ("espeak", "variants", 11000, 39),
    "festival-slt-hts-3": ("festival", "voice_cmu_us_slt_arctic_hts", 2000, 38),
    "festival-ked-3": ("festival", "voice_ked_diphone", 2500, 37),
    "espeak-default-3": ("espeak", "default", 3000, 31),
    "espeak-accents-3": ("espeak", "accents", 3000, 32),
    "festival-kal-3": ("festival", "voice_kal_diphone", 500, 33),
    # slt and awb at any pitch, down to a man's and up to a child's
    "flite-slt-4": ("flite", "slt", 4000, 44),
    "flite-awb-4": ("flite", "awb", 4000, 45),
}
WIDE = set(list(SHARDS)[list(SHARDS).index("flite-slt-3"):])
SHIFTED = {"flite-slt-4": (-1.1, 0.3), "flite-awb-4": (-0.6, 0.6)}  # octaves from the voice's own pitch


# ---------------------------------------------------------------- the synthesizers
class Espeak:
    """espeak-ng as a library: waves, and phonemes for the auxiliary CTC target."""

    def __init__(self):
        self.lib = ctypes.CDLL("libespeak-ng.so.1")
        self.rate = self.lib.espeak_Initialize(2, 0, None, 0)  # AUDIO_OUTPUT_SYNCHRONOUS, callback gets the samples
        self.parts = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

        def receive(samples, n, _events):
            if samples and n:
                self.parts.append(np.ctypeslib.as_array(samples, (n,)).copy())
            return 0
        self.callback = kind(receive)
        self.lib.espeak_SetSynthCallback(self.callback)
        self.lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.voice = None

    def _select(self, voice):
        if voice != self.voice:
            if self.lib.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"espeak-ng has no voice {voice}")
            self.voice = voice

    def say(self, words, voice, speed, pitch, spread=50):
        self._select(voice)
        for parameter, value in ((1, speed), (2, 100), (3, pitch), (4, spread)):
            self.lib.espeak_SetParameter(parameter, value, 0)
        self.parts = []
        raw = words.encode()
        self.lib.espeak_Synth(raw, len(raw) + 1, 0, 0, 0, 1, None, None)
        wave = np.concatenate(self.parts).astype(np.float32) / 32768
        return scipy.signal.resample_poly(wave, 320, 441).astype(np.float32)

    def phonemes(self, words):
        """IPA symbols of the words in general American, without stress and length marks."""
        self._select("en-us")
        rest = ctypes.c_char_p(words.encode())
        out = []
        while rest.value:
            ipa = self.lib.espeak_TextToPhonemes(ctypes.byref(rest), 1, 2).decode()
            out += [c for c in ipa.replace("ː", "").replace(" ", "") if c not in "ˈˌ_-\u0361\u200d\u0329\u0303"]
        return out


def read_wave(path):
    rate, wave = scipy.io.wavfile.read(path)
    wave = wave.astype(np.float32) / 32768
    if rate != RATE:
        g = np.gcd(rate, RATE)
        wave = scipy.signal.resample_poly(wave, RATE // g, rate // g)
    return wave.astype(np.float32)


def say_flite(words, voice, stretch, *settings):
    """settings: further features of flite's, as `f0_shift=0.8` (slt, awb) or `int_f0_target_mean=105` (kal16, in Hz)."""
    path = tempfile.mktemp(suffix=".wav")
    features = [word for setting in (f"duration_stretch={stretch}", *settings) for word in ("--setf", setting)]
    subprocess.run(["flite", "-voice", voice, *features, "-t", words, "-o", path], check=True, capture_output=True)
    wave = read_wave(path)
    os.unlink(path)
    return wave


def say_festival(rows):
    """rows: [(words, voice, stretch)], one process for all; returns their waves."""
    with tempfile.TemporaryDirectory() as folder:
        lines = ["(Parameter.set 'Audio_Required_Format 'riff)"]
        for i, (words, voice, stretch) in enumerate(rows):
            quoted = words.replace("\\", "").replace('"', "")
            lines.append(f"({voice}) (Parameter.set 'Duration_Stretch {stretch})"
                         f' (utt.save.wave (SynthText "{quoted}") "{folder}/{i}.wav" \'riff)')
        path = folder + "/say.scm"
        open(path, "w").write("\n".join(lines) + "\n")
        subprocess.run(["festival", "-b", path], check=True, capture_output=True)
        return [read_wave(f"{folder}/{i}.wav") for i in range(len(rows))]


# ---------------------------------------------------------------- mel power
def mel_power(wave):
    """Power in 80 mel bands, [frames, 80] float32; frame t is centred on sample 160 t.
    Start mirrored and end padded with zeros, as whisper.cpp does."""
    padded = np.concatenate([wave[200:0:-1], wave, np.zeros(400, np.float32)])
    n = len(wave) // 160 + 1
    frames = np.lib.stride_tricks.as_strided(padded, (n, 400), (640, 4))
    spectrum = np.abs(np.fft.rfft(frames * HANN, axis=1)) ** 2
    return (spectrum @ FILTERS.T).astype(np.float32)


HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)).astype(np.float32)
FILTERS = whisper.audio.mel_filters("cpu", 80).numpy()


def trim(wave, margin_s=0.1):
    """Cuts digital silence at both ends down to a margin; training adds silence of its own."""
    loud = np.flatnonzero(np.abs(wave) > 0.01 * max(1e-4, np.abs(wave).max()))
    if len(loud) == 0:
        return wave
    m = int(margin_s * RATE)
    return wave[max(0, loud[0] - m): loud[-1] + m]


# ---------------------------------------------------------------- shards
def waves_of(shard, synthesizer, voice, sentences, r, espeak):
    """Yields (voice's full name, words, wave) for every sentence."""
    for start in range(0, len(sentences), 100):
        batch = sentences[start:start + 100]
        if synthesizer == "festival":
            rows = [(text.spoken(s, r), voice, round(r.uniform(0.8, 1.25), 2)) for _, s in batch]
            for (words, _, _), wave in zip(rows, say_festival(rows)):
                yield voice, words, wave
            continue
        for _, s in batch:
            words = text.spoken(s, r)
            if synthesizer == "flite":
                pitch = []
                if voice == "kal16":
                    pitch = [f"int_f0_target_mean={r.choice([90, 105, 120, 140])}"]
                elif shard in SHIFTED:
                    pitch = [f"f0_shift={round(2 ** r.uniform(*SHIFTED[shard]), 2)}"]
                yield "flite/" + voice, words, say_flite(words, voice, round(r.uniform(0.8, 1.25), 2), *pitch)
                continue
            if voice == "default":
                name, speed, pitch = "en-us", r.choice([175, 175, 175, r.randint(140, 200)]), r.choice([50, 50, r.randint(30, 70)])
                name = r.choice(["en-us", "en-us", "en"])
            else:
                name, speed, pitch = r.choice(ACCENTS), r.randint(130, 210), r.randint(15, 85)
                if voice == "variants":
                    name += "+" + r.choice(VARIANTS)
            said = s if r.random() < 0.4 else words  # its own reading of numbers counts too
            yield "espeak/" + name, words, espeak.say(said, name, speed, pitch, r.choice([50, 50, r.randint(20, 90)]))


def make_shard(name):
    if os.path.exists(f"{DATA}/{name}.json"):
        return
    synthesizer, voice, n, seed = SHARDS[name]
    r, espeak = random.Random(f"{name}:{seed}"), Espeak()
    sentences = text.sentences(n, seed, "train")
    rows, waves, mels, at, at_mel = [], [], [], 0, 0
    for (kind, s), (who, words, wave) in zip(sentences, waves_of(name, synthesizer, voice, sentences, r, espeak)):
        wave = trim(wave)
        if not 0.2 * RATE < len(wave) < 12 * RATE or " '" in s:  # mixed words can leave an apostrophe alone
            continue
        wave = wave * (0.7 / max(1e-3, np.abs(wave).max()))
        mel = np.log10(np.maximum(mel_power(wave), 1e-10)).astype(np.float16)
        rows.append({"kind": kind, "text": s, "words": words, "phonemes": espeak.phonemes(words), "voice": who,
                     "wave": [at, len(wave)], "mel": [at_mel, len(mel)]})
        waves.append((wave * 32767).astype(np.int16))
        mels.append(mel)
        at, at_mel = at + len(wave), at_mel + len(mel)
    np.save(f"{DATA}/{name}.wave.npy", np.concatenate(waves))
    np.save(f"{DATA}/{name}.mel.npy", np.concatenate(mels))
    json.dump(rows, open(f"{DATA}/{name}.json.part", "w"))
    os.rename(f"{DATA}/{name}.json.part", f"{DATA}/{name}.json")
    print(name, len(rows), f"{at / RATE / 3600:.2f} h", flush=True)


# ---------------------------------------------------------------- noises
def noise_wave(kind, seconds, g, speech=None):
    """One noise, float32, RMS 0.1. g: numpy Generator; speech: waves for babble."""
    n = int(seconds * RATE)
    t = np.arange(n) / RATE
    white = g.standard_normal(n)

    def coloured(slope):
        f = np.fft.rfft(white)
        f *= np.maximum(1, np.arange(len(f))) ** (-slope / 2)
        return np.fft.irfft(f, n)
    if kind == "white":
        w = white
    elif kind == "pink":
        w = coloured(1)
    elif kind == "brown":
        w = coloured(2)
    elif kind == "fan":
        b = scipy.signal.firwin(129, sorted(g.uniform(100, 3500, 2) + [0, 400]), fs=RATE, pass_zero=False)
        w = scipy.signal.lfilter(b, 1, white) * (1 + 0.3 * np.sin(2 * np.pi * g.uniform(1, 30) * t)) + 0.2 * coloured(1)
    elif kind == "hum":
        f0 = g.choice([50, 60]) * g.uniform(0.99, 1.01)
        w = sum(g.uniform(0, 1) / k * np.sin(2 * np.pi * f0 * k * t + g.uniform(0, 6)) for k in range(1, g.integers(2, 20)))
        w = w + g.choice([0, 0.01, 0.1]) * white
    elif kind == "music":
        w = np.zeros(n)
        scale = g.uniform(80, 300) * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 19, 24]) / 12)
        at, beat = 0.0, g.uniform(0.12, 0.7)
        while at < seconds:
            for f in g.choice(scale, g.integers(1, 4)):
                a, d = int(at * RATE), int(g.uniform(0.1, 1.5) * RATE)
                d = min(d, n - a)
                u = np.arange(d) / RATE
                w[a:a + d] += np.exp(-u * g.uniform(1, 8)) * sum(g.uniform(0, 1) / k * np.sin(2 * np.pi * f * k * u) for k in range(1, 6))
            at += beat * g.choice([0.5, 1, 1, 2])
        w += 0.01 * white
    elif kind == "clicks":
        w = 0.01 * white
        for a in np.sort(g.integers(0, n - 2000, int(seconds * g.uniform(1, 9)))):
            d = g.integers(30, 1500)
            w[a:a + d] += g.uniform(0.3, 3) * g.standard_normal(d) * np.exp(-np.arange(d) / d * 6)
    elif kind == "knocks":
        w = 0.01 * coloured(1)
        for a in g.integers(0, n - 8000, int(seconds * g.uniform(0.3, 4))):
            u = np.arange(8000) / RATE
            w[a:a + 8000] += np.exp(-u * g.uniform(10, 60)) * np.sin(2 * np.pi * g.uniform(60, 900) * u) * g.uniform(0.5, 2)
    elif kind == "beeps":
        w = 0.005 * white
        f = g.uniform(300, 4000)
        period, duty = g.uniform(0.2, 2), g.uniform(0.1, 0.9)
        w = w + ((t / period) % 1 < duty) * np.sin(2 * np.pi * (f * t + g.choice([0, 200]) * np.sin(2 * np.pi * g.uniform(0.5, 6) * t)))
    elif kind == "rain":
        w = 0.3 * white
        for a in g.integers(0, n - 400, int(seconds * g.uniform(20, 200))):
            w[a:a + 400] += g.standard_normal(400) * np.exp(-np.arange(400) / 60) * g.uniform(0.3, 2)
    elif kind == "babble":
        w = np.zeros(n)
        for _ in range(g.integers(4, 9) * max(1, int(seconds / 2))):
            s = speech[g.integers(len(speech))]
            a = g.integers(0, max(1, n - len(s)))
            w[a:a + len(s)] += s[: n - a] * g.uniform(0.3, 1)
    w = np.asarray(w, np.float32)
    return (0.1 * w / max(1e-6, np.sqrt(np.mean(w ** 2)))).astype(np.float32)


NOISES = ["white", "pink", "brown", "fan", "hum", "music", "clicks", "knocks", "beeps", "rain"]


def make_noise():
    """noise.npy: [count, 2000, 80] float16 log10 mel power, RMS 0.1; babble comes last."""
    g = np.random.default_rng(5)
    rows = json.load(open(f"{DATA}/espeak-accents.json"))
    flat = np.load(f"{DATA}/espeak-accents.wave.npy", mmap_mode="r")
    speech = [flat[a:a + n].astype(np.float32) / 32768 for a, n in (row["wave"] for row in rows)]
    kinds = [k for k in NOISES for _ in range({"beeps": 42, "music": 28}.get(k, 14))] + ["babble"] * 20  # those two are nearest to voices
    bank = [np.log10(np.maximum(mel_power(noise_wave(k, 20, g, speech)), 1e-10))[:2000].astype(np.float16) for k in kinds]
    np.save(f"{DATA}/noise.npy", np.stack(bank))
    json.dump(kinds, open(f"{DATA}/noise.json", "w"))
    print("noise", len(kinds))


# ---------------------------------------------------------------- the held-out list
def splitmix(seed, n):
    """n uniform numbers in [-1, 1) of the generator SplitMix64: the same in every language."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0 ** 52 - 1.0


def heldout_rows():
    """The sentences, voices and noises of the held-out sets; one dictionary a line of the file."""
    r = random.Random(2026)
    known = [("espeak", "en-us")] * 6 + [("espeak", "en-gb"), ("espeak", "en-gb-scotland"), ("espeak", "en-us+m3"), ("espeak", "en-us+f2"),
             ("espeak", "en-gb+m7"), ("espeak", "en-gb-x-rp+f5"), ("flite", "slt"), ("flite", "slt"), ("flite", "awb"), ("flite", "awb"),
             ("flite", "kal16"), ("festival", "voice_ked_diphone"), ("festival", "voice_ked_diphone"), ("festival", "voice_cmu_us_slt_arctic_hts")]
    plan = [("known", known, 160), ("new-voice", [("flite", HELD_OUT_VOICE)], 80), ("new-variant", [("espeak", "en-us+" + HELD_OUT_VARIANT)], 40)]
    sentences = iter(text.sentences(280, 99, "heldout"))
    for name, voices, n in plan:
        for i in range(n):
            kind, s = next(sentences)
            synthesizer, voice = voices[i % len(voices)]
            row = {"set": name, "kind": kind, "text": s, "say": text.spoken(s, r), "synthesizer": synthesizer, "voice": voice}
            if synthesizer == "espeak":
                row |= {"speed": r.randint(145, 200), "pitch": r.randint(30, 70)}
            else:
                row |= {"stretch": round(r.uniform(0.9, 1.15), 2)}
            yield row | {"lead_ms": r.randrange(50, 400), "tail_ms": r.randrange(50, 600), "snr_db": r.randint(15, 30), "seed": r.randrange(2 ** 31)}
    for i in range(60):
        yield {"set": "nospeech", "kind": (["silence", "dither"] + NOISES)[i % 12], "text": "", "seconds": round(r.uniform(0.5, 8), 2),
               "gain_db": r.randint(-30, 0), "seed": r.randrange(2 ** 31)}


def heldout_wave(row):
    """Speaks a row of the held-out list by command line alone, adds its silence and noise."""
    g = np.random.default_rng(row["seed"])
    if row["set"] == "nospeech":
        n = int(row["seconds"] * RATE)
        if row["kind"] == "silence":
            return np.zeros(n, np.float32)
        if row["kind"] == "dither":
            return (splitmix(row["seed"], n) / 32768).astype(np.float32)
        return noise_wave(row["kind"], row["seconds"] + 1, g)[:n] * np.float32(10 ** (row["gain_db"] / 20))
    if row["synthesizer"] == "espeak":
        path = tempfile.mktemp(suffix=".wav")
        subprocess.run(["espeak-ng", "-v", row["voice"], "-s", str(row["speed"]), "-p", str(row["pitch"]), "-w", path, row["say"]], check=True)
        wave = read_wave(path)
        os.unlink(path)
    elif row["synthesizer"] == "flite":
        wave = say_flite(row["say"], row["voice"], row["stretch"])
    else:
        wave = say_festival([(row["say"], row["voice"], row["stretch"])])[0]
    lead, tail = (np.zeros(int(row[k] * 16), np.float32) for k in ("lead_ms", "tail_ms"))
    level = np.sqrt(np.mean(wave ** 2))
    wave = np.concatenate([lead, wave, tail])
    noise = splitmix(row["seed"], len(wave)) * np.sqrt(3.0)  # white, RMS 1
    return (wave + noise * level * 10 ** (-row["snr_db"] / 20)).astype(np.float32)


def make_heldout():
    with open("hear-heldout.jsonl", "w") as f:
        for row in heldout_rows():
            f.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    os.makedirs(DATA, exist_ok=True)
    what, names = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if what == "train":
        for shard in names or SHARDS:
            make_shard(shard)
    elif what == "noise":
        make_noise()
    elif what == "heldout":
        make_heldout()
    else:
        sys.exit(__doc__)
