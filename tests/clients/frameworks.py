"""Frameworks over OpenAI's form: LangChain, instructor, pydantic-ai, LlamaIndex; each a chat, and what it asks of schemas and tools."""

import asyncio

import openai
from pydantic import BaseModel, Field


class City(BaseModel):
    name: str = Field(max_length=40)
    people: int = Field(ge=0, le=99_000_000)


def model_of(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none").models.list().data[0].id


def langchain(url, tell):
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def turn_on(room: str) -> str:
        """Turns the light of a room on."""
        return "done"

    chat = ChatOpenAI(base_url=f"{url}/v1", api_key="none", model=model_of(url), temperature=0, max_tokens=40, max_retries=0)
    whole = chat.invoke("Say hello in one short sentence.")
    text = "".join(chunk.content for chunk in chat.stream("Say hello in one short sentence."))
    assert whole.content and text == whole.content and whole.usage_metadata["output_tokens"] > 0, (whole, text)
    asked = chat.bind_tools([turn_on], tool_choice="turn_on").invoke("It is dark in the attic.")
    assert asked.tool_calls[0]["name"] == "turn_on", asked
    city = chat.with_structured_output(City, method="json_schema").invoke("Describe Paris.")
    assert isinstance(city, City), city
    many = chat.batch(["One?", "Two?", "Three?"])
    assert len(many) == 3 and all(answer.content for answer in many)
    tell("langchain", f"{text!r}, {asked.tool_calls[0]['args']}, {city!r}")


def instructor_(url, tell):
    import instructor
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        client = instructor.from_openai(openai.OpenAI(base_url=f"{url}/v1", api_key="none"), mode=mode)
        city = client.chat.completions.create(model=model_of(url), response_model=City, max_tokens=80, temperature=0,
                                              messages=[{"role": "user", "content": "Describe Paris."}])
        assert isinstance(city, City), city
        tell(mode.value, repr(city))


def pydantic_ai(url, tell):
    from pydantic_ai import Agent, NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    model = OpenAIChatModel(model_of(url), provider=OpenAIProvider(base_url=f"{url}/v1", api_key="none"))
    settings = {"temperature": 0, "max_tokens": 80}
    said = Agent(model, model_settings=settings).run_sync("Say hello in one short sentence.")
    assert said.output and said.usage.output_tokens > 0, said
    city = Agent(model, output_type=NativeOutput(City), model_settings=settings).run_sync("Describe Paris.")
    assert isinstance(city.output, City), city

    async def streamed():
        async with Agent(model, model_settings=settings).run_stream("Say hello in one short sentence.") as run:
            return [text async for text in run.stream_text(delta=True)]

    tell("pydantic-ai", f"{said.output!r}, {city.output!r}, {len(asyncio.run(streamed()))} pieces")


def llama_index(url, tell):
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike
    llm = OpenAILike(model=model_of(url), api_base=f"{url}/v1", api_key="none", is_chat_model=True, temperature=0, max_tokens=40)
    whole = llm.chat([ChatMessage(role="user", content="Say hello in one short sentence.")])
    text = "".join(part.delta or "" for part in llm.stream_chat([ChatMessage(role="user", content="Say hello in one short sentence.")]))
    assert whole.message.content and text == whole.message.content, (whole, text)
    tell("llama-index", repr(text))


def check(url, tell):
    for one in (langchain, instructor_, pydantic_ai, llama_index):
        one(url, tell)
