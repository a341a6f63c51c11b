#!/usr/bin/env python3
"""Draws a terminal session as SVG: `python3 docs/images/terminal.py "title" < session.txt > docs/images/session.svg`.

Lines that begin with `$ ` are commands. Long lines are cut, so that the picture can be read at the width of a README.
"""
import sys
from html import escape

COLUMNS, LINE, LEFT, TOP, CHAR = 104, 19, 18, 58, 8.05
COLOURS = {"$ ": "#7ee787", "#": "#8b949e"}


def main():
    title = sys.argv[1] if len(sys.argv) > 1 else "nearfield"
    lines = [line.rstrip("\n") for line in sys.stdin]
    width, height = int(LEFT * 2 + COLUMNS * CHAR), TOP + LINE * len(lines) + 8
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">')
    print(f"<title>{escape(title)}</title>")
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>')
    for x, colour in ((20, "#ff5f57"), (40, "#febc2e"), (60, "#28c840")):
        print(f'<circle cx="{x}" cy="20" r="6" fill="{colour}"/>')
    print(f'<text x="{width // 2}" y="25" text-anchor="middle" font-family="sans-serif" font-size="13" fill="#8b949e">{escape(title)}</text>')
    print('<g font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="13.3" fill="#e6edf3" xml:space="preserve">')
    for n, line in enumerate(lines):
        shown = line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…"
        colour = next((c for mark, c in COLOURS.items() if shown.startswith(mark)), None)
        fill = f' fill="{colour}"' if colour else ""
        if shown:
            print(f'<text x="{LEFT}" y="{TOP + n * LINE}"{fill}>{escape(shown)}</text>')
    print("</g></svg>")


main()
