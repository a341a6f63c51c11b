"""Writes the measured parts of talk-nano's card anew: sizes, hashes, figures and failures, from the files and from what
`nearfield eval bundled --json` printed. The prose between them is left alone.

  nearfield eval bundled --json | python card.py ../../../assets/models/talk-nano.md build/talk-nano.gguf build/talk-nano-f16.gguf
"""

import hashlib
import json
import os
import re
import sys

CUT = 300  # characters of a failed reply: some never end


def percent(right, rows):
    return f"{100 * right / rows:.1f} %"


def files(q8, f16):
    of = lambda path: f"{os.path.getsize(path)} | `{hashlib.sha256(open(path, 'rb').read()).hexdigest()}` |"
    return f"| file | bytes | sha256 |\n|---|---|---|\n| talk-nano.gguf (Q8_0, norms F32) | {of(q8)}\n| talk-nano-f16.gguf (not in git) | {of(f16)}"


def figures(sets):
    home, reports, checked, pictures = (sets[name] for name in ("home", "reports", "checked-reports", "pictures"))
    kinds = {k["kind"]: k for k in pictures["kinds"]}
    row = lambda what, right, rows: f"| {what} | {right} of {rows} | {percent(right, rows)} |"
    return "\n".join([
        "| held-out set | right | |\n|---|---|---|",
        row("questions about a home: tool calls and reply exactly right", home["right"], home["rows"]),
        row("… of them, tool calls exact, where one was due", home["tool_calls_right"], home["tool_calls_due"]),
        row("reports: every word and number right", reports["right"], reports["rows"]),
        row("reports: every number right", reports["every_number_right"], reports["rows"]),
        f"| sentences of reports right | | {reports['sentences_right_percent']} % |",
        row("reports as the program gives them out, every number and claim right", checked["right"], checked["rows"]),
        f"| … their sentences: written at once, at the second try, computed | {checked['sentences_written']}, {checked['sentences_regenerated']}, {checked['sentences_computed']} | |",
        row("captions exactly right", kinds["caption"]["right"], kinds["caption"]["rows"]),
        row("second opinions right", kinds["second opinion"]["right"], kinds["second opinion"]["rows"]),
    ])


def kinds(home):
    rows = [f"| {k['kind']} | {k['right']} of {k['rows']} | {100 * k['right'] / k['rows']:.0f} % |" for k in sorted(home["kinds"], key=lambda k: k["kind"])]
    return "\n".join(["| type | right | |\n|---|---|---|", *rows])


def failures(sets):
    out = []
    for title, name in (("Questions", "home"), ("Reports", "reports"), ("Pictures", "pictures")):
        out += [f"{title}:", "```"]
        for row in sets[name]["worst"]:
            if len(row["said"]) > CUT and name == "home":
                row["said"] = row["said"][:CUT] + " …"
            out.append(json.dumps(row, ensure_ascii=False))
        out += ["```"] if sets[name]["worst"] else ["none", "```"]
    return "\n".join(out)


def main():
    card, q8, f16 = sys.argv[1:]
    sets = {row["set"]: row for row in map(json.loads, sys.stdin) if row["eval"] == "talk-nano"}
    text = open(card).read()
    for begin, end, new in (
        ("| file | bytes | sha256 |", "\n\n", files(q8, f16)),
        ("| held-out set | right | |", "\n\n", figures(sets)),
        ("| type | right | |", "\n\n", kinds(sets["home"])),
        ("Questions:\n```", None, failures(sets) + "\n"),
    ):
        at = text.index(begin)
        text = text[:at] + new + (text[text.index(end, at):] if end else "")
    open(card, "w").write(text)
    print(f"{card}: " + ", ".join(re.sub(r"\s+", " ", f"{name} {s['right']} of {s['rows']}") for name, s in sets.items()))


if __name__ == "__main__":
    main()
