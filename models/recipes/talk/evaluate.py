"""Scores talk-nano on held-out phrasings, names and values; and writes the held-out sets that the Rust program reads.

  python evaluate.py quick [checkpoint] [homes]   exactness by question type, teacher-forced (for looking in while it trains)
  python evaluate.py rows                         writes talk-heldout-reports.jsonl and talk-heldout-pictures.jsonl
  python evaluate.py rows home                    writes talk-heldout.jsonl
  python evaluate.py llamacpp file.gguf           the first replies to every eighth row, PyTorch against llama.cpp (needs xllamacpp)
  python evaluate.py score file.gguf              greedy replies on all rows from a GGUF file's own weights, by type, with the worst ten

"Exact" means: every tool call (name and arguments) and the whole reply are the canonical ones, letter for letter; a
report is exact if every name, number, unit, direction and time of every sentence is. The teacher-forced figure equals
the greedy one for a turn, since a greedy reply is exact only if every token of it is the most likely one after the
right tokens before it. It leaves out speed and memory: those are the Rust program's figures.
"""

import collections
import json
import os
import random
import re
import sys

import torch

import grammar
import pictures
import reports
import tokenizer
from files import load_checkpoint, model_of_gguf

ROWS_SEED, QUICK_SEED = 20261121, 777
# kind in grammar.MIX (or "follow") -> rows of the held-out set
QUOTA = dict(temp=16, temp_out=6, humidity=10, light_what=8, light_yn=14, door_what=8, door_yn=14, dev_what=6, dev_yn=12, weather=8, weather_yn=10,
             compare=20, threshold=10, extreme=16, list_=16, any_=10, all_=10, count=12, things=8, exists=5, clock=10, timer=14, light_cmd=20,
             dev_cmd=12, door_cmd=16, all_cmd=12, two_cmd=14, social=14, decline=20, unclear=5, turn_back=12, follow=40)


def rows():
    rng = random.Random(ROWS_SEED)
    for kind, count in QUOTA.items():
        made = tries = 0
        while made < count:
            world = grammar.World(rng, held=True)
            home = world.home(rng.choice((2, 4, 6, 8)))
            part = grammar.PART.get(kind)
            if part and not home[part] and rng.random() < 0.9:
                continue
            talker = grammar.Talker(rng, home, world, held=True)
            draw = lambda: getattr(talker, rng.choices(list(grammar.MIX), list(grammar.MIX.values()))[0])()
            history = []
            for _ in range(rng.choice((0, 0, 1, 2)) if kind != "follow" else rng.choice((0, 0, 1))):
                turn = draw()
                if isinstance(turn, grammar.Turn):
                    history += turn.messages()
                    apply(home, turn)
            if history and rng.random() < 0.4:
                world.values(home)  # the history is older than the state
            if kind == "follow":
                before = draw()
                if not isinstance(before, grammar.Turn) or not before.topic:
                    continue
                apply(home, before)
                history += before.messages()
                turn = talker.follow(before)
                if turn is None:
                    continue
            elif kind == "turn_back":
                pair = talker.turn_back()
                if pair is None:
                    continue
                history += pair[0].messages()
                turn = pair[1]
            else:
                turn = getattr(talker, kind)()
                if turn is None or kind == "humidity" and turn.reply.startswith("There is no ") and rng.random() < 0.5:
                    continue
            made += 1
            yield {
                "kind": turn.kind,
                "home": {k: v for k, v in home.items() if v},
                "history": [{"role": r, "content": c} for r, c in history],
                "question": turn.question,
                "expect": {"reply": turn.reply, "tools": [{"name": n, "arguments": a} for n, a in turn.calls]},
                "tool_results": turn.results,
            }


def report_rows(count=100):
    rng = random.Random(ROWS_SEED + 3)
    for i in range(count):
        table, report = reports.table(rng, held=True, most=6 if i % 2 else 3)
        yield {"kind": "report", "table": table, "report": report}


def picture_rows(count=100):
    rng = random.Random(ROWS_SEED + 2)
    for _ in range(count):
        words, ask, answer = pictures.question(rng, held=True)
        yield {"kind": "caption" if ask == pictures.ASK else "second opinion", "words": words, "ask": ask, "answer": answer}


def apply(home, turn):
    """What the commands of a turn changed."""
    for (name, args), result in zip(turn.calls, turn.results):
        if not result.get("ok") or not name.startswith("set_"):
            continue
        key = name[4:].replace("light", "room")
        part, target = key + "s", args[key]
        for n in list(home[part]):
            if target in ("all", n):
                if key != "room":
                    home[part][n] = args["state"]
                elif "light" in home[part][n]:
                    home[part][n]["light"] = args["state"]


@torch.no_grad()
def quick(path, homes=60, turns=14, held=True):
    tok = tokenizer.load()
    model, data = load_checkpoint(path)
    rng = random.Random(QUICK_SEED)
    good, all_, wrong = collections.Counter(), collections.Counter(), []
    user, end = tok.token_to_id("<|user|>"), tok.token_to_id("<|end|>")
    for _ in range(homes):
        talk = grammar.conversation(rng, held=held, size=rng.choice((2, 4, 6, 8)))
        system = next(talk)[1]
        spoken = [next(talk) for _ in range(turns)]
        ids, kind = tokenizer.chat(tok, system, spoken)
        guess = model(torch.tensor([ids[:-1]]))[0].argmax(-1).tolist()
        # Where each turn begins: at its <|user|>.
        starts = [i for i, t in enumerate(ids) if t == user] + [len(ids)]
        for (turn, sup), a, b in zip(spoken, starts, starts[1:]):
            if not sup:
                continue
            ok = all(guess[i - 1] == ids[i] for i in range(a, b) if kind[i] == 2)
            all_[turn.kind] += 1
            good[turn.kind] += ok
            if not ok:
                said = tok.decode([guess[i - 1] for i in range(a, b) if kind[i] == 2], skip_special_tokens=False)
                wrong.append((turn.kind, turn.question, turn.reply, said, system))
    skills = skill_scores(model, tok, 30 if held else 0)
    print(f"step {data['step']}, {data['seen'] / 1e6:.2f}M tokens, {'held-out' if held else 'training'} phrasings: {sum(good.values())} of {sum(all_.values())} = {100 * sum(good.values()) / sum(all_.values()):.1f} %")
    print(f"  reports {skills[0]}, captions and second opinions {skills[1]}")
    for k in sorted(all_, key=lambda k: good[k] / all_[k]):
        print(f"  {100 * good[k] / all_[k]:5.1f} %  {good[k]:3d} of {all_[k]:3d}  {k}")
    return wrong


def picture_prompt(tok, row):
    """Token ids of the prompt of one picture; its 17 words are one token each."""
    before = f"<|system|>{pictures.SYSTEM}<|end|><|user|><|picture|>"
    return tok.encode(before, add_special_tokens=False).ids + [tok.token_to_id(w) for w in row["words"]] + tok.encode(f"{row['ask']}<|end|><|assistant|>", add_special_tokens=False).ids


def report_prompt(row):
    return f"<|system|>{reports.SYSTEM}<|end|><|user|>{row['table']}<|end|><|assistant|>"


@torch.no_grad()
def skill_scores(model, tok, count):
    """["right of all" for the first `count` held-out reports and pictures], teacher-forced."""
    out = []
    for rows_, prompt_of, key in ((report_rows(count), lambda r: tok.encode(report_prompt(r), add_special_tokens=False).ids, "report"), (picture_rows(count), lambda r: picture_prompt(tok, r), "answer")):
        good = n = 0
        for row in rows_:
            ids, due = prompt_of(row), tok.encode(row[key], add_special_tokens=False).ids + [tok.token_to_id("<|end|>")]
            hidden = model.hidden(torch.tensor([ids + due[:-1]]))[0, len(ids) - 1 :]
            good += model.logits(hidden).argmax(-1).tolist() == due
            n += 1
        out.append(f"{good} of {n}")
    return out


@torch.no_grad()
def greedy(model, tok, text, most=160):
    """The text of the reply to a rendered prompt (or its token ids), without its <|end|>."""
    end = tok.token_to_id("<|end|>")
    ids = tok.encode(text, add_special_tokens=False).ids if isinstance(text, str) else text
    past, out = [[] for _ in model.blocks], []
    feed = torch.tensor([ids])
    while len(out) < most:
        best = int(model.logits(model.hidden(feed, past)[:, -1]).argmax())
        if best == end:
            break
        out.append(best)
        feed = torch.tensor([[best]])
    return tok.decode(out, skip_special_tokens=False)


def prompt(row, system=grammar.SYSTEMS[0]):
    home = {p: row["home"].get(p, {}) for p in ("rooms", "doors", "devices", "outside")}
    messages = [("system", grammar.render(home, system))] + [(m["role"], m["content"]) for m in row["history"]] + [("user", row["question"])]
    return "".join(f"<|{r}|>{c}<|end|>" for r, c in messages) + "<|assistant|>"


def answer(model, tok, row):
    """(tool calls, reply) of the model for one row; tool results are the row's."""
    text = prompt(row)
    said, calls = greedy(model, tok, text), []
    if said.startswith("<tool_call>"):
        for part in said.split("<tool_call>")[1:]:
            try:
                calls.append(json.loads(part.removesuffix("</tool_call>")))
            except ValueError:
                calls.append({"broken": part})
        if calls != row["expect"]["tools"]:
            return calls, said
        text += said + "<|end|>" + "".join(f"<|tool|>{json.dumps(r, ensure_ascii=False)}<|end|>" for r in row["tool_results"]) + "<|assistant|>"
        said = greedy(model, tok, text)
    return calls, said


def score_skills(model, tok, folder, show=5):
    """Prints the figures of reports and pictures."""
    numbers = lambda text: re.findall(r"-?[0-9][0-9.:]*", text.replace(". ", " ").rstrip("."))
    good = right_numbers = n = 0
    wrong = []
    for line in open(f"{folder}/talk-heldout-reports.jsonl"):
        row = json.loads(line)
        said = greedy(model, tok, report_prompt(row), most=360)
        good, right_numbers, n = good + (said == row["report"]), right_numbers + (numbers(said) == numbers(row["report"])), n + 1
        if said != row["report"]:
            wrong.append({"table": row["table"], "expected": row["report"], "said": said})
    print(f"reports exactly right: {good} of {n} = {100 * good / n:.1f} %; every number right: {right_numbers} of {n}")
    good, all_ = collections.Counter(), collections.Counter()
    for line in open(f"{folder}/talk-heldout-pictures.jsonl"):
        row = json.loads(line)
        said = greedy(model, tok, picture_prompt(tok, row))
        all_[row["kind"]] += 1
        good[row["kind"]] += said == row["answer"]
        if said != row["answer"]:
            wrong.append({"words": " ".join(row["words"]), "ask": row["ask"], "expected": row["answer"], "said": said})
    for k in sorted(all_):
        print(f"{k} of a picture exactly right: {good[k]} of {all_[k]} = {100 * good[k] / all_[k]:.1f} %")
    for w in [w for w in wrong if "table" in w][:show] + [w for w in wrong if "words" in w][:show]:
        print(json.dumps(w, ensure_ascii=False))


def score(path, rows_path="talk-heldout.jsonl", show=10):
    tok = tokenizer.load()
    model = model_of_gguf(path).eval()
    good, all_, wrong, tool_good, tool_all = collections.Counter(), collections.Counter(), [], 0, 0
    for line in open(rows_path):
        row = json.loads(line)
        calls, said = answer(model, tok, row)
        ok_tools = calls == row["expect"]["tools"]
        ok = ok_tools and said == row["expect"]["reply"]
        all_[row["kind"]] += 1
        good[row["kind"]] += ok
        if row["expect"]["tools"]:
            tool_all += 1
            tool_good += ok_tools
        if not ok:
            wrong.append((row, calls, said))
    print(f"exactly right: {sum(good.values())} of {sum(all_.values())} = {100 * sum(good.values()) / sum(all_.values()):.1f} %")
    print(f"tool calls exact, where one was due: {tool_good} of {tool_all} = {100 * tool_good / tool_all:.1f} %")
    for k in sorted(all_):
        print(f"| {k} | {good[k]} of {all_[k]} | {100 * good[k] / all_[k]:.0f} % |")
    # The worst: one failure of each of the weakest types.
    weakest, seen = sorted(all_, key=lambda k: good[k] / all_[k]), set()
    wrong.sort(key=lambda w: weakest.index(w[0]["kind"]))
    worst = [w for w in wrong if not (w[0]["kind"] in seen or seen.add(w[0]["kind"]))]
    for row, calls, said in (worst + wrong)[:show]:
        print(json.dumps({"kind": row["kind"], "question": row["question"], "expected": row["expect"]["tools"] + [row["expect"]["reply"]], "said": said}, ensure_ascii=False))
    score_skills(model, tok, os.path.dirname(rows_path) or ".")
    return wrong


def llamacpp(path, rows_path="talk-heldout.jsonl"):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.cpuparams.n_threads, params.warmup, params.n_gpu_layers = path, 2048, 1, False, 0
    server = xllamacpp.Server(params)
    tok, model, same, n, counts = tokenizer.load(), model_of_gguf(path).eval(), 0, 0, 0
    texts = [prompt(json.loads(line)) for line in list(open(rows_path))[::8]]
    texts += [report_prompt(json.loads(line)) for line in list(open(os.path.join(os.path.dirname(rows_path), "talk-heldout-reports.jsonl")))[::10]]
    for text in texts:
        theirs = server.handle_completions({"prompt": text, "temperature": 0, "max_tokens": 360, "special": True})
        same += theirs["choices"][0]["text"] == greedy(model, tok, text, most=360)
        counts += theirs["usage"]["prompt_tokens"] == len(tok.encode(text, add_special_tokens=False).ids)
        n += 1
    print(f"llama.cpp and PyTorch: {same} of {n} greedy replies equal, {counts} of {n} prompts of equal token count")


if __name__ == "__main__":
    torch.set_num_threads(1)
    what = sys.argv[1]
    if what == "rows":
        files = {"talk-heldout.jsonl": rows} if sys.argv[2:] == ["home"] else {"talk-heldout-reports.jsonl": report_rows, "talk-heldout-pictures.jsonl": picture_rows}
        for name, make in files.items():
            with open(name, "w") as f:
                f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in make())
    elif what == "score":
        score(sys.argv[2])
    elif what == "llamacpp":
        llamacpp(sys.argv[2])
    else:
        wrong = quick(sys.argv[2] if len(sys.argv) > 2 else "build/checkpoint.pt", homes=int(sys.argv[3]) if len(sys.argv) > 3 else 60)
        random.Random(1).shuffle(wrong)
        for kind, q, reply, said, system in wrong[:25]:
            print(f"[{kind}] {q}\n    due:  {reply}\n    said: {said}")
