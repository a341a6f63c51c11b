#!/bin/sh
# Installs what building and running Nearfield needs and this machine lacks: Debian packages (through apt, with sudo where
# not root) and the ONNX Runtime library. Quiet and quick when nothing is missing.
#   setup.sh build   what building and running needs
#   setup.sh test    and what the tests talk to: a sound server without a sound card, an MQTT broker, ffmpeg
#   setup.sh arm     and what building for ARM boards, and running that build here, needs
set -eu
cd "$(dirname "$0")/../.."

need="cmake g++ pkg-config libasound2-dev espeak-ng python3"
# ONNX Runtime comes out of a Python package.
python3 -m pip --version >/dev/null 2>&1 || need="$need python3-pip"
[ "${1:-build}" = test ] && need="$need pulseaudio pulseaudio-utils flite mosquitto ffmpeg"
[ "${1:-build}" = arm ] && need="$need g++-aarch64-linux-gnu qemu-user-static"

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: cargo is missing: install Rust 1.92 or later from https://rustup.rs, then run this again" >&2
    exit 1
fi

if command -v dpkg-query >/dev/null 2>&1; then
    missing=""
    for package in $need; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        sudo=""
        if [ "$(id -u)" != 0 ]; then
            if ! command -v sudo >/dev/null 2>&1; then
                echo "setup: these Debian packages are missing and there is no sudo: run as root: apt-get install$missing" >&2
                exit 1
            fi
            sudo=sudo
        fi
        echo "setup: installing Debian packages:$missing"
        log=$(mktemp)
        # The lists may be absent or old on a new machine.
        if ! { $sudo apt-get -qq update && DEBIAN_FRONTEND=noninteractive $sudo apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing; } >"$log" 2>&1; then
            tail -n 20 "$log" >&2
            rm -f "$log"
            echo "setup: apt could not install:$missing" >&2
            exit 1
        fi
        rm -f "$log"
    fi
else
    for tool in cmake c++ pkg-config espeak-ng python3; do
        command -v "$tool" >/dev/null 2>&1 || {
            echo "setup: $tool is missing, and this is no Debian: install it ($need) and run this again" >&2
            exit 1
        }
    done
fi

if ! python3 assets/setup/get-onnxruntime.py; then
    echo "setup: without ONNX Runtime, Piper voices, Silero and vision models can't run; everything else can" >&2
fi
