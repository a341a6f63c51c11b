#!/bin/sh
# A real Home Assistant in a Debian of its own, against `nearfield run`: run.sh PROGRAM CHROOT MODELS [sentences FOLDER [AGENT ...]]
# CHROOT is made if it is not there (debootstrap, as root; some 2 GB). MODELS holds ggml-tiny.en.bin, en_US-joe-medium.onnx and a
# language model (MODEL=file.gguf, default qwen2.5-coder-0.5b-instruct-q4_k_m.gguf).
set -eu
program=$1 chroot=$2 models=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
model=${MODEL:-qwen2.5-coder-0.5b-instruct-q4_k_m.gguf}
packages=ca-certificates,python3,python3-venv,python3-dev,gcc,g++,make,pkg-config,libffi-dev,libssl-dev,libjpeg-dev,zlib1g-dev,libturbojpeg0,libpcap0.8t64,ffmpeg,tzdata

if [ ! -x "$chroot/usr/bin/python3" ]; then
    debootstrap --variant=minbase --include="$packages" trixie "$chroot" "$mirror" >/dev/null
fi
cp /etc/resolv.conf /etc/hosts "$chroot/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$chroot/etc/ssl/certs/"
mountpoint -q "$chroot/proc" || mount -t proc proc "$chroot/proc"
[ -c "$chroot/dev/urandom" ] || mknod -m 444 "$chroot/dev/urandom" c 1 9
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    umount "$chroot/proc" || true
    rm -rf "$work"
}
trap finish EXIT

inside() {
    chroot "$chroot" /usr/bin/env -i PATH=/srv/home-assistant/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "$@"
}
if [ ! -x "$chroot/srv/home-assistant/bin/hass" ]; then
    inside python3 -m venv /srv/home-assistant
    inside pip install --quiet uv
fi
cp "$here/requirements.txt" "$chroot/srv/"
inside uv pip install --quiet --python /srv/home-assistant/bin/python --requirement /srv/requirements.txt

# The spoken command, at the rate that Home Assistant's satellites send.
"$program" say --set "tts.model=$models/en_US-joe-medium.onnx" --set tts.engine=piper --output "$work/say.wav" "Turn on the bed light."
rm -rf "$chroot/srv/test"
cp -r "$here" "$chroot/srv/test"
cp "$work/say.wav" "$chroot/srv/test/say.wav"
inside ffmpeg -loglevel error -y -i /srv/test/say.wav -ar 16000 -ac 1 -sample_fmt s16 /srv/test/say16.wav

cp "$here/../../../assets/home.json" "$work/"
"$program" run --listen 127.0.0.1:0 --wyoming 127.0.0.1:0 --set "stt.model=$models/ggml-tiny.en.bin" --set "llm.model=$models/$model" \
    --set tts.engine=piper --set "tts.model=$models/en_US-joe-medium.onnx" --set "home.file=$work/home.json" --set 'server.aliases=["gpt-4o-mini"]' \
    >"$work/server.txt" 2>"$work/server.log" &
server=$!
until grep -q http: "$work/server.txt" && grep -q tcp: "$work/server.txt"; do
    kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; exit 1; }
    sleep 0.2
done
url=$(sed -n 's/.*\(http:[^ ]*\).*/\1/p' "$work/server.txt" | head -n 1)
wyoming=$(sed -n 's/.*tcp:.*:\([0-9]*\).*/\1/p' "$work/server.txt" | head -n 1)
name=$(basename "$model" .gguf)
if [ "${1:-}" = sentences ]; then
    folder=$2
    shift 2
    cp -r "$folder" "$chroot/srv/test/sentences"
    inside python /srv/test/sentences.py "$url" "$wyoming" "$name:latest" /srv/test/sentences "$@"
else
    inside python /srv/test/main.py "$url" "$wyoming" "$name:latest" /srv/test/say16.wav
fi
