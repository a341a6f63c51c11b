"""The page of `nearfield run` in Chromium: a question spoken into a made-up microphone is answered, aloud and on the page; axe finds nothing.

page_client.py PROGRAM [SCREENSHOTS]    (make test-page)
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import wave

import numpy
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECTIONS = ["talk", "home", "cameras", "reports", "status"]


def microphone(folder):
    """A second of silence, the question, and silence after it: Chromium plays it over and over."""
    with wave.open(str(ROOT / "assets/speech/1-temperature.wav")) as file:
        rate, sound = file.getframerate(), numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16)
    path = f"{folder}/microphone.wav"
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", None))
        file.writeframes(numpy.concatenate([numpy.zeros(rate, numpy.int16), sound, numpy.zeros(15 * rate, numpy.int16)]).tobytes())
    return path


def check(url, folder, shots, tell):
    options = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--autoplay-policy=no-user-gesture-required",
               "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone(folder)}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        # What is handed to the loudspeaker is counted.
        page.add_init_script("""window.played = 0; const start = AudioBufferSourceNode.prototype.start;
            AudioBufferSourceNode.prototype.start = function (...at) { window.played += this.buffer.duration; return start.apply(this, at); };""")
        page.goto(url)
        page.click("#microphone")
        page.wait_for_selector("#conversation .assistant details", timeout=60_000)
        said = [line.strip() for line in page.locator("#conversation p").all_inner_texts()]
        played = page.evaluate("window.played")
        tell("spoken", f"{said}, {played:.1f} s played")
        assert "temperature" in said[0].lower() and "degrees" in said[1] and played > 0.5, (said, played)
        page.click("#microphone")
        page.fill("#question", "Turn off the living room light")
        page.press("#question", "Enter")
        page.wait_for_selector("#conversation .assistant:nth-of-type(4) details", timeout=60_000)
        page.goto(f"{url}/#home")
        page.wait_for_selector("#actions :text('set_light')")
        assert page.locator("dt:text-is('living room light') + dd").inner_text() == "off"
        tell("typed", "the home on the page follows")
        assert not errors, errors
        for scheme, size in [("light", (1000, 760)), ("dark", (390, 780))]:
            context = browser.new_context(color_scheme=scheme, viewport={"width": size[0], "height": size[1]}, bypass_csp=True)
            page = context.new_page()
            for section in SECTIONS:
                page.goto(f"{url}/#{section}")
                page.reload()
                page.wait_for_timeout(1000)
                found = Axe().run(page)
                assert found.violations_count == 0, f"{scheme} {section}: {found.generate_report()}"
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{section} is wider than the screen"
                if shots:
                    page.screenshot(path=f"{shots}/{scheme}-{section}.png")
        tell("axe", f"{len(SECTIONS)} sections, light and wide, dark and narrow: clean")
        browser.close()


def main():
    program, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "assets/home.json", folder)
        config = pathlib.Path(folder) / "run.toml"
        config.write_text(f'[home]\nfile = "{folder}/home.json"\n[[caption]]\nname = "garden"\ninput = "{ROOT}/assets/pictures"\n')
        server = subprocess.Popen([program, "run", "--config", str(config), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        try:
            url = re.search(r"http://\S+", server.stdout.readline()).group()
            check(url, folder, rest[0] if rest else None, lambda what, said: print(f"page {what:8} {said}", flush=True))
        finally:
            server.terminate()
            server.wait(timeout=5)
    print("the page works")


if __name__ == "__main__":
    main()
