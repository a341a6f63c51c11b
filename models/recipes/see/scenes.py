"""Scenes for see-nano: up to four groups of things on a drawn background, by day or night, with rain, blur, noise and shake.

The things are Debian's colour emoji (fonts-noto-color-emoji, SIL Open Font License 1.1), as they are ("plain") or dyed in
one of eleven colours; the table, which has no emoji, is drawn here. The vocabulary is the one that talk-nano knows.

    python scenes.py OUT.png [SEED]      a sheet of examples
"""

import io
import math
import random
import sys
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
WIDTH, HEIGHT = 160, 120
COUNTS = ["one", "two", "three", "four", "many"]
COLOURS = ["red", "green", "blue", "yellow", "orange", "purple", "black", "white", "brown", "pink", "grey", "plain"]
PLACES = ["left", "middle", "right"]
ARTWORK = {
    "person": "🧍🚶🏃", "man": "👨👴", "woman": "👩👵", "child": "🧒👶", "dog": "🐕🐶🐩", "cat": "🐈🐱", "bird": "🐦🐤🐧", "horse": "🐎🐴",
    "cow": "🐄🐮", "sheep": "🐑🐏", "car": "🚗🚙", "bus": "🚌🚍", "truck": "🚚🚛", "bicycle": "🚲", "boat": "⛵🚤", "train": "🚂🚆",
    "plane": "✈🛩", "tree": "🌳🌲🌴", "flower": "🌷🌹🌻", "house": "🏠🏡", "chair": "🪑", "table": "", "cup": "☕🥤", "ball": "⚽🏀",
    "apple": "🍎🍏", "book": "📕📖", "bottle": "🍾🍼", "umbrella": "☂🌂", "clock": "⏰🕒", "key": "🔑🗝",
}
OBJECTS = list(ARTWORK)
NEVER_DYED = {"person", "man", "woman", "child"}
WORDS = ["day", "night"] + COUNTS + COLOURS + OBJECTS + PLACES + ["nothing"]
DYES = {  # the darkest and the lightest tone
    "red": ((95, 0, 0), (255, 85, 75)), "green": ((0, 65, 10), (70, 215, 80)), "blue": ((0, 15, 95), (80, 130, 255)),
    "yellow": ((150, 120, 0), (255, 245, 80)), "orange": ((150, 60, 0), (255, 165, 50)), "purple": ((55, 0, 85), (185, 85, 235)),
    "black": ((0, 0, 0), (72, 72, 76)), "white": ((165, 165, 170), (255, 255, 255)), "brown": ((55, 28, 8), (155, 98, 52)),
    "pink": ((190, 60, 110), (255, 185, 215)), "grey": ((58, 58, 60), (178, 178, 182)),
}


@dataclass
class Group:
    place: int
    object: str
    colour: str
    count: int
    variant: int = 0
    centres: list = field(default_factory=list)  # (x, y, size) as parts of the picture's width, height, width
    flip: bool = False


@dataclass
class Scene:
    night: bool
    groups: list
    background: int  # the seed of everything behind the groups

    def words(self):
        """The 17 words of the contract."""
        out = ["night" if self.night else "day"]
        for g in sorted(self.groups, key=lambda g: (g.place, g.object))[:4]:
            out += [COUNTS[min(g.count, 5) - 1], g.colour, g.object, PLACES[g.place]]
        return out + ["nothing"] * (17 - len(out))


def _drawn_table():
    picture = Image.new("RGBA", (136, 128))
    d = ImageDraw.Draw(picture)
    for x in (18, 108):
        d.rectangle((x, 50, x + 10, 122), fill=(120, 75, 35, 255))
    for x in (36, 92):
        d.rectangle((x, 50, x + 7, 104), fill=(95, 58, 25, 255))
    d.polygon([(24, 30), (112, 30), (132, 52), (4, 52)], fill=(190, 130, 75, 255))
    d.rectangle((4, 52, 132, 60), fill=(150, 98, 50, 255))
    return picture


_sprites, _dyed, _noise = {}, {}, []


def sprite(name, variant, colour):
    """The artwork, cropped to what is visible, as a premultiplied RGBa picture."""
    key = (name, variant, colour)
    if key in _dyed:
        return _dyed[key]
    if (name, variant) not in _sprites:
        if ARTWORK[name]:
            font = ImageFont.truetype(FONT, 109)
            picture = Image.new("RGBA", (160, 150))
            ImageDraw.Draw(picture).text((10, 10), ARTWORK[name][variant], font=font, embedded_color=True)
        else:
            picture = _drawn_table()
        _sprites[name, variant] = picture.crop(picture.getchannel("A").getbbox())
    picture = _sprites[name, variant]
    if colour != "plain":
        x = np.asarray(picture).astype(np.float32)
        light = x[..., :3] @ np.array([0.30, 0.59, 0.11], np.float32)
        seen = light[x[..., 3] > 128]
        low, high = np.percentile(seen, 3), np.percentile(seen, 97)
        tone = np.clip((light - low) / max(high - low, 30), 0, 1)[..., None]
        dark, bright = (np.array(c, np.float32) for c in DYES[colour])
        x[..., :3] = dark + (bright - dark) * tone
        picture = Image.fromarray(x.astype(np.uint8), "RGBA")
    _dyed[key] = picture.convert("RGBa")
    return _dyed[key]


def _background(seed, w, h):
    rng = random.Random(seed)
    tone = lambda low, high: tuple(rng.randint(low, high) for _ in range(3))
    horizon = rng.uniform(0.15, 0.6)
    kind = rng.random()
    rows = np.arange(h, dtype=np.float32)[:, None, None] / h
    if kind < 0.6:  # outdoors: sky over ground
        sky = np.array([rng.randint(110, 190), rng.randint(160, 225), rng.randint(205, 255)], np.float32)
        ground = np.array(rng.choice([(110, 165, 80), (150, 140, 115), (125, 125, 128), (205, 185, 140), (225, 230, 235)]), np.float32) + rng.uniform(-18, 18)
        x = np.where(rows < horizon, sky + (255 - sky) * rows / horizon * 0.6, ground * (0.85 + 0.3 * rows))
    elif kind < 0.85:  # indoors: wall over floor
        x = np.where(rows < horizon + 0.15, np.array(tone(120, 240), np.float32), np.array(tone(70, 180), np.float32))
    else:
        a, b = np.array(tone(60, 240), np.float32), np.array(tone(60, 240), np.float32)
        x = a + (b - a) * rows
    x = np.broadcast_to(x, (h, w, 3)).copy()
    grain = np.random.default_rng(seed & 0xFFFFFFFF)
    coarse = grain.normal(0, rng.uniform(0, 14), (max(h // 10, 2), max(w // 10, 2)))
    x += np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((w, h), Image.BILINEAR))[..., None]
    picture = Image.fromarray(np.clip(x, 0, 255).astype(np.uint8))
    d = ImageDraw.Draw(picture)
    for _ in range(rng.choice([0, 1, 2, 4, 6])):
        cx, cy = rng.uniform(-0.1, 1.1) * w, rng.uniform(0, 1.0) * h
        rx, ry = rng.uniform(0.03, 0.3) * w, rng.uniform(0.02, 0.2) * h
        c, at = tone(50, 250), [int(v) for v in (cx - rx, cy - ry, cx + rx, cy + ry)]
        if (shape := rng.random()) < 0.4:
            d.ellipse(at, fill=rng.choice([c, (245, 245, 250)]))
        elif shape < 0.75:
            d.rectangle(at, fill=c)
        else:
            d.line([(0, cy), (w, cy + rng.uniform(-0.3, 0.3) * h)], fill=c, width=max(1, w // 60))
    if (pattern := rng.random()) < 0.15:  # boards
        for k in range(0, w, max(w // rng.randint(8, 20), 2)):
            d.line([(k, int((horizon + 0.15) * h)), (k, h)], fill=tone(60, 160), width=max(1, w // 160))
    elif pattern < 0.25:  # bricks
        for k in range(0, int(horizon * h), max(h // 20, 2)):
            d.line([(0, k), (w, k)], fill=tone(120, 200), width=1)
    return picture


def arrange(rng, scene):
    """Gives every thing its place: within its third, not on top of another."""
    for place in range(3):
        here = [g for g in scene.groups if g.place == place]
        n = sum(g.count for g in here)
        low, high = (26, 52) if n <= 1 else (21, 34) if n <= 3 else (16, 25) if n <= 6 else (13, 19)
        taken = []
        for g in here:
            g.centres, size = [], rng.uniform(low, high)
            for _ in range(g.count):
                for attempt in range(200):
                    s = max(size * rng.uniform(0.92, 1.08) * 0.985**attempt, 11.5)
                    x = rng.uniform(place * WIDTH / 3 + 6, (place + 1) * WIDTH / 3 - 6)
                    x = min(max(x, s * 0.5), WIDTH - s * 0.5)
                    y = rng.uniform(max(0.12 * HEIGHT, s * 0.5), HEIGHT - s * 0.5)
                    if all(max(abs(x - a) / 0.9, abs(y - b)) > 0.42 * (s + c) and math.hypot(x - a, y - b) > 10.5 for a, b, c in taken):
                        break
                else:
                    continue
                taken.append((x, y, s))
                g.centres.append((x / WIDTH, y / HEIGHT, s / WIDTH))
            g.count = len(g.centres)
    scene.groups = [g for g in scene.groups if g.count]
    return scene


def random_group(rng, used):
    while True:
        place, name = rng.randrange(3), rng.choice(OBJECTS)
        if (place, name) not in used and sum(p == place for p, _ in used) < 2:
            break
    used.add((place, name))
    count = rng.choices([1, 2, 3, 4, rng.randint(5, 7)], [45, 20, 12, 9, 14])[0]
    colour = "plain" if name in NEVER_DYED or rng.random() < 0.25 else rng.choice(COLOURS[:-1])
    return Group(place, name, colour, count, rng.randrange(max(len(ARTWORK[name]), 1)), flip=rng.random() < 0.5)


def random_scene(rng):
    used = set()
    n = rng.choices(range(5), [8, 30, 30, 20, 12])[0]
    groups = [random_group(rng, used) for _ in range(n)]
    return arrange(rng, Scene(rng.random() < 0.35, groups, rng.getrandbits(32)))


def render(scene, rng, scale=1, weather=1.0):
    """(picture [HEIGHT * scale, WIDTH * scale, 3] uint8, boxes [(x, y, w, h, object, colour)] as parts of the picture).

    rng: everything that differs between two pictures of one scene (light, rain, blur, noise, shake); weather: how much.
    """
    w, h = WIDTH * scale, HEIGHT * scale
    picture = _background(scene.background, w, h).convert("RGBA")
    shake = rng.uniform(-3, 3) * weather * scale, rng.uniform(-3, 3) * weather * scale
    picture = picture.transform((w, h), Image.AFFINE, (1, 0, -shake[0], 0, 1, -shake[1])) if weather else picture
    boxes = []
    for g in scene.groups:
        art = sprite(g.object, g.variant, g.colour)
        for x, y, s in g.centres:
            long = max(art.size)
            size = [max(3, round(side / long * s * w)) for side in art.size]
            small = art.resize(size, Image.BOX if long > 3 * max(size) else Image.BILINEAR)
            small = small.convert("RGBA")
            if g.flip:
                small = small.transpose(Image.FLIP_LEFT_RIGHT)
            cx, cy = x * w + shake[0], y * h + shake[1]
            picture.alpha_composite(small, (max(0, round(cx - size[0] / 2)), max(0, round(cy - size[1] / 2))))
            boxes.append((cx / w, cy / h, size[0] / w, size[1] / h, g.object, g.colour))
    x = np.asarray(picture.convert("RGB")).astype(np.float32)
    grain = np.random.default_rng(rng.getrandbits(32))
    if scene.night:
        x = x * np.array([0.34, 0.36, 0.48], np.float32) * rng.uniform(0.85, 1.15) + rng.uniform(0, 8)
    else:
        x = x * (1 + weather * rng.uniform(-0.12, 0.12)) + weather * rng.uniform(-10, 10)
    if rng.random() < 0.2 * weather:
        rain = Image.new("L", (w, h))
        d, slant, length = ImageDraw.Draw(rain), rng.uniform(-0.4, 0.4), rng.uniform(5, 12) * scale
        for _ in range(rng.randint(20, 90)):
            a, b = rng.uniform(0, w), rng.uniform(-10, h)
            d.line([(a, b), (a + slant * length, b + length)], fill=rng.randint(70, 150), width=max(1, scale // 2))
        r = np.asarray(rain).astype(np.float32)[..., None] / 255
        x = x * (1 - r * 0.6) + 210 * r * (0.5 if scene.night else 0.6)
    picture = Image.fromarray(np.clip(x, 0, 255).astype(np.uint8))
    if rng.random() < 0.35 * weather:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9) * scale))
    x = np.asarray(picture).astype(np.float32)
    if weather and (strength := rng.choice([0, 2, 4, 8]) * weather):
        if not _noise or _noise[0].shape != x.shape:
            _noise[:] = [grain.normal(0, 1, x.shape).astype(np.float32) for _ in range(12)]
        x += np.roll(rng.choice(_noise), rng.randrange(h * w * 3)) * strength
    picture = Image.fromarray(np.clip(x, 0, 255).astype(np.uint8))
    if weather and rng.random() < 0.3:
        held = io.BytesIO()
        picture.save(held, "JPEG", quality=rng.randint(55, 92))
        picture = Image.open(held).convert("RGB")
    return np.asarray(picture), boxes


if __name__ == "__main__":
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    sheet = Image.new("RGB", (WIDTH * 2 * 5, (HEIGHT * 2 + 24) * 4), "white")
    for i in range(20):
        scene = random_scene(rng)
        picture, _ = render(scene, rng)
        at = (i % 5 * WIDTH * 2, i // 5 * (HEIGHT * 2 + 24))
        sheet.paste(Image.fromarray(picture).resize((WIDTH * 2, HEIGHT * 2)), at)
        ImageDraw.Draw(sheet).text((at[0] + 2, at[1] + HEIGHT * 2 + 2), " ".join(w for w in scene.words() if w != "nothing")[:100], fill="black", font_size=9)
    sheet.save(sys.argv[1])
