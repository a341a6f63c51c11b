"""The Llama of talk-nano, in plain PyTorch: RMSNorm, rotary positions, grouped-query attention, SwiGLU, tied
embeddings. For train.py, export.py and evaluate.py.

Rotary convention: pairs (2i, 2i+1) are rotated ("interleaved", what llama.cpp calls NORM for the `llama`
architecture), so the weights go into GGUF as they are; a checkpoint in Hugging Face's half-split convention would
need its q and k rows permuted. Nothing here generates text quickly: the Rust engine does that.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Shape:
    vocab: int = 2560
    d_model: int = 128
    n_layers: int = 6
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 32
    d_ffn: int = 384
    rope_base: float = 1000000.0
    norm_eps: float = 1e-5
    context: int = 2048

    def as_dict(self):
        return asdict(self)


def rope_table(shape: Shape, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin, each [n, head_dim / 2]."""
    inverse = shape.rope_base ** (-torch.arange(0, shape.head_dim, 2, dtype=torch.float64) / shape.head_dim)
    angle = torch.arange(n, dtype=torch.float64)[:, None] * inverse
    return angle.cos().float(), angle.sin().float()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x: [batch, heads, n, head_dim]; the pair (2i, 2i+1) turns by position * base^(-2i/head_dim)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class RmsNorm(nn.Module):
    def __init__(self, d, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


@torch.library.custom_op("talk::attention", mutates_args=())
def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention. q: [batch, n, heads, head_dim], k and v: the same with fewer heads -> the like of q, and the logarithm of
    each row's sum [batch, heads, n]. PyTorch's flash attention forward; backward is ours, since with heads this small
    PyTorch's own takes six times as long as its forward."""
    group = q.shape[2] // k.shape[2]
    each = lambda t: t.transpose(1, 2)[:, :, None].expand(-1, -1, group, -1, -1).flatten(1, 2)
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q.transpose(1, 2), each(k), each(v), 0.0, True)
    return out.transpose(1, 2).contiguous(), lse.contiguous()


@attention.register_fake
def _(q, k, v):
    return torch.empty_like(q, memory_format=torch.contiguous_format), q.new_empty(q.shape[0], q.shape[2], q.shape[1], dtype=torch.float32)


@torch.compile(dynamic=False)
def chunked_backward(q, k, v, out, lse, grad, chunk=128):
    """Queries in chunks, each with only the keys up to its end; the shares are computed again from the scores and `lse`."""
    (b, n, heads, d), kv = q.shape, k.shape[2]
    g, scale = heads // kv, d**-0.5
    grouped = lambda t: t.reshape(b, n, kv, g, -1).permute(0, 2, 3, 1, 4)
    rows = lambda t, start, end: t[:, :, :, start:end].reshape(b * kv, g * (end - start), -1)
    queries, grads, norm = grouped(q * scale), grouped(grad), grouped(lse.transpose(1, 2).unsqueeze(-1))
    delta = grouped((out.float() * grad.float()).sum(-1, keepdim=True))
    keys, values = (t.transpose(1, 2).reshape(b * kv, n, d) for t in (k, v))
    dq, dk, dv = [], torch.zeros(b * kv, n, d), torch.zeros(b * kv, n, d)
    for start in range(0, n, chunk):
        end = min(n, start + chunk)
        query, by = rows(queries, start, end), rows(grads, start, end)
        later = (torch.arange(end)[None, :] > torch.arange(start, end)[:, None]).repeat(g, 1)
        share = (torch.bmm(query, keys[:, :end].transpose(1, 2)).float() - rows(norm, start, end)).exp().masked_fill(later, 0.0)
        score = (share * (torch.bmm(by, values[:, :end].transpose(1, 2)).float() - rows(delta, start, end))).to(q.dtype)
        dq.append(torch.bmm(score, keys[:, :end]).view(b, kv, g, end - start, d))
        dk[:, :end] += torch.bmm(score.transpose(1, 2), query).float()
        dv[:, :end] += torch.bmm(share.to(q.dtype).transpose(1, 2), by).float()
    back = lambda t: t.view(b, kv, n, d).transpose(1, 2).to(q.dtype)
    dq = (torch.cat(dq, 3).permute(0, 3, 1, 2, 4).reshape(b, n, heads, d).float() * scale).to(q.dtype)
    return dq, back(dk), back(dv)


@torch.library.custom_op("talk::attention_backward", mutates_args=())
def attention_backward(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, lse: torch.Tensor, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    # A graph of its own: compiled together with the rest of the model it took twice as long.
    return tuple(t.contiguous() for t in chunked_backward(*(t.contiguous() for t in (q, k, v, out, lse, grad))))


@attention_backward.register_fake
def _(q, k, v, out, lse, grad):
    return tuple(torch.empty_like(t, memory_format=torch.contiguous_format) for t in (q, k, v))


attention.register_autograd(lambda ctx, grad, _: attention_backward(*ctx.saved_tensors, grad), setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs, *output))


class Block(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.s = s
        self.attn_norm = RmsNorm(s.d_model, s.norm_eps)
        self.wq = nn.Linear(s.d_model, s.n_heads * s.head_dim, bias=False)
        self.wk = nn.Linear(s.d_model, s.n_kv_heads * s.head_dim, bias=False)
        self.wv = nn.Linear(s.d_model, s.n_kv_heads * s.head_dim, bias=False)
        self.wo = nn.Linear(s.n_heads * s.head_dim, s.d_model, bias=False)
        self.ffn_norm = RmsNorm(s.d_model, s.norm_eps)
        self.gate = nn.Linear(s.d_model, s.d_ffn, bias=False)
        self.up = nn.Linear(s.d_model, s.d_ffn, bias=False)
        self.down = nn.Linear(s.d_ffn, s.d_model, bias=False)

    def train_forward(self, x, cos, sin, perm):
        """forward() without a cache, arranged for speed: one product for q, k and v, one for gate and up, and the rotary
        pairs moved to the two halves of a head (`perm`), which changes no product of a query and a key."""
        s, (b, n, _) = self.s, x.shape
        hd, nh, nk = s.head_dim, s.n_heads, s.n_kv_heads
        h = self.attn_norm(x)
        w = torch.cat((self.wq.weight.view(nh, hd, -1)[:, perm].flatten(0, 1), self.wk.weight.view(nk, hd, -1)[:, perm].flatten(0, 1), self.wv.weight))
        q, k, v = F.linear(h, w).view(b, n, nh + 2 * nk, hd).split((nh, nk, nk), 2)

        def turn(t):
            one, two = t[..., : hd // 2], t[..., hd // 2 :]
            return torch.cat((one * cos - two * sin, one * sin + two * cos), -1)

        q, k = turn(q).to(v.dtype), turn(k).to(v.dtype)
        x = x + F.linear(attention(q, k, v)[0].flatten(2), self.wo.weight)
        h = self.ffn_norm(x)
        gate, up = F.linear(h, torch.cat((self.gate.weight, self.up.weight))).chunk(2, -1)
        return x + F.linear(F.silu(gate) * up, self.down.weight)

    def forward(self, x, cos, sin, past=None):
        s, (b, n, _) = self.s, x.shape
        h = self.attn_norm(x)
        q = self.wq(h).view(b, n, s.n_heads, s.head_dim).transpose(1, 2)
        k = self.wk(h).view(b, n, s.n_kv_heads, s.head_dim).transpose(1, 2)
        v = self.wv(h).view(b, n, s.n_kv_heads, s.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if past is not None:
            if past:
                k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
            past[:] = [k, v]
        groups = s.n_heads // s.n_kv_heads
        k = k[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)
        v = v[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=k.shape[2] == n and n > 1)
        x = x + self.wo(a.transpose(1, 2).reshape(b, n, -1))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
        self.norm = RmsNorm(shape.d_model, shape.norm_eps)
        cos, sin = rope_table(shape, shape.context)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for block in self.blocks:
            for m in (block.wq, block.wk, block.wv, block.gate, block.up):
                nn.init.normal_(m.weight, std=shape.d_model**-0.5)
            # The residual branches start silent.
            nn.init.zeros_(block.wo.weight)
            nn.init.zeros_(block.down.weight)
        self.plant_copying()

    @torch.no_grad()
    def plant_copying(self):
        """Starts training with a working copier instead of waiting for one to emerge (which took longer than all the
        time we have): block 0 looks 1, 2 ... tokens back and notes what stood there; block 1 finds the place whose
        note about "one back" is the present token and predicts the token that stands there (an induction head).

        Embedding: dimension 0 is a constant, the rest of the first half the token, the second half room for the notes.
        """
        s, hd = self.shape, self.shape.head_dim
        group = s.n_heads // s.n_kv_heads
        free = s.d_model // 2
        nn.init.normal_(self.embed.weight, std=0.3)
        self.embed.weight[:, free:] *= 0.15
        self.embed.weight[:, 0] = 1.0
        self.norm.weight.fill_(0.15)
        q, _ = torch.linalg.qr(torch.randn(free - 1, free - 1))
        basis = torch.zeros(free, s.d_model)
        basis[:-1, 1:free] = q  # orthonormal rows in the token's own dimensions
        theta = s.rope_base ** (-torch.arange(0, hd, 2) / hd)
        look, find = self.blocks[0], self.blocks[1]

        near = 5  # pairs of high frequency, sharp enough to tell neighbours apart
        look.wk.weight[:hd] = 0
        look.wk.weight[0 : 2 * near : 2, 0] = 2.0
        look.wv.weight[:hd] = basis[:hd]
        for back in range(1, group + 1):
            rows = slice((back - 1) * hd, back * hd)
            w = torch.zeros(hd, s.d_model)
            w[0 : 2 * near : 2, 0] = 2.0 * (back * theta[:near]).cos()
            w[1 : 2 * near : 2, 0] = -2.0 * (back * theta[:near]).sin()
            look.wq.weight[rows] = w
            note = free + (back - 1) * hd
            if note + hd <= s.d_model:
                look.wo.weight[note : note + hd, rows] = 0.3 * torch.eye(hd)

        far = 14  # the last dimensions turn so slowly that they compare contents at any distance
        for kv in range(s.n_kv_heads):
            key, query = slice(kv * hd, (kv + 1) * hd), slice(kv * group * hd, (kv * group + 1) * hd)
            part = slice(0, hd - far) if kv == 0 else slice(far, hd)
            find.wk.weight[key] *= 0.1
            find.wk.weight[kv * hd + far : (kv + 1) * hd] = 0
            find.wq.weight[query] *= 0.1
            find.wq.weight[kv * group * hd + far : kv * group * hd + hd] = 1.2 * basis[:hd][part]
            for i, note in enumerate(range(free + part.start, free + part.stop)):
                find.wk.weight[kv * hd + far + i, note] = 1.2
            find.wv.weight[key] = basis[kv * hd : (kv + 1) * hd]
            find.wo.weight[:, query] = 1.5 * basis[kv * hd : (kv + 1) * hd].T

    def hidden(self, tokens, past=None):
        """tokens: [batch, n] -> [batch, n, d_model], normed. past: one list a layer (a KV cache), or None."""
        start = past[0][0].shape[2] if past and past[0] else 0
        n = tokens.shape[1]
        cos, sin = self.cos[start : start + n], self.sin[start : start + n]
        x = self.embed(tokens)
        for i, block in enumerate(self.blocks):
            x = block(x, cos, sin, None if past is None else past[i])
        return self.norm(x)

    def train_hidden(self, tokens, other, share):
        """hidden() for training: no cache, arranged for speed. `share` [batch, n, 1] of the token `other` is mixed into
        the embedding of a token (the uncertain words of a picture; 0 elsewhere)."""
        n = tokens.shape[1]
        perm = torch.cat((torch.arange(0, self.shape.head_dim, 2), torch.arange(1, self.shape.head_dim, 2)))
        cos, sin = self.cos[:n, None], self.sin[:n, None]
        x = self.embed(tokens)
        x = x + share * (self.embed(other) - x)
        for block in self.blocks:
            x = block.train_forward(x, cos, sin, perm)
        return self.norm(x)

    def logits(self, hidden):
        return hidden @ self.embed.weight.T

    def forward(self, tokens):
        return self.logits(self.hidden(tokens))
