#!/bin/sh
# The demo: spoken questions in, spoken answers out. Says where the answers and the trace are.
#   demo.sh PROGRAM        with the bundled models
#   demo.sh PROGRAM real   with public ones: the files in NEARFIELD_TEST_MODELS, else pulled from the hub
set -eu
cd "$(dirname "$0")/../.."
bin=$1
mkdir -p out
cp assets/home.json out/home.json

if [ "${2:-}" = real ]; then
    if [ -n "${NEARFIELD_TEST_MODELS:-}" ]; then
        stt=$NEARFIELD_TEST_MODELS/ggml-tiny.en.bin
        llm=$NEARFIELD_TEST_MODELS/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
        tts=$NEARFIELD_TEST_MODELS/en_US-joe-medium.onnx
    else
        stt=whisper-tiny.en llm=qwen2.5-0.5b-instruct-q4_k_m tts=piper-en_US-lessac-medium
        for model in "$stt" "$llm" "$tts"; do "$bin" models pull "$model"; done
    fi
    models="models: $(basename "$stt"), sentence templates and $(basename "$llm"); voice: $(basename "$tts")"
    voice_models="--set stt.model=$stt --set llm.model=$llm --set tts.engine=piper --set tts.model=$tts"
    hear_models="--set stt.model=$stt" language_model="--set llm.model=$llm"
    see="see-nano, $(basename "$llm")"
else
    models="models: hear-nano, talk-nano; voice: espeak-ng"
    voice_models="" hear_models="" language_model="" see="see-nano, talk-nano"
fi

echo "== nearfield voice: spoken questions about a home, answered aloud ($models)"
# The settings are words of their own.
# shellcheck disable=SC2086
"$bin" voice --input assets/speech --output out/answers.wav --home out/home.json --trace out/trace.json --overwrite \
    --pace realtime --set listen.interrupt=false $voice_models
echo
echo "the answers:      out/answers.wav"
echo "the home now:     out/home.json (changed by the command; assets/home.json is as it was)"
echo "the trace:        out/trace.json (open it in ui.perfetto.dev or chrome://tracing)"
echo
echo "== nearfield transcribe: what the answers sound like to the recognizer"
# shellcheck disable=SC2086
"$bin" transcribe out/answers.wav $hear_models

echo
echo "== nearfield caption: a street on which little happens, three pictures of each scene (models: $see)"
echo "   * a new caption, = the same scene: no time at the language model"
rm -rf out/events.jsonl out/snapshots
# shellcheck disable=SC2086
"$bin" caption --input assets/pictures --set output.all=true --snapshots out/snapshots --events out/events.jsonl $language_model
echo "the snapshots:    out/snapshots"
echo "the events:       out/events.jsonl"

echo
echo "== nearfield report: a day of four sensors with a spike, a gap and a slow drift (assets/telemetry/day.csv)"
# shellcheck disable=SC2086
"$bin" report --input assets/telemetry/day.csv --window 1d --set window.zone=UTC $language_model
# shellcheck disable=SC2086
"$bin" report --input assets/telemetry/day.csv --window 1d --set window.zone=UTC --output out/report.html --plot out/report.png \
    --overwrite $language_model
echo "the page:         out/report.html (with plots; the picture alone: out/report.png)"
