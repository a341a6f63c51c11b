"""litellm, through OpenAI's form and through Ollama's."""

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm


def check(url, tell):
    import openai
    model = openai.OpenAI(base_url=f"{url}/v1", api_key="none").models.list().data[0].id
    asked = [{"role": "user", "content": "Say hello in one short sentence."}]
    litellm.completion(model=f"openai/{model}", api_base=f"{url}/v1", api_key="none", messages=asked, max_tokens=4)
    ours = litellm.completion(model=f"openai/{model}", api_base=f"{url}/v1", api_key="none", messages=asked, max_tokens=40, temperature=0)
    theirs = litellm.completion(model=f"ollama_chat/{model}", api_base=url, messages=asked, max_tokens=40, temperature=0)
    assert ours.choices[0].message.content == theirs.choices[0].message.content, (ours, theirs)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in litellm.completion(
        model=f"openai/{model}", api_base=f"{url}/v1", api_key="none", messages=asked, max_tokens=40, temperature=0, stream=True))
    assert text == ours.choices[0].message.content, text
    tell("completion", f"{text!r}, in both forms")
