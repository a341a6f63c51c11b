"""A Home Assistant of its own: started without a display, onboarded and configured over its REST and WebSocket APIs, as its web page does."""

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

import aiohttp

# The longest that an answer of a small board may take.
ANSWER_S = 300
USER = {"client_id": "http://localhost/", "name": "Test", "username": "test", "password": "test-test", "language": "en"}


class Hass:
    """Used as `async with Hass(folder, port) as hass`."""

    def __init__(self, folder, port, environment=None):
        self.folder, self.url = pathlib.Path(folder), f"http://127.0.0.1:{port}"
        self.environment = {**os.environ, **(environment or {})}
        self.number, self.answers, self.streams = 0, {}, {}

    async def __aenter__(self):
        log = open(self.folder / "stdout.log", "wb")
        program = pathlib.Path(sys.executable).parent / "hass"
        self.process = subprocess.Popen([program, "-c", self.folder], stdout=log, stderr=log, env=self.environment)
        self.session = aiohttp.ClientSession()
        try:
            await self._onboard()
            self.socket = await self.session.ws_connect(f"{self.url}/api/websocket", max_msg_size=0)
            assert (await self.socket.receive_json())["type"] == "auth_required"
            await self.socket.send_json({"type": "auth", "access_token": self.token})
            assert (await self.socket.receive_json())["type"] == "auth_ok"
            self.reader = asyncio.create_task(self._read())
            self.token = await self.ask("auth/long_lived_access_token", client_name="test", lifespan=1)
            self.head = {"Authorization": f"Bearer {self.token}"}
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    async def _onboard(self):
        begun = time.monotonic()
        while True:
            assert self.process.poll() is None, f"Home Assistant has ended: {self.folder}/stdout.log"
            with contextlib.suppress(aiohttp.ClientError, KeyError):
                async with self.session.post(f"{self.url}/api/onboarding/users", json=USER) as answer:
                    if answer.status == 200:
                        code = (await answer.json())["auth_code"]
                        break
            assert time.monotonic() - begun < 600, f"Home Assistant does not answer: {self.folder}/stdout.log"
            await asyncio.sleep(0.5)
        form = {"grant_type": "authorization_code", "code": code, "client_id": USER["client_id"]}
        async with self.session.post(f"{self.url}/auth/token", data=form) as answer:
            self.token = (await answer.json())["access_token"]
        self.head = {"Authorization": f"Bearer {self.token}"}
        while (await self.get("/api/config"))["state"] != "RUNNING":
            assert time.monotonic() - begun < 600, f"Home Assistant does not start: {self.folder}/stdout.log"
            await asyncio.sleep(0.2)

    async def get(self, path):
        async with self.session.get(self.url + path, headers=self.head) as answer:
            assert answer.status == 200, (path, answer.status, await answer.text())
            return await answer.json() if "json" in answer.content_type else await answer.read()

    async def post(self, path, body):
        async with self.session.post(self.url + path, headers=self.head, json=body) as answer:
            assert answer.status in (200, 201), (path, answer.status, await answer.text())
            return await answer.json()

    async def delete(self, path):
        async with self.session.delete(self.url + path, headers=self.head) as answer:
            assert answer.status == 200, (path, answer.status, await answer.text())

    async def _read(self):
        async for message in self.socket:
            for one in (lambda it: it if isinstance(it, list) else [it])(json.loads(message.data)):
                if one["type"] == "event" and one["id"] in self.streams:
                    self.streams[one["id"]].put_nowait(one["event"])
                elif one["type"] == "result" and one["id"] in self.answers:
                    self.answers.pop(one["id"]).set_result(one)

    async def _send(self, kind, fields):
        self.number += 1
        number, answer = self.number, asyncio.get_running_loop().create_future()
        self.answers[number], self.streams[number] = answer, asyncio.Queue()
        await self.socket.send_json({"id": number, "type": kind, **fields})
        said = await asyncio.wait_for(answer, ANSWER_S)
        assert said["success"], (kind, said)
        return number, said["result"]

    async def ask(self, kind, **fields):
        """A command over the WebSocket."""
        number, result = await self._send(kind, fields)
        del self.streams[number]
        return result

    async def flow(self, handler, *answers, path="/api/config/config_entries/flow"):
        """Goes through a config flow, one set of answers a step, and gives back the end of it."""
        step = await self.post(path, {"handler": handler, "show_advanced_options": True})
        for answer in answers:
            while step["type"] == "progress":
                await asyncio.sleep(0.2)
                step = await self.get(f"{path}/{step['flow_id']}")
            assert step["type"] in ("form", "menu"), step
            step = await self.post(f"{path}/{step['flow_id']}", answer(step) if callable(answer) else answer)
            assert not step.get("errors"), step
        assert step["type"] == "create_entry", step
        return step

    async def entities(self, platform, *domains):
        """The ids of an integration's entities, by domain; waits until it has some of these."""
        for _ in range(100):
            found = {}
            for entity in await self.ask("config/entity_registry/list"):
                if entity["platform"] == platform:
                    found.setdefault(entity["entity_id"].split(".")[0], entity["entity_id"])
            if all(domain in found for domain in domains):
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"{platform} has {found}, not {domains}: {self.log()}")

    async def state(self, entity):
        return await self.get(f"/api/states/{entity}")

    async def speak_to(self, pipeline, pcm, rate=16000):
        """Sends speech through an Assist pipeline, in real time's chunks, and gives back its events."""
        fields = {"start_stage": "stt", "end_stage": "tts", "pipeline": pipeline, "input": {"sample_rate": rate}, "timeout": 120}
        number, _ = await self._send("assist_pipeline/run", fields)
        queue, events = self.streams[number], []
        while True:
            event = await asyncio.wait_for(queue.get(), 120)
            events.append({**event, "at": time.monotonic()})
            if event["type"] == "run-start":
                handler = bytes([event["data"]["runner_data"]["stt_binary_handler_id"]])
            elif event["type"] == "stt-start":
                for at in range(0, len(pcm), 2048):
                    await self.socket.send_bytes(handler + pcm[at:at + 2048])
                await self.socket.send_bytes(handler)
            elif event["type"] in ("run-end", "error"):
                del self.streams[number]
                return events

    def log(self):
        """What it has logged as errors."""
        text = (self.folder / "stdout.log").read_text(errors="replace")
        return [line for line in text.splitlines() if " ERROR " in line]
