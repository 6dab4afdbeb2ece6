#!/usr/bin/env bash
# The paper's question on one of its models: data, a check, DPO and DPO+MLC, evaluation, tables.
#   baselines/paper_scale.sh qwen2.5-7b 8      all weights on 8 GPUs; 1: a LoRA adapter on one GPU of 80 GB
#   baselines/paper_scale.sh gemma-2-9b 1
# From the root of the repository. docs/paper_scale.md says what it needs and how long it takes. The same command again
# goes on where it stopped.
set -euo pipefail

model=${1:?qwen2.5-7b or gemma-2-9b} gpus=${2:?8 or 1}
case $model in
  qwen2.5-7b) base=Qwen/Qwen2.5-7B-Instruct ;;
  gemma-2-9b) base=google/gemma-2-9b-it ;;
  *) echo "unknown model '$model'; known: qwen2.5-7b, gemma-2-9b" >&2; exit 2 ;;
esac
case $gpus in
  8) form="" launch=(accelerate launch --config_file baselines/configs/accelerate/zero3.yaml --module mlc_bench.baselines.cli) ;;
  1) form="-lora" launch=(train-baseline) ;;
  *) echo "'$gpus' GPUs: 8 (all weights) or 1 (LoRA)" >&2; exit 2 ;;
esac

# The authors' training file, at a pinned commit; git's own hash of it shows that it is whole.
commit=dbc51c8373f6b24887b9d2638ba35fdcf5b2cc19
name=multilin-pku-saferlhf-alpaca3-8b-train.json
blob=14ff507b49f1dc0040a1097691da06b60629947c
data=runs/paper/$name
mkdir -p runs/paper
if [ "$(git hash-object "$data" 2>/dev/null)" != $blob ]; then
  curl -fL --retry 5 -o "$data" "https://raw.githubusercontent.com/Yuyan-B/MLC/$commit/data/$name"
  [ "$(git hash-object "$data")" = $blob ] || { echo "$data is not the file of commit $commit" >&2; exit 3; }
fi

config=baselines/configs/paper/dpo-mlc-$model$form.yaml
with=runs/paper/dpo-mlc-$model$form
without=runs/paper/dpo-$model$form
"${launch[@]}" dpo --config "$config" --data "$data" --output "$with" --check
"${launch[@]}" dpo --config "$config" --data "$data" --output "$with"
"${launch[@]}" dpo --config "$config" --data "$data" --output "$without" --mlc false

score() { mlc-bench run --engine vllm --suite paper --suite overrefusal --output results "$@"; }
score --model "$base"
for trained in "$without" "$with"; do
  if [ -n "$form" ]; then score --model "$base" --adapter "$trained"; else score --model "$trained"; fi
done
mlc-bench leaderboard build results --out runs/paper/tables
