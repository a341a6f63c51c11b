#!/bin/sh
# Writes the size and the SHA-256 of every bundled model into models.toml, after a training has put new files here.
set -eu
cd "$(dirname "$0")"
for file in *.bin *.gguf *.onnx see-nano.toml; do
    [ -f "$file" ] || continue
    bytes=$(wc -c <"$file")
    hash=$(sha256sum "$file" | cut -d' ' -f1)
    sed -i "s|\(path = \"$file\", bytes = \)[0-9]*\(, sha256 = \"\)[0-9a-f]*|\1$bytes\2$hash|" models.toml
    grep -q "\"$file\".*$hash" models.toml || { echo "models.toml has no entry for $file" >&2; exit 1; }
done
