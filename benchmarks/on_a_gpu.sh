#!/usr/bin/env bash
# All that we measure on one GPU of 80 GB or more, each part within a limit of its own:
#   bash benchmarks/on_a_gpu.sh FOLDER [smoke|base|attacks|speed]
# FOLDER gets a log and a report a part. With "smoke" every part in small: what would fail does so within minutes.
# With "base" the base stage at real shapes alone, against what is counted of it: five minutes at most. With "attacks"
# one relearning and one rounding at the shape of 7B, likewise: four minutes at most. With "speed" what each saving is
# worth at real shapes, against the way it was: training steps packed and plain, tokens of answers, pictures through the
# tower; eight minutes at most.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
export PYTHONUNBUFFERED=1
python=${PYTHON:-python3}

failed=0

# part NAME SECONDS WORDS..: its output to the terminal and to NAME.log; a part that fails stops no other
part() {
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    printf '\n=== %s\n' "$name"
    timeout "$limit" "$python" "$@" 2>&1 | tee "$out/$name.log"
    local code=${PIPESTATUS[0]}
    [ "$code" = 0 ] || failed=1
    printf '=== %s: exit code %d after %d s\n' "$name" "$code" $((SECONDS - start))
}

run() {
    part "$1" "$2" -m unlearnbench run --method "$3" --model "$4" --device cuda --store "$out/store" --results "$out/rows"
}

if [ "${2:-}" = smoke ]; then
    part attention 60 -m pytest -q -p no:cacheprovider tests/models/contract/test_cuda_attention.py
    part recorded 60 -m pytest -q -p no:cacheprovider tests/models/asking/test_steps.py
    part generation 60 -m benchmarks.speed.generation --models tiny-qwen2.5-vl tiny-mllama --out "$out/generation.json"
    part base 60 -m benchmarks.stages.base --models tiny-qwen2.5-vl tiny-mllama --out "$out/base.json"
    part attacks 60 -m benchmarks.stages.attacks --models tiny-qwen2.5-vl --out "$out/attacks.json"
    part steps 60 -m benchmarks.stages.steps --models tiny-qwen2.5-vl tiny-mllama --out "$out/steps.json"
    part seeing 60 -m benchmarks.stages.seeing --models tiny-qwen2.5-vl tiny-mllama --out "$out/seeing.json"
    part gpu 60 -m benchmarks.gpu --models tiny-qwen2.5-vl tiny-mllama --out "$out/gpu.json"
    part speed 100 -m benchmarks.speed --full-size --questions 4 --repeats 1 --only evaluation,lora --out "$out/speed.json"
elif [ "${2:-}" = base ]; then
    part base 300 -m benchmarks.stages.base --out "$out/base.json"
elif [ "${2:-}" = attacks ]; then
    part attacks 240 -m benchmarks.stages.attacks --out "$out/attacks.json"
elif [ "${2:-}" = speed ]; then
    part steps 180 -m benchmarks.stages.steps --out "$out/steps.json"
    part generation 150 -m benchmarks.speed.generation --out "$out/generation.json"
    part seeing 90 -m benchmarks.stages.seeing --out "$out/seeing.json"
else
    part speed 260 -m benchmarks.speed --full-size --repeats 2 --out "$out/speed-gpu.json" --profile
    part gpu 150 -m benchmarks.gpu --out "$out/gpu.json"
    run tiny 240 finetune,cagul,ga-kl tiny-qwen2.5-vl,tiny-mllama
fi
exit $failed
