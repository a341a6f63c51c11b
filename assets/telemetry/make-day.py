#!/usr/bin/env python3
"""Writes day.csv: a made-up day of four sensors, a reading every five minutes, with one spike, one gap and one slow drift.

    python3 assets/telemetry/make-day.py > assets/telemetry/day.csv

Always the same bytes: the noise comes from a fixed seed. Standard library only.
"""

from __future__ import annotations

import math
import random

SPIKE = (14 * 60 + 20, 91)          # the hall's humidity, once
GAP = (2 * 60 + 10, 3 * 60 + 45)    # the attic's sensor says nothing in between
DRIFT = (8 * 60, -3.6)              # the cellar's pressure, from then to the end of the day


def main() -> None:
    random.seed(20261120)
    print("time,kitchen temperature (°C),hall humidity (%),attic temperature (°C),cellar pressure (hPa)")
    for minute in range(0, 24 * 60, 5):
        day = math.cos((minute - 15 * 60) / (24 * 60) * 2 * math.pi)
        kitchen = f"{21.4 + 1.1 * day + random.gauss(0, 0.08):.1f}"
        humidity = SPIKE[1] if minute == SPIKE[0] else 45 - 3 * day + random.gauss(0, 0.6)
        attic = f"{13.0 + 3.2 * day + random.gauss(0, 0.12):.1f}"
        if GAP[0] < minute < GAP[1]:
            attic = ""
        drift = DRIFT[1] * max(0, minute - DRIFT[0]) / (24 * 60 - DRIFT[0])
        pressure = f"{1013.2 + drift + random.gauss(0, 0.12):.1f}"
        print(f"2026-11-20 {minute // 60:02}:{minute % 60:02}:00,{kitchen},{humidity:.0f},{attic},{pressure}")


if __name__ == "__main__":
    main()
