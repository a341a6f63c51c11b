#!/usr/bin/env python3
"""Fetches the ONNX Runtime shared library for this machine, or another, into a folder (default: .data/lib of the clone).

It is taken from the wheel that the project itself publishes on PyPI, through the ordinary client (`python3 -m pip
download`, which picks the wheel that fits machine and Python), checked to be a shared library for that processor, and
moved into place in one step. Does nothing when it is already there. Standard library only.

    assets/setup/get-onnxruntime.py [FOLDER [aarch64 [onnxruntime==VERSION]]]
"""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "onnxruntime>=1.19.2"
LIBRARY = "libonnxruntime.so"
# e_machine of the ELF header, by what the system calls the processor.
ELF_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183}
LARGEST = 512 << 20


def elf_problem(head: bytes, processor: str) -> str | None:
    """Says why these first bytes are no shared library for this processor; None where they are one."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return "it is not an ELF file"
    kind, machine = struct.unpack_from("<HH", head, 16)
    if kind != 3:
        return "it is not a shared library"
    wanted = ELF_MACHINES.get(processor)
    if wanted is not None and machine != wanted:
        return f"it is for another processor (ELF machine {machine}, {processor} is {wanted})"
    return None


def usable(path: Path, processor: str) -> bool:
    try:
        with path.open("rb") as file:
            return elf_problem(file.read(64), processor) is None
    except OSError:
        return False


def download(into: Path, processor: str, package: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(into), package]
    if processor != platform.machine().lower():
        for glibc in range(17, 37):
            command += ["--platform", f"manylinux_2_{glibc}_{processor}"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wheels = sorted(into.glob("onnxruntime-*.whl"))
    if result.returncode != 0 or not wheels:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise SystemExit("get-onnxruntime: pip could not download it: " + (said[-1] if said else "it said nothing"))
    return wheels[-1]


def main() -> None:
    if len(sys.argv) > 4 or sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
        raise SystemExit(0 if len(sys.argv) == 2 else 2)
    clone = Path(__file__).resolve().parent.parent.parent
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else clone / ".data" / "lib"
    processor = sys.argv[2] if len(sys.argv) > 2 else platform.machine().lower()
    package = sys.argv[3] if len(sys.argv) > 3 else PACKAGE
    target = folder / LIBRARY
    if usable(target, processor):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        wheel = download(Path(temporary), processor, package)
        with zipfile.ZipFile(wheel) as archive:
            pattern = re.compile(r"onnxruntime/capi/libonnxruntime\.so(\.\d+)*")
            members = [m for m in archive.infolist() if pattern.fullmatch(m.filename)]
            if not members:
                raise SystemExit(f"get-onnxruntime: {wheel.name} holds no {LIBRARY}")
            member = max(members, key=lambda m: m.file_size)
            if member.file_size > LARGEST:
                raise SystemExit(f"get-onnxruntime: {member.filename} has {member.file_size} bytes, which is too much")
            # In the target's own folder, so that the last step is a rename within one file system.
            with tempfile.NamedTemporaryFile(dir=folder, prefix=LIBRARY + ".", delete=False) as part:
                try:
                    with archive.open(member) as source:
                        while block := source.read(1 << 20):
                            part.write(block)
                    part.flush()
                    os.fsync(part.fileno())
                    with open(part.name, "rb") as written:
                        problem = elf_problem(written.read(64), processor)
                    if problem:
                        raise SystemExit(f"get-onnxruntime: {member.filename} cannot be used: {problem}")
                    os.chmod(part.name, 0o644)
                    os.replace(part.name, target)
                except BaseException:
                    Path(part.name).unlink(missing_ok=True)
                    raise
    version = wheel.name.split("-")[1]
    print(f"ONNX Runtime {version} is at {target}")


if __name__ == "__main__":
    main()
