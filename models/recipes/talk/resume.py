"""Makes build/tokenizer.json and build/checkpoint.pt out of a GGUF file that export.py wrote, so that train.py can go on from the
shipped model where no checkpoint was kept; train.py then grows it to its own shape.

  python resume.py ../../../assets/models/talk-nano.gguf [step] [seen] [minutes]

Entries of the vocabulary that training hardly ever saw have all but one embedding, since the softmax only pushed them
away; they begin anew, scattered as the others are.
"""

import os
import sys

import torch

import tokenizer
from files import model_of_gguf, tokenizer_of


@torch.no_grad()
def scatter(embedding, entries):
    """Draws new embeddings [vocab, d_model] for collapsed entries, in place; returns how many there were."""
    unused = [entries[c] for c in "".join(chr(b) for b in range(0xC0, 0x100))]  # bytes that English text never has
    lone = embedding[unused].mean(0)
    collapsed = torch.cosine_similarity(embedding, lone[None], -1) > 0.8
    others = embedding[~collapsed]
    spread = torch.linalg.cholesky(torch.cov(others.T) + 1e-6 * torch.eye(embedding.shape[1]))
    embedding[collapsed] = others.mean(0) + torch.randn(int(collapsed.sum()), embedding.shape[1]) @ spread.T
    return int(collapsed.sum())


def main():
    torch.manual_seed(1)
    path, (step, seen, minutes) = sys.argv[1], [*map(float, sys.argv[2:5]), *[0.0] * (5 - len(sys.argv))]
    os.makedirs("build", exist_ok=True)
    tok = tokenizer_of(path)
    tok.save(tokenizer.PATH)
    model = model_of_gguf(path)
    print(f"{scatter(model.embed.weight, tok.get_vocab())} of {tok.get_vocab_size()} embeddings begin anew")
    torch.save(dict(model=model.state_dict(), shape=model.shape.as_dict(), step=int(step), seen=int(seen), spent=minutes * 60), "build/checkpoint.pt")


if __name__ == "__main__":
    main()
