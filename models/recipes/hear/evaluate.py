"""Word error rate of an exported hear-nano through whisper.cpp on the held-out list: known voices, the
voice kept out, the espeak-ng variant kept out, and sounds without speech. Prints a table and the worst
ten of each set, as Markdown for the model card.

    python evaluate.py hear-nano.bin [--limit 20] [--threads 1]
"""
import argparse
import json
import os
import re
import time

import _pywhispercpp as whisper_cpp
import numpy as np

import data
import train


class Ear:
    """hear-nano in whisper.cpp, set as the program sets it: greedy, one segment, no timestamps, no
    second try at a higher temperature, audio context cut to the utterance."""

    def __init__(self, path, threads=1, suppress_blank=True):
        error, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)  # whisper.cpp tells stderr how it loads
        os.dup2(sink, 2)
        load = whisper_cpp.whisper_context_default_params()
        load.flash_attn = load.use_gpu = False  # whisper.cpp's flash attention attends to stale padding of a cut context
        self.context = whisper_cpp.whisper_init_from_file_with_params(path, load)
        self.params = p = whisper_cpp.whisper_full_default_params(whisper_cpp.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        os.dup2(error, 2)
        p.n_threads, p.single_segment, p.no_timestamps, p.no_context = threads, True, True, True
        p.print_progress = p.print_realtime = p.print_timestamps = p.print_special = False
        p.temperature, p.temperature_inc, p.suppress_blank = 0.0, 0.0, suppress_blank
        p.language = "en"

    def hear(self, wave):
        self.params.audio_ctx = train.audio_ctx(len(wave))
        if whisper_cpp.whisper_full(self.context, self.params, wave, len(wave)) != 0:
            raise RuntimeError("whisper.cpp failed")
        n = whisper_cpp.whisper_full_n_segments(self.context)
        texts = (whisper_cpp.whisper_full_get_segment_text(self.context, i) for i in range(n))
        return "".join(t if isinstance(t, str) else t.decode(errors="replace") for t in texts).strip()


def words(s):
    """Lower case, without punctuation; points, colons and signs inside numbers stay."""
    return re.findall(r"-?\d+(?:[.:]\d+)*|[a-z']+", s.lower())


def errors(reference, heard):
    """Word edits (substitutions, deletions, insertions) between two lists of words."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--limit", type=int, default=10 ** 9, help="rows of each set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--list", default="hear-heldout.jsonl")
    args = parser.parse_args()
    ear, sets = Ear(args.model, args.threads), {}
    for row in map(json.loads, open(args.list)):
        rows = sets.setdefault(row["set"], [])
        if len(rows) < args.limit:
            heard = ear.hear(data.heldout_wave(row))
            reference = words(row["text"])
            rows.append((errors(reference, words(heard)), len(reference), heard, row))
    print("| held-out set | utterances | word error rate | wholly right |\n|---|---|---|---|")
    for name, rows in sets.items():
        if name == "nospeech":
            said = sum(bool(heard) for _, _, heard, _ in rows)
            print(f"| no speech | {len(rows)} | {said} with any text | {100 * (1 - said / len(rows)):.1f} % |")
        else:
            e, n = sum(r[0] for r in rows), sum(r[1] for r in rows)
            print(f"| {name} | {len(rows)} | {100 * e / n:.1f} % | {100 * sum(r[0] == 0 for r in rows) / len(rows):.1f} % |")
    for title, key in (("By known voice", lambda row: row["synthesizer"] + " " + row["voice"]), ("By kind, known voices", lambda row: row["kind"])):
        parts = {}
        for e, n, _, row in sets["known"]:
            part = parts.setdefault(key(row), [0, 0])
            part[0] += e
            part[1] += n
        print(f"\n{title}: " + ", ".join(f"{v} {100 * e / n:.1f} %" for v, (e, n) in sorted(parts.items())))
    for name, rows in sets.items():
        print(f"\nThe worst ten of {name} (edits, said, heard):\n")
        for e, _, heard, row in sorted(rows, key=lambda r: (r[0], len(r[2])), reverse=True)[:10]:
            print(f"- {e} · {row['text'] or row['kind']} · {heard or '(nothing)'} ({row.get('synthesizer', '')} {row.get('voice', '')})")
    wave = np.zeros(2 * data.RATE, np.float32)
    said = data.heldout_wave(next(r for _, _, _, r in sets["known"]))[: len(wave)]
    wave[: len(said)] = said
    ear.hear(wave)
    began = time.perf_counter()
    for _ in range(10):
        ear.hear(wave)
    print(f"\nTwo seconds of speech take {100 * (time.perf_counter() - began):.0f} ms with {args.threads} thread(s).")


if __name__ == "__main__":
    main()
