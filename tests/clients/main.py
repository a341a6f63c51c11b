"""Clients that people have, each against a `nearfield run` of this clone: main.py PROGRAM [MODEL.gguf] [EMBEDDINGS.gguf] [CLIENT ...]"""

import pathlib
import re
import subprocess
import sys
import tempfile
import shutil

import embeddings
import frameworks
import litellm_client
import ollama_client
import openai_client
import realtime_client
import openapi
import wyoming_client
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from urllib.request import urlopen

ROOT = pathlib.Path(__file__).resolve().parents[2]


def metrics(url, tell):
    text = urlopen(f"{url}/metrics").read().decode()
    families = list(text_string_to_metric_families(text))
    assert families
    tell("metrics", f"{len(families)} families")
    resident = next(f for f in families if f.name == "nearfield_resident_bytes").samples[0].value
    tell("memory", f"{resident / 2**20:.0f} MiB")


def node(url, tell):
    folder = pathlib.Path(__file__).parent / "node"
    if not shutil.which("node") or not (folder / "node_modules").exists():
        return tell("skipped", "node or its packages are not there (npm install in tests/clients/node)")
    subprocess.run(["node", "main.js", url], cwd=folder, check=True)


def main():
    program, *rest = sys.argv[1:]
    models = [it for it in rest if it.endswith(".gguf")]
    model, embeds = (models + ["talk-nano"])[0], (models[1:] + [""])[0]
    only = [it for it in rest if not it.endswith(".gguf")]
    folder = tempfile.mkdtemp()
    shutil.copy(ROOT / "assets/home.json", folder)
    args = [program, "run", "--listen", "127.0.0.1:0", "--wyoming", "127.0.0.1:0", "--set", f"llm.model={model}",
            "--set", f"home.file={folder}/home.json", "--set", f"embeddings.model={embeds}"]
    server = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()
        address = re.search(r"tcp://(\S+)", server.stdout.readline()).group(1)
        checks = {"openai": (openai_client.check, url), "sound": (openai_client.check_sound, url), "ollama": (ollama_client.check, url),
                  "litellm": (litellm_client.check, url), "frameworks": (frameworks.check, url), "node": (node, url),
                  "embeddings": (embeddings.check if embeds else embeddings.refused, url), "openapi": (openapi.check, url), "wyoming": (wyoming_client.check, address), "realtime": (realtime_client.check, url), "metrics": (metrics, url)}
        for name, (check, where) in checks.items():
            if not only or name in only:
                check(where, lambda what, said, name=name: print(f"{name:9} {what:15} {said}", flush=True))
    finally:
        server.terminate()
        assert server.wait(timeout=3) == 0, server.returncode
        shutil.rmtree(folder)
    print("all clients were answered")


if __name__ == "__main__":
    main()
