"""Embeddings by OpenAI's, Ollama's and LangChain's clients, held to the vectors of the model's own runtime."""

import json
import pathlib

import ollama
import openai

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "models/llm/tests/llm/minilm-golden.json"


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def refused(url, tell):
    """Where no model is configured."""
    try:
        openai.OpenAI(base_url=f"{url}/v1", api_key="none").embeddings.create(model="text-embedding-3-small", input="a")
        raise AssertionError("embeddings without a model")
    except openai.NotFoundError as error:
        assert "embeddings.model" in error.message, error
        tell("refused", error.message)


def check(url, tell):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    golden = [it for it in json.loads(GOLDEN.read_text())["texts"] if len(it["tokens"]) < 512]
    texts = [it["text"] for it in golden]
    # The client asks for base64 by itself.
    packed = client.embeddings.create(model="text-embedding-3-small", input=texts)
    floats = client.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
    worst = min(cosine(it["vector"], ours.embedding) for it, ours in zip(golden, packed.data))
    assert worst > 0.9999 and min(cosine(a.embedding, b.embedding) for a, b in zip(packed.data, floats.data)) > 0.999999, worst
    assert packed.usage.prompt_tokens == sum(len(it["tokens"]) for it in golden), packed.usage
    tokens = client.embeddings.create(model="text-embedding-3-small", input=[it["tokens"] for it in golden])
    assert min(cosine(a.embedding, b.embedding) for a, b in zip(packed.data, tokens.data)) > 0.9999
    short = client.embeddings.create(model="text-embedding-3-small", input=texts[0], dimensions=64).data[0].embedding
    assert len(short) == 64 and cosine(short, golden[0]["vector"][:64]) > 0.9999
    theirs = ollama.Client(host=url).embed(model=client.models.list().data[1].id, input=texts)
    assert min(cosine(it["vector"], ours) for it, ours in zip(golden, theirs.embeddings)) > 0.9999
    tell("embeddings", f"{len(texts)} texts, cosine with its own runtime at least {worst:.6f}")

    from langchain_openai import OpenAIEmbeddings
    # LangChain sends the tokens of OpenAI's own models unless it is told not to.
    chain = OpenAIEmbeddings(base_url=f"{url}/v1", api_key="none", model="text-embedding-3-small", check_embedding_ctx_length=False)
    question = chain.embed_query("Is the kitchen lamp on?")
    scores = [cosine(question, vector) for vector in chain.embed_documents(texts)]
    assert scores.index(max(scores)) in (0, 1), scores
    tell("langchain", f"the nearest text to a question: {texts[scores.index(max(scores))]!r}")
