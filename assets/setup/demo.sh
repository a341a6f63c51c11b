#!/bin/sh
# The demo: spoken questions in, spoken answers out, with the bundled models. Says where the answers and the trace are.
set -eu
cd "$(dirname "$0")/../.."
bin=$1
mkdir -p out
cp assets/home.json out/home.json

echo "== nearfield voice: spoken questions about a home, answered aloud (models: hear-nano, talk-nano; voice: espeak-ng)"
"$bin" voice --input assets/speech --output out/answers.wav --home out/home.json --trace out/trace.json --overwrite \
    --pace realtime --set listen.interrupt=false
echo
echo "the answers:      out/answers.wav"
echo "the home now:     out/home.json (changed by the command; assets/home.json is as it was)"
echo "the trace:        out/trace.json (open it in ui.perfetto.dev or chrome://tracing)"
echo
echo "== nearfield transcribe: what the answers sound like to the recognizer"
"$bin" transcribe out/answers.wav

echo
echo "== nearfield caption: a street on which little happens, three pictures of each scene (models: see-nano, talk-nano)"
echo "   * a new caption, = the same scene: no time at the language model"
rm -rf out/events.jsonl out/snapshots
"$bin" caption --input assets/pictures --set output.all=true --snapshots out/snapshots --events out/events.jsonl
echo "the snapshots:    out/snapshots"
echo "the events:       out/events.jsonl"

echo
echo "== nearfield report: a day of four sensors with a spike, a gap and a slow drift (assets/telemetry/day.csv)"
"$bin" report --input assets/telemetry/day.csv --window 1d --set window.zone=UTC
"$bin" report --input assets/telemetry/day.csv --window 1d --set window.zone=UTC --output out/report.html --plot out/report.png \
    --overwrite
echo "the page:         out/report.html (with plots; the picture alone: out/report.png)"
