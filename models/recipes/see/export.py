"""Writes see-nano as ONNX, node by node, with the counting behind the network in the graph itself, and its manifest.

    python export.py see-nano.onnx [--checkpoint build/see.pt] [--talk talk-nano.gguf] [--check]

Outputs: `slots` [17, 53] (a distribution over `scenes.WORDS` for each of the contract's slots), `embedding` [1, n] for the gate,
`boxes` [1200, 4] (centre x, centre y, width, height in parts of the picture), `scores` [1200, 30]. The program mixes the soft
tokens from `slots` with the embeddings of whatever language model it runs, so the file need not be made anew when talk-nano
is. `--talk` adds the output `soft_tokens` [17, d_model], mixed from that model's embeddings here, for programs that cannot.

What is counted: a cell holds a thing if its centre score is above 0.35 and the highest of its 5 x 5 neighbourhood. Things of one
kind in one third of the picture are a group; the first four in the order of the contract fill the slots. What a thing is, is decided
with the others of its third in view, since things come in groups: the probability of a kind is multiplied by the square of 0.1 + how
much of that kind the others are. A thing that stands alone is what it looks like.

The embedding: for each third and kind, how many there are, as three soft steps (at least one, two, three); for each third and
colour, whether it is there; day and night. Centre scores count softly, and things between two thirds count in both, so that noise
and shake change little; what comes, goes, or moves to another third changes much.
"""

import argparse
import hashlib

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import scenes
from model import GRID, HEADS, See

GH, GW = GRID
CELLS = GH * GW
THRESHOLD = 0.35
ALONE = 0.1  # what the others of a third count against: the smaller, the more a group is of one kind


class Graph:
    """Nodes and constants in the order in which they are made."""

    def __init__(self):
        self.nodes, self.constants, self.n = [], [], 0

    def constant(self, value, dtype=np.float32):
        self.n += 1
        name = f"c{self.n}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def __call__(self, op, *inputs, out=None, **attributes):
        self.n += 1
        out = out or f"t{self.n}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def conv(self, x, layer):
        """A Conv of model.py with its batch norm folded in, and ReLU."""
        c, n = layer.conv, layer.norm
        scale = (n.weight / torch.sqrt(n.running_var + n.eps)).detach()
        weight = (c.weight.detach() * scale[:, None, None, None]).numpy()
        bias = (n.bias.detach() - n.running_mean * scale).numpy()
        k, s = c.kernel_size[0], c.stride[0]
        y = self("Conv", x, self.constant(weight), self.constant(bias), kernel_shape=[k, k], strides=[s, s], pads=[k // 2] * 4)
        return self("Relu", y)

    def block(self, x, layer):
        return self("Add", x, self.conv(self.conv(x, layer.a), layer.b))

    def reshape(self, x, *shape):
        return self("Reshape", x, self.constant(shape, np.int64))

    def clip(self, x, low, high):
        return self("Clip", x, self.constant(low), self.constant(high))


def network(g, model):
    """The convolutions; answers {head: [channels, CELLS]} and the logits of the light."""
    x = g("Mul", g("Sub", "picture", g.constant(0.5)), g.constant(4.0))
    x4 = g.conv(g.conv(x, model.stem), model.down4)
    x8 = g.conv(x4, model.down8)
    for block in model.at8:
        x8 = g.block(x8, block)
    x16 = g.block(g.conv(x8, model.down16), model.at16)
    double = lambda t: g("Resize", t, "", g.constant([1, 1, 2, 2]), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    cut = g("Slice", double(g.conv(x16, model.up16)), g.constant([0], np.int64), g.constant([GH // 2], np.int64), g.constant([2], np.int64))
    x8 = g.conv(g("Add", x8, cut), model.join8)
    x4 = g.conv(g("Add", x4, double(g.conv(x8, model.up8))), model.join4)
    y = g("Conv", g.conv(x4, model.mix), g.constant(model.head.weight.detach().numpy()), g.constant(model.head.bias.detach().numpy()), kernel_shape=[1, 1])
    y = g.reshape(y, -1, CELLS)
    heads, at = {}, 0
    for name, n in HEADS:
        heads[name] = g("Slice", y, g.constant([at], np.int64), g.constant([at + n], np.int64), g.constant([0], np.int64))
        at += n
    mean = g.reshape(g("ReduceMean", x16, axes=[2, 3], keepdims=0), 1, 96)
    light = g("Add", g("MatMul", mean, g.constant(model.light.weight.detach().numpy().T)), g.constant(model.light.bias.detach().numpy()))
    return heads, light


def counting(g, heads, light, rows=None):
    """rows: [n_words, d_model], the language model's embeddings of the words."""
    n_objects, n_colours = len(scenes.OBJECTS), len(scenes.COLOURS)
    score = g("Sigmoid", heads["centre"])  # [1, CELLS]
    field = g.reshape(score, 1, 1, GH, GW)
    best = g.reshape(g("MaxPool", field, kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1]), 1, CELLS)
    as_float = lambda t: g("Cast", t, to=TensorProto.FLOAT)
    peak = as_float(g("Not", g("Less", score, best)))
    hard = g("Mul", peak, as_float(g("Greater", score, g.constant(THRESHOLD))))  # [1, CELLS]
    kind = g("Softmax", g("Mul", heads["object"], g.constant(1.5)), axis=0)  # [n_objects, CELLS]
    colour = g("Softmax", g("Mul", heads["colour"], g.constant(1.5)), axis=0)
    columns = (np.arange(CELLS) % GW + 0.5) / GW
    third = np.stack([(columns >= p / 3) & (columns < (p + 1) / 3) for p in range(3)]).astype(np.float32)  # [3, CELLS]
    each = g("Mul", kind, hard)
    together = g("MatMul", g("MatMul", each, g.constant(third.T)), g.constant(third))  # [n_objects, CELLS]: what a cell's third holds
    others = g("Add", g("Sub", together, each), g.constant(ALONE))
    weighed = g("Mul", kind, g("Mul", others, others))
    alone = kind  # the gate's embedding is made of these: what one thing looks like is to move it, not the others too
    kind = g("Div", weighed, g("ReduceSum", weighed, g.constant([0], np.int64), keepdims=1))
    kind_one = as_float(g("Not", g("Less", kind, g("ReduceMax", kind, axes=[0], keepdims=1))))

    # Groups: rows by place and then by name, so that their number is the contract's order.
    order = sorted(range(n_objects), key=lambda i: scenes.OBJECTS[i])
    member = g("Mul", g("Gather", kind_one, g.constant(order, np.int64), axis=0), hard)  # [n_objects, CELLS]
    member = g("Concat", *[g("Mul", member, g.constant(third[p : p + 1])) for p in range(3)], axis=0)  # [3 * n_objects, CELLS]
    count = g("ReduceSum", member, g.constant([1], np.int64), keepdims=1)  # [3 * n_objects, 1]
    n_groups = 3 * n_objects
    rank = np.arange(n_groups, 0, -1, dtype=np.float32)[:, None]
    present = as_float(g("Greater", count, g.constant(0.5)))
    key = g("Mul", present, g.constant(rank))
    g.nodes.append(helper.make_node("TopK", [g.reshape(key, n_groups), g.constant([4], np.int64)], ["top", "which"], largest=1, sorted=1))
    there = g.reshape(as_float(g("Greater", "top", g.constant(0.5))), 4, 1)
    members = g("Gather", member, "which", axis=0)  # [4, CELLS]
    how_many = g("Gather", count, "which", axis=0)  # [4, 1]
    number = g("Max", how_many, g.constant(1.0))
    share = lambda table: g("Div", g("MatMul", members, g("Transpose", table, perm=[1, 0])), number)
    steps = np.arange(1, 6, dtype=np.float32)[None]  # one .. four, many
    counted = as_float(g("Equal", g("Sub", g.clip(how_many, 1.0, 5.0), g.constant(steps)), g.constant(np.zeros((1, 5)))))
    place = g("Gather", g.constant(np.repeat(np.eye(3), n_objects, axis=0)), "which", axis=0)  # [4, 3]
    groups = [counted, share(colour), share(kind), place]  # the order of the slots
    parts, at = [], 2
    sizes = [len(scenes.COUNTS), n_colours, n_objects, len(scenes.PLACES)]
    nothing = scenes.WORDS.index("nothing")
    empty = np.zeros((1, len(scenes.WORDS)), np.float32)
    empty[0, nothing] = 1
    for values, size in zip(groups, sizes):
        spread = np.zeros((size, len(scenes.WORDS)), np.float32)
        spread[np.arange(size), at + np.arange(size)] = 1
        slot = g("MatMul", values, g.constant(spread))
        absent = g("Mul", g("Sub", g.constant(1.0), there), g.constant(empty))
        parts.append(g.reshape(g("Add", g("Mul", slot, there), absent), 4, 1, len(scenes.WORDS)))
        at += size
    by_group = g.reshape(g("Concat", *parts, axis=1), 16, len(scenes.WORDS))
    spread = np.zeros((2, len(scenes.WORDS)), np.float32)
    spread[[0, 1], [0, 1]] = 1
    daylight = g("Softmax", g("Mul", light, g.constant(2.0)), axis=1)  # day, night
    slots = g("Concat", g("MatMul", daylight, g.constant(spread)), by_group, axis=0, out="slots" if rows is None else None)
    if rows is not None:
        slots = g("Identity", slots, out="slots")
        g("MatMul", slots, g.constant(rows), out="soft_tokens")

    # Boxes.
    xs, ys = columns, (np.arange(CELLS) // GW + 0.5) / GH
    size = g("Exp", g.clip(heads["size"], -4.0, 5.0))  # [2, CELLS], in cells
    size = g("Mul", size, g.constant([[1 / GW], [1 / GH]]))
    g("Transpose", g("Concat", g.constant(np.stack([xs, ys])), size, axis=0), perm=[1, 0], out="boxes")
    g("Transpose", g("Mul", kind, g("Mul", hard, score)), perm=[1, 0], out="scores")

    # The gate's embedding.
    soft = g("Mul", peak, g.clip(g("Mul", g("Sub", score, g.constant(0.15)), g.constant(1 / 0.3)), 0.0, 1.0))
    blend = np.stack([np.clip((0.5 - np.abs(columns * 3 - 0.5 - p)) / 0.3 + 0.5, 0, 1) for p in range(3)])
    blend[0, columns < 1 / 6], blend[2, columns > 5 / 6] = 1, 1
    seen = g("Mul", soft, g.constant(blend))  # [3, CELLS]
    amounts = g("MatMul", seen, g("Transpose", alone, perm=[1, 0]))  # [3, n_objects]
    stairs = [g.clip(g("Sub", amounts, g.constant(float(k))), 0.0, 1.0) for k in range(3)]
    dyes = g.clip(g("MatMul", seen, g("Transpose", colour, perm=[1, 0])), 0.0, 1.0)
    flat = [g.reshape(t, 1, -1) for t in stairs] + [g("Mul", g.reshape(dyes, 1, -1), g.constant(0.7)), g("Mul", daylight, g.constant(0.7))]
    g("Concat", *flat, axis=1, out="embedding")


def embeddings_of(gguf_path):
    """[n_words, d_model]: the language model's embedding of each word, which must be one token."""
    import gguf

    reader = gguf.GGUFReader(gguf_path)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    table = next(t for t in reader.tensors if t.name == "token_embd.weight")
    table = gguf.quants.dequantize(table.data, table.tensor_type).astype(np.float32)
    missing = [w for w in scenes.WORDS if w not in tokens]
    assert not missing, f"{gguf_path} does not spell these words with one token: {missing}"
    return table[[tokens.index(w) for w in scenes.WORDS]]


MANIFEST = """# see-nano: an encoder of drawn scenes, made by models/recipes/see. The words of its slots are the ones that talk-nano knows.
[input]
name = "picture"
width = {w}
height = {h}

[encoder]
slots = "slots"
embedding = "embedding"
boxes = "boxes"
scores = "scores"
threshold = {threshold:.2f}
words = [{words}]
labels = [{labels}]

[encoder.drawn_only]   # what is no drawn scene is not described: this model knows nothing else
most_row_deviation = 0.04
least_score = 0.7
"""


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("out")
    args.add_argument("--checkpoint", default="build/see.pt")
    args.add_argument("--talk")
    args.add_argument("--check", action="store_true", help="compare with PyTorch")
    a = args.parse_args()
    model = See()
    model.load_state_dict(torch.load(a.checkpoint)["model"])
    model.eval()
    g = Graph()
    rows = embeddings_of(a.talk) if a.talk else None
    heads, light = network(g, model)
    counting(g, heads, light, rows)
    n_words, n_objects = len(scenes.WORDS), len(scenes.OBJECTS)
    n_embedding = 9 * n_objects + 3 * len(scenes.COLOURS) + 2
    outputs = [("slots", [17, n_words]), ("embedding", [1, n_embedding]), ("boxes", [CELLS, 4]), ("scores", [CELLS, n_objects])]
    if rows is not None:
        outputs.append(("soft_tokens", [17, rows.shape[1]]))
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(g.nodes, "see-nano", [value("picture", [1, 3, scenes.HEIGHT, scenes.WIDTH])], [value(*o) for o in outputs], g.constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="nearfield models/recipes/see")
    proto.ir_version = 7
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, a.out)
    quote = lambda names: ", ".join(f'"{n}"' for n in names)
    manifest = MANIFEST.format(w=scenes.WIDTH, h=scenes.HEIGHT, threshold=THRESHOLD * 0.9, words=quote(scenes.WORDS), labels=quote(scenes.OBJECTS))
    with open(a.out.removesuffix(".onnx") + ".toml", "w") as f:
        f.write(manifest)
    data = open(a.out, "rb").read()
    print(f"{a.out}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}, {sum(p.numel() for p in model.parameters())} parameters")
    if a.check:
        check(model, a.out)


def check(model, path):
    """The network's maps must be PyTorch's; the counting is compared by evaluate.py with what was drawn."""
    import random

    import onnxruntime

    proto = onnx.load(path)
    heads = [n.input[0] for n in proto.graph.node if n.op_type == "Slice"][-len(HEADS) :]
    proto.graph.output.append(helper.make_tensor_value_info(heads[0], TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    rng, worst = random.Random(5), 0.0
    for _ in range(8):
        picture, _ = scenes.render(scenes.random_scene(rng), rng)
        x = picture.transpose(2, 0, 1)[None].astype(np.float32) / 255
        theirs = session.run([heads[0]], {"picture": x})[0]
        with torch.no_grad():
            out = model(torch.from_numpy(x))
        ours = torch.cat([out[name].reshape(-1, CELLS) for name, _ in HEADS]).numpy()
        worst = max(worst, float(np.abs(ours - theirs).max()))
    print(f"maps differ from PyTorch's by at most {worst:.1e}")
    assert worst < 1e-2


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
