"""see-nano: a small convolutional network that finds the centres of things on a grid of 40 x 30 cells, and for each its
kind, its colour and its size; and whether it is day. 0.4 million parameters; everything else is counting, in `export.py`.
"""

import torch
from torch import nn

import scenes

GRID = (scenes.HEIGHT // 4, scenes.WIDTH // 4)
N_OBJECTS, N_COLOURS = len(scenes.OBJECTS), len(scenes.COLOURS)
HEADS = [("centre", 1), ("object", N_OBJECTS), ("colour", N_COLOURS), ("size", 2)]


class Conv(nn.Module):
    """3 x 3 (or 1 x 1) convolution, batch norm, ReLU."""

    def __init__(self, cin, cout, stride=1, kernel=3):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class Block(nn.Module):
    """Two convolutions around which the input passes by."""

    def __init__(self, c, inner):
        super().__init__()
        self.a, self.b = Conv(c, inner), Conv(inner, c)

    def forward(self, x):
        return x + self.b(self.a(x))


class See(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 16, 2)  # 80 x 60
        self.down4 = Conv(16, 40, 2)  # 40 x 30
        self.down8 = Conv(40, 64, 2)  # 20 x 15
        self.at8 = nn.Sequential(Block(64, 48), Block(64, 48))
        self.down16 = Conv(64, 96, 2)  # 10 x 8
        self.at16 = Block(96, 96)
        self.up16 = Conv(96, 64, kernel=1)
        self.join8 = Conv(64, 64)
        self.up8 = Conv(64, 40, kernel=1)
        self.join4 = Conv(40, 64)
        self.mix = Conv(64, 64, kernel=1)
        self.head = nn.Conv2d(64, sum(n for _, n in HEADS), 1)
        self.light = nn.Linear(96, 2)
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.bias[0] = -4.0  # most cells hold no centre

    def forward(self, x):
        """x: [n, 3, 120, 160], in [0, 1]. Answers {head: [n, channels, 30, 40]} and "light": [n, 2], all before softmax."""
        x = (x - 0.5) * 4
        x4 = self.down4(self.stem(x))
        x8 = self.at8(self.down8(x4))
        x16 = self.at16(self.down16(x8))
        double = lambda t: nn.functional.interpolate(t, scale_factor=2, mode="nearest")
        x8 = self.join8(x8 + double(self.up16(x16))[:, :, : x8.shape[2]])
        x4 = self.join4(x4 + double(self.up8(x8)))
        maps = self.head(self.mix(x4)).split([n for _, n in HEADS], 1)
        out = {name: m for (name, _), m in zip(HEADS, maps)}
        out["light"] = self.light(x16.mean((2, 3)))
        return out
