"""The byte-level BPE of talk-nano: 2,560 entries trained on generated text of all skills. Writes build/tokenizer.json.

Pre-tokenizer: exactly the regex that GGUF calls `qwen2` (single digits). One habit differs from the usual training:
merges are learned on words WITHOUT their leading space, and afterwards a merge `space + word` is added for common
words that are not parts of names. So a room is spelled with the same tokens at the start of a state line
("zorvik: 21 °C"), in a question (" zorvik") and in JSON ('"zorvik"'), and copying a name never seen in training is
plain copying. Any GPT-2 style BPE applies such merges correctly, since they only come later in rank.
"""

import collections
import json
import random
import re
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import grammar
import pictures
import reports

VOCAB = 2560
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTROL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|picture|>"]
USER_DEFINED = ["<tool_call>", "</tool_call>"]
PATH = "build/tokenizer.json"

def splitter():
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def texts(n_homes, seed):
    rng = random.Random(seed)
    for _ in range(n_homes):
        talk = grammar.conversation(rng)
        yield next(talk)[1]
        for _ in range(20):
            for _, text in next(talk)[0].messages():
                yield text
    for _ in range(n_homes):
        yield from reports.table(rng)
        _, ask, answer = pictures.question(rng)
        yield ask
        yield answer


def train():
    pieces = collections.Counter()
    split = splitter()
    for text in texts(3000, seed=11):
        pieces.update(piece for piece, _ in split.pre_tokenize_str(text))
    words, spaced = collections.Counter(), collections.Counter()
    for piece, n in pieces.items():
        if re.fullmatch("Ġ[A-Za-z]+", piece):
            spaced[piece[1:]] += n
            piece = piece[1:]
        words[piece] += n
    for word in pictures.WORDS:  # a picture is 17 of these, each of which must be one token
        words[word] += 5000
    parts = {w for lists in (grammar.ROOMS, grammar.DOORS, grammar.DEVICES, grammar.PEOPLE, grammar.ADJECTIVES, reports.PLACES, reports.MACHINES) for names in lists for n in names for w in n.split()}
    parts = {w for w in parts | {p.capitalize() for p in parts}} - {"door", "light"}
    common = [w for w, n in spaced.most_common() if w not in parts and n >= 120][:320]

    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    specials = CONTROL + USER_DEFINED
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - len(common), special_tokens=specials, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    byte_decoder = {c: b for b, c in byte_table().items()}
    plain = lambda piece: bytes(byte_decoder[c] for c in piece).decode("utf-8")
    # A tenth of the counts: the ranking is what matters.
    tok.train_from_iterator((plain(w) for w, n in sorted(words.items()) for _ in range(-(-n // 10))), trainer)
    spec = json.loads(tok.to_str())
    vocab, merges = spec["model"]["vocab"], spec["model"]["merges"]
    for word in common:
        if word in vocab and len(vocab) < VOCAB and "Ġ" + word not in vocab:
            vocab["Ġ" + word] = len(vocab)
            merges.append(["Ġ", word])
    while len(vocab) < VOCAB:
        vocab[f"<|spare_{len(vocab)}|>"] = len(vocab)
    full = assemble(vocab, merges)
    assert all(len(full.encode(w).ids) == 1 for w in pictures.WORDS)
    full.save(PATH)
    return full


def assemble(vocab, merges):
    """The tokenizer of a vocabulary (entry -> id, control tokens among them) and its merges."""
    tok = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in merges]))
    tok.pre_tokenizer = splitter()
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in vocab if t.startswith("<|") and t.endswith("|>")])
    tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in USER_DEFINED])
    return tok


def variants(tok, rng, count):
    """Tokenizers that lack some of the merges of `tok`, each others, so that words fall into other pieces. Half of the entries
    hardly ever occur in the text as it is, being only steps on the way to longer ones; a name that does need one would
    be copied wrong. Within a sequence one variant spells everything: a name and its copy stay the same tokens."""
    spec = json.loads(tok.to_str())["model"]
    merges = [tuple(m) for m in spec["merges"]]
    parts, common = {a + b: (a, b) for a, b in merges}, set()
    todo = [entry for entry in parts if entry.startswith("Ġ")]
    while todo:  # the merges that the most common words need; these are left out less often
        entry = todo.pop()
        if entry in parts and entry not in common:
            common.add(entry)
            todo += parts[entry]
    out = []
    for _ in range(count):
        share = rng.uniform(0.02, 0.2)
        out.append(assemble(spec["vocab"], [m for m in merges if rng.random() >= share * (0.1 if m[0] + m[1] in common else 1)]))
    return out


def byte_table():
    """GPT-2's printable stand-ins for the 256 bytes."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, extra = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


def load():
    return Tokenizer.from_file(PATH)


def chat(tok, system, turns):
    """Token ids and the loss class of each: 0 context, 1 question, 2 answer. turns: [(Turn, supervised)]."""
    sys_, user, assistant, tool, end = (tok.token_to_id(t) for t in ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>"))
    role = {"user": user, "assistant": assistant, "tool": tool}
    messages = [(turn, sup, r, text) for turn, sup in turns for r, text in turn.messages()]
    coded = tok.encode_batch([system] + [m[3] for m in messages], add_special_tokens=False)
    ids = [sys_] + coded[0].ids + [end]
    kind = [0] * len(ids)
    for (turn, sup, r, _), code in zip(messages, coded[1:]):
        ids += [role[r]] + code.ids + [end]
        k = 1 if r == "user" else 2 if r == "assistant" and sup else 0
        kind += [0] + [k] * (len(code.ids) + 1)
    return ids, kind


if __name__ == "__main__":
    tok = train()
    print("entries", tok.get_vocab_size())
    for text in sys.argv[1:] or ["zorvik hall: 21.5 °C, humidity 40 %, light off\nguest bedroom: light on", "Is it warmer in the zorvik hall than in Zara's room?",
                                 '<tool_call>{"name": "set_light", "arguments": {"room": "zorvik hall", "state": "on"}}</tool_call>', '{"ok": true, "zorvik hall light": "on"}']:
        print(tok.encode(text).tokens)
        assert tok.decode(tok.encode(text).ids, skip_special_tokens=False) == text
    n = c = 0
    for t in texts(50, 5):
        n += len(tok.encode(t).ids)
        c += len(t)
    print(f"characters a token: {c / n:.2f}")
