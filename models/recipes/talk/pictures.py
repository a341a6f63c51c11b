"""Pictures for talk-nano, skill 2: 17 words that the picture model says (see-nano), and the one canonical caption of them.

Slot 0 is `day` or `night`; then come 4 groups of (count, colour, object, place), left to right, an empty one being four
times `nothing`. Every word is one token, so a picture is 17 token embeddings; the picture model makes mixtures of the same
embeddings. Held out by construction: pairs of colour and object, and pairs of objects, chosen by a hash. For train.py,
tokenizer.py and evaluate.py.
"""

import random
import zlib

SYSTEM = "You describe pictures in one sentence."
ASK, CHECK = "\nWhat do you see?", "\nIs this right: "
COUNTS = "one two three four many".split()
COLOURS = "red green blue yellow orange purple black white brown pink grey plain".split()
OBJECTS = """person man woman child dog cat bird horse cow sheep car bus truck bicycle boat train plane tree flower house chair table
cup ball apple book bottle umbrella clock key""".split()
PLACES = "left middle right".split()
WORDS = ["day", "night", "nothing"] + COUNTS + COLOURS + OBJECTS + PLACES
MANY = {"person": "people", "man": "men", "woman": "women", "child": "children", "sheep": "sheep", "bus": "buses"}
SLOTS, GROUPS = 17, 4


def held_pair(a, b):
    return zlib.crc32(f"{a} {b}".encode()) % 7 == 0


def is_held(groups):
    """Whether a picture has a held-out pair: such pictures occur only in the held-out set."""
    names = [g[2] for g in groups]
    return any(held_pair(g[1], g[2]) for g in groups) or any(held_pair(a, b) for a, b in zip(names, names[1:]))


def draw(rng, held=False):
    """(night, groups) of a picture; groups ordered left to right, then by object name; no two alike."""
    while True:
        n = rng.choices((0, 1, 2, 3, 4), (3, 30, 32, 22, 13))[0]
        plain = rng.random() < 0.15
        groups = set()
        while len(groups) < n:
            colour = "plain" if plain or rng.random() < 0.35 else rng.choice(COLOURS)
            groups.add((rng.choices(COUNTS, (50, 18, 12, 10, 10))[0], colour, rng.choice(OBJECTS), rng.choice(PLACES)))
        groups = sorted(groups, key=lambda g: (PLACES.index(g[3]), g[2]))
        if len({(g[2], g[3]) for g in groups}) == n and (n == 0 or is_held(groups) == held):
            return rng.random() < 0.4, groups


def words(night, groups):
    """The 17 words of a picture."""
    out = ["night" if night else "day"]
    for g in list(groups) + [("nothing",) * 4] * (GROUPS - len(groups)):
        out += g
    return out


def noun_phrase(group):
    count, colour, name, _ = group
    text = ("" if colour == "plain" else colour + " ") + (name if count == "one" else MANY.get(name, name + "s"))
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}" if count == "one" else f"{count} {text}"


def caption(night, groups):
    parts = [f"{noun_phrase(g)} {'in the middle' if g[3] == 'middle' else 'on the ' + g[3]}" for g in groups]
    text = "nothing to see" if not parts else parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return text[0].upper() + text[1:] + (", at night." if night else ".")


def altered(rng, night, groups, held=False):
    """Another picture that differs in one thing."""
    while True:
        g, x = [list(one) for one in groups], rng.random()
        if not g or x < 0.1:
            return not night, groups
        if x < 0.2:
            return draw(rng, held)
        if x < 0.3 and len(g) > 1:
            del g[rng.randrange(len(g))]
        else:
            field = rng.choice((0, 1, 2, 2, 3))
            rng.choice(g)[field] = rng.choice((COUNTS, COLOURS, OBJECTS, PLACES)[field])
        g = sorted(map(tuple, g), key=lambda g: (PLACES.index(g[3]), g[2]))
        if caption(night, g) != caption(night, groups):
            return night, g


def question(rng, held=False, captions=0.75):
    """(17 words, what the user asks, answer); captions: share of the questions that ask for one."""
    night, groups = draw(rng, held)
    if rng.random() < captions:
        return words(night, groups), ASK, caption(night, groups)
    right = rng.random() < 0.5
    said = (night, groups) if right else altered(rng, night, groups, held)
    return words(night, groups), CHECK + caption(*said), "Yes." if caption(*said) == caption(night, groups) else "No."


def neighbour(rng, slot):
    """A word that could stand in the same slot: what a doubtful picture model mixes into the right one."""
    if slot == 0:
        return rng.choice(("day", "night"))
    return rng.choice((COUNTS, COLOURS, OBJECTS, PLACES)[(slot - 1) % 4] + ["nothing"])


def pack(tok, rng, n):
    """About n + 1 token ids of one system message and many pictures, the loss class of each (0 context, 2 answer), and
    {position: (token id, share)} of what is mixed into the picture's words, since a picture model is never quite sure."""
    ids_of = {w: tok.token_to_id(w) for w in WORDS}
    special = {t: tok.token_to_id(f"<|{t}|>") for t in ("system", "user", "assistant", "end", "picture")}
    ids = [special["system"], *tok.encode(SYSTEM, add_special_tokens=False).ids, special["end"]]
    kind = [0] * len(ids)
    many = [question(rng, captions=0.5) for _ in range(n // 40 + 3)]
    coded = tok.encode_batch([t for _, ask, answer in many for t in (ask, answer)], add_special_tokens=False)
    mixed = {}
    for (soft, _, _), ask, answer in zip(many, coded[0::2], coded[1::2]):
        doubt = rng.choice((0, 0, 0.1, 0.35))
        if doubt:
            for slot in range(SLOTS):
                mixed[len(ids) + 2 + slot] = ids_of[neighbour(rng, slot)], doubt * rng.random()
        context = [special["user"], special["picture"], *(ids_of[w] for w in soft), *ask.ids, special["end"], special["assistant"]]
        ids += context + answer.ids + [special["end"]]
        kind += [0] * len(context) + [2] * (len(answer.ids) + 1)
    return ids, kind, mixed


if __name__ == "__main__":
    rng = random.Random(0)
    for _ in range(30):
        print(question(rng))
