"""Sensor reports for talk-nano, skill 3: tables as the telemetry service writes them, and the one canonical report of each.

A table is a window, one line a sensor and the anomalies; the report names each anomaly and the first sensors, in words
and numbers copied from the table. Held out by construction: names of places, machines and quantities after `HELD:`,
made-up names with held-out beginnings; every value is drawn anew. For train.py, tokenizer.py and evaluate.py.
"""

import random

import grammar

SYSTEM = "You write short reports on sensor readings. Use only the numbers in the table."
PLACES = grammar._names("""kitchen, hall, attic, cellar, bedroom, bathroom, office, garage, greenhouse, garden, roof, workshop, stable, barn, lab,
server room, living room, plant room, warehouse, north wing, south wing, east wall, west wall, upper floor, lower floor, tank room, terrace,
hangar, dock, tunnel, field, pond, well, bridge, tower, street, yard, shed, corridor, lobby, classroom, gym, shop, bakery, vault, silo,
outdoor, indoor, inlet, outlet, cold store, clean room, control room, hive, nursery, pool, sauna, river, reservoir, cabin, main hall
HELD: pantry, loft, annex, orchard, jetty, mill, quarry, spring, great hall, junction, gallery""")
MACHINES = grammar._names("""boiler, fridge, freezer, pump, compressor, turbine, motor, fan, heater, oven, furnace, inverter, battery, generator,
solar panel, heat pump, chiller, mixer, press, lathe, drill, conveyor, crane, valve, filter, tank, pipe, radiator, washing machine, dryer, rack,
server, router, charger, meter, transformer, spindle, gearbox, bearing, engine, wheel, belt, robot, printer, kiln, sensor, probe, line, vessel
HELD: grinder, jukebox, spooler, gate motor, plotter, sprayer, quencher, joiner""")
# quantity -> (unit, typical middle, spread, decimals)
QUANTITIES = {
    "temperature": (("°C", 21, 4, 1), ("°C", 5, 8, 1), ("°C", -18, 3, 1), ("°C", 65, 12, 1), ("°C", 180, 30, 0), ("°F", 70, 8, 1), ("K", 300, 9, 1)),
    "humidity": (("%", 50, 15, 0), ("%", 45, 12, 1)),
    "pressure": (("hPa", 1013, 9, 0), ("hPa", 986, 9, 1), ("bar", 2.4, 0.6, 2), ("bar", 6.1, 1.2, 1), ("kPa", 101, 4, 1), ("Pa", 40, 20, 0)),
    "power": (("W", 420, 200, 0), ("kW", 3.4, 1.5, 2), ("kW", 41, 15, 1)),
    "energy": (("kWh", 12, 6, 1), ("Wh", 300, 120, 0)),
    "flow": (("l/min", 4.2, 2, 1), ("l/h", 310, 80, 0), ("m³/h", 1.8, 0.7, 2)),
    "voltage": (("V", 230, 4, 1), ("V", 12.4, 0.8, 2), ("mV", 320, 60, 0)),
    "current": (("A", 3.2, 2, 2), ("mA", 140, 50, 0)),
    "carbon dioxide": (("ppm", 640, 200, 0),), "co2": (("ppm", 800, 250, 0),),
    "light": (("lx", 340, 200, 0),), "brightness": (("lx", 120, 60, 0),),
    "wind": (("m/s", 4.1, 2.5, 1), ("km/h", 18, 9, 0)), "speed": (("rpm", 1450, 200, 0), ("m/s", 1.2, 0.4, 2), ("km/h", 54, 20, 0)),
    "level": (("%", 62, 20, 0), ("cm", 84, 25, 1), ("mm", 410, 90, 0), ("m", 2.3, 0.7, 2)), "rain": (("mm", 2.1, 1.5, 1),),
    "noise": (("dB", 47, 9, 1), ("dB", 62, 10, 0)), "vibration": (("mm/s", 2.2, 1.1, 2), ("", 0.8, 0.3, 2)),
    "load": (("", 1.4, 0.8, 2), ("%", 38, 20, 0), ("kg", 140, 60, 0)), "position": (("mm", 12, 30, 1), ("", 40, 20, 0)),
    "frequency": (("Hz", 50, 0.4, 2),), "charge": (("%", 71, 18, 0),), "torque": (("Nm", 8.1, 3, 1),), "oxygen": (("%", 20.6, 0.6, 1), ("mg/l", 7.9, 1, 1)),
    "acidity": (("pH", 7.1, 0.5, 2),), "dust": (("µg/m³", 14, 8, 0),), "count": (("", 37, 20, 0),), "signal": (("dBm", -71, 9, 0),),
}
HELD_QUANTITIES = {"salinity": (("g/l", 34, 3, 1),), "strain": (("", 220, 60, 0),), "ozone": (("ppb", 31, 9, 0),), "weight": (("kg", 41, 12, 1),),
                   "radiation": (("nSv/h", 96, 14, 0),), "thrust": (("N", 62, 20, 1),)}
grammar.HELD_WORDS |= {w for names in (PLACES[1], MACHINES[1], HELD_QUANTITIES) for name in names for w in name.split()}
HELD_UNITS = {unit for choices in HELD_QUANTITIES.values() for unit, *_ in choices if unit}
MONTHS = grammar.MONTHS
DAYS_IN = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def number(value, decimals):
    """At most 4 significant digits, no exponent, no trailing zeros after the point."""
    text = f"{value:.{decimals}f}"
    digits = len(text.replace("-", "").replace(".", "").lstrip("0"))
    if digits > 4:
        text = f"{value:.{max(0, decimals - (digits - 4))}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    elif len(text.lstrip("-")) > 4:  # 12345 is printed as 12340
        text = f"{round(value, 4 - len(text.lstrip('-'))):.0f}"
    return "0" if text in ("-0", "") else text


def clock(rng, first=0, last=24 * 60):
    t = rng.randint(first, last)
    t = min(last, t - t % 5) if rng.random() < 0.5 else t
    t = max(first, t)
    return f"{t // 60:02d}:{t % 60:02d}"


def strange_unit(rng):
    """Letters that may be a unit, for training: units are to be copied, not known by heart."""
    letters = lambda: "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWZ") for _ in range(rng.choice((1, 2, 2, 3, 4))))
    while True:
        unit = letters() + rng.choice(("", "", "", "²", "³")) + (f"/{rng.choice((letters(), 'h', 's', 'm', 'min', 'l', 'm³', 'm²'))}" if rng.random() < 0.35 else "")
        if unit not in HELD_UNITS:
            return unit


class Sensor:
    def __init__(self, rng, world, held):
        self.rng = rng
        quantities = HELD_QUANTITIES if held and rng.random() < 0.35 else QUANTITIES
        quantity = rng.choice(list(quantities))
        if rng.random() < 0.25 and not held:
            quantity = rng.choice(("temperature", "humidity", "pressure", "power"))
        unit, middle, spread, self.decimals = rng.choice(QUANTITIES.get(quantity) or quantities[quantity])
        if not held and rng.random() < 0.3:
            unit = strange_unit(rng)
        elif rng.random() < 0.07:  # any unit at all
            unit = rng.choice(("°C", "%", "hPa", "W", "kWh", "l/min", "V", "A", "ppm", "lx", "m/s", "bar", "mm", "dB", "rpm", "", "", "units", "m", "g"))
        self.unit = f" {unit}" if unit else ""
        self.middle, self.spread = middle, spread
        if rng.random() < 0.25:  # any range of numbers
            self.decimals = rng.choice((0, 0, 1, 1, 2, 3))
            self.middle = rng.choice((-1, 1, 1, 1)) * 10 ** rng.uniform(-0.5, 3.9)
            self.spread = abs(self.middle) * rng.uniform(0.02, 0.5)
        word = lambda lists: rng.choice(lists[1] if held and rng.random() < 0.6 else lists[0])
        x = rng.random()
        if x < 0.42:
            name = f"{word(PLACES)} {quantity}"
        elif x < 0.60:
            name = f"{word(MACHINES)} {quantity}"
        elif x < 0.72:
            name = f"{rng.choice((word(MACHINES), word(PLACES), 'zone', 'room', 'unit', 'channel', 'sensor', 'floor'))} {rng.randint(1, rng.choice((9, 40)))} {quantity}"
        elif x < 0.86:
            name = f"{world.invented()} {quantity}"
        elif x < 0.91:
            name = f"{world.room()} {quantity}"
        elif x < 0.94:
            name = f"{word(PLACES)} {word(MACHINES)}"
        elif x < 0.96:
            name = f"{world.invented()} {rng.randint(1, 99)}"
        else:
            name = rng.choice((word(MACHINES), word(PLACES), world.invented()))
        self.name = name.title() if rng.random() < 0.04 else name
        self.anomalies = []

    def say(self, value):
        return number(value, self.decimals)

    def draw(self, times, first, last):
        """Fills in the readings: low, mean, high and change."""
        rng = self.rng
        if rng.random() < 0.05:
            self.kind = "none"
            self.line, self.sentence = f"{self.name}: no readings", f"The {self.name} gave no readings."
            return
        mean = rng.gauss(self.middle, self.spread)
        if rng.random() < 0.9 and self.middle > 0:
            mean = abs(mean)
        low, high = mean - abs(rng.gauss(0, self.spread)), mean + abs(rng.gauss(0, self.spread))
        if self.middle > 0 and low < 0 and rng.random() < 0.9:
            low = mean * rng.random()
        mean, low, high, unit = self.say(mean), self.say(low), self.say(high), self.unit
        change = rng.choice(("rose", "rose", "fell", "fell", "steady", ""))
        if rng.random() < 0.1:
            low = high = mean
            change = rng.choice(("steady", "steady", "steady", ""))
        by = self.say(abs(rng.gauss(0, self.spread)) + 10.0 ** -self.decimals)
        at = lambda: f" at {clock(rng, first, last)}" if times else ""
        t_low, t_high = at(), at()
        self.low, self.high, self.mean = low, high, mean
        tail = {"": "", "steady": ", steady"}.get(change, f", {change} by {by}")
        self.line = f"{self.name}: mean {mean}{unit}, lowest {low}{t_low}, highest {high}{t_high}{tail}"
        if change == "steady":
            self.sentence = f"The {self.name} stayed steady at {mean}{unit}."
        else:
            did = f" and {change} by {by}{unit}" if change else ""
            self.sentence = f"The {self.name} averaged {mean}{unit}{did}, between {low}{unit}{t_low} and {high}{unit}{t_high}."
        self.kind = change

    def anomaly(self, times, first, last):
        """(line, sentence) of something unusual about this sensor."""
        rng, name, unit = self.rng, self.name, self.unit
        a, b = sorted((clock(rng, first, last), clock(rng, first, last)))
        a, b = (b, a) if rng.random() < 0.1 else (a, b)
        at, since, span = (f" at {a}", f" from {a}", f" from {a} to {b}") if times else ("", "", "")
        some = self.say(rng.gauss(self.middle, 2 * self.spread))
        what = "gap" if self.kind == "none" else rng.choice(("spike", "spike", "gap", "drift", "stuck", "above", "below"))
        if what == "spike":
            v = rng.choice((self.high, self.high, self.low, some))
            return f"{name}: spike to {v}{unit}{at}", f"The {name} spiked to {v}{unit}{at}."
        if what == "gap":
            return f"{name}: gap{span}", f"The {name} has no readings{span}." if times else f"The {name} has a gap in its readings."
        if what == "drift":
            way, by = rng.choice(("up", "down")), self.say(abs(rng.gauss(0, self.spread)) + 10.0 ** -self.decimals)
            return f"{name}: drift {way} by {by}{unit}{since}", f"The {name} drifted {way} by {by}{unit}{since}."
        if what == "stuck":
            v = rng.choice((self.mean, self.mean, self.low, some))
            return f"{name}: stuck at {v}{unit}{span}", f"The {name} was stuck at {v}{unit}{span}."
        return f"{name}: {what} {some}{unit}{span}", f"The {name} was {what} {some}{unit}{span}."


def table(rng, held=False, most=6, world=None):
    """(table, report) with at most `most` sensors."""
    world = world or grammar.World(rng, held)
    month, day, year = rng.randint(0, 11), 1, rng.randint(2024, 2039)
    day, x = rng.randint(1, DAYS_IN[month] - 1), rng.random()
    date, first, last, times = f"{day} {MONTHS[month]} {year}", 0, 24 * 60, True
    if x < 0.4:
        window = f"{date}, 00:00 to 24:00"
    elif x < 0.75:
        first = rng.randint(0, 22) * 60 if rng.random() < 0.6 else rng.randint(0, 1300)
        last = min(24 * 60, first + rng.choice((60, 60, 120, 180, 360, 720, rng.randint(10, 700))))
        window = f"{date}, {first // 60:02d}:{first % 60:02d} to {last // 60:02d}:{last % 60:02d}"
    else:
        a, b = rng.randint(0, 23), rng.randint(0, 24)
        later = 1 if rng.random() < 0.5 else rng.randint(1, max(1, min(13, DAYS_IN[month] - day)))
        window = f"{date}, {a:02d}:00 to {day + later} {MONTHS[month]} {year}, {b:02d}:00"
        times = later == 1 and b <= a
    alone = rng.random() < 0.12  # as the program asks for one sentence anew
    n = 1 if alone else rng.randint(1, most)
    sensors = {}
    while len(sensors) < n:
        s = Sensor(rng, world, held)
        s.draw(times, first, last)
        sensors.setdefault(s.name, s)
    sensors = list(sensors.values())
    unusual = rng.choices((0, 1, 2, 3, 4), (30, 70, 0, 0, 0) if alone else (26, 28, 22, 14, 10))[0]
    anomalies, i = [], 0
    while len(anomalies) < unusual:
        anomalies.append(sensors[min(i, n - 1)].anomaly(times, first, last))
        i += rng.random() < 0.75  # sensors with anomalies stand first
    rng.shuffle(anomalies)
    lines = [f"Window: {window}"] + [s.line for s in sensors] + (["Anomalies:"] + [a[0] for a in anomalies] if anomalies else ["Anomalies: none"])
    said = [a[1] for a in anomalies[:3]] or ["Nothing unusual was seen."]
    said += [s.sentence for s in sensors[:2]]
    return "\n".join(lines), " ".join(said)


def pack(tok, rng, n):
    """About n + 1 token ids of the system message and tables with their reports, and the loss class of each."""
    special = {t: tok.token_to_id(f"<|{t}|>") for t in ("system", "user", "assistant", "end")}
    ids = [special["system"], *tok.encode(SYSTEM, add_special_tokens=False).ids, special["end"]]
    kind = [0] * len(ids)
    while len(ids) < n + 1:
        left = n - len(ids)
        text, report = table(rng, most=max(1, min(6, rng.randint(1, 6), (left - 60) // 80)))
        a, b = tok.encode_batch([text, report], add_special_tokens=False)
        ids += [special["user"], *a.ids, special["end"], special["assistant"], *b.ids, special["end"]]
        kind += [0] * (len(a.ids) + 3) + [2] * (len(b.ids) + 1)
    return ids, kind


if __name__ == "__main__":
    rng = random.Random(0)
    for _ in range(8):
        print(*table(rng), sep="\n", end="\n\n")
