#!/usr/bin/env bash
# A cohort on a SLURM cluster: one job per participant to prepare, one GPU job to train, one job per participant to
# apply, one job for the group level. Each stage waits for the one before.
#
#   examples/slurm_array.sh BIDS_DIR OUTPUT_DIR [options of bids_spectsynth, e.g. --config-file config.toml]
#
# Give absolute paths. Partition, account and time limits: edit the sbatch lines, or set SBATCH_PARTITION and the like.
# BIDS_SPECTSYNTH names the program; a container call works as well, e.g. "apptainer run --nv --cleanenv image.sif".
set -euo pipefail

stage() {
  # The same options go to every stage: a model fits only what was prepared with the same voxel size and spaces.
  local name=$1 data=$2 out=$3
  shift 3
  local threads=${SLURM_CPUS_PER_TASK:-1}
  read -r -a program <<<"${BIDS_SPECTSYNTH:-bids_spectsynth}"
  case $name in
    preprocess | apply)
      local label
      label=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$out/logs/slurm/participants.txt")
      exec "${program[@]}" "$data" "$out" participant --mode "$name" --participant-label "$label" \
        --nprocs "$threads" "$@"
      ;;
    train) exec "${program[@]}" "$data" "$out" participant --mode train --nprocs "$threads" --device cuda "$@" ;;
    group) exec "${program[@]}" "$data" "$out" group "$@" ;;
  esac
}

submit() {
  local data=$1 out=$2 self folder last
  shift 2
  self=$(realpath "${BASH_SOURCE[0]}")
  mkdir -p "$out/logs/slurm"
  for folder in "$data"/sub-*/; do basename "$folder"; done >"$out/logs/slurm/participants.txt"
  last=$(($(wc -l <"$out/logs/slurm/participants.txt") - 1))
  local log=(--output="$out/logs/slurm/%x-%A_%a.txt")

  local prepared trained applied
  prepared=$(sbatch --parsable --job-name=prepare "${log[@]}" --array="0-$last%50" \
    --cpus-per-task=2 --mem=6G --time=01:00:00 "$self" stage preprocess "$data" "$out" "$@")
  # afterany: a participant that lacks an image must not hold up the others.
  trained=$(sbatch --parsable --job-name=train "${log[@]}" --dependency="afterany:$prepared" \
    --gres=gpu:1 --cpus-per-task=4 --mem=16G --time=24:00:00 --signal=B:TERM@120 \
    "$self" stage train "$data" "$out" "$@")
  applied=$(sbatch --parsable --job-name=apply "${log[@]}" --dependency="afterok:$trained" --array="0-$last%50" \
    --cpus-per-task=2 --mem=6G --time=00:30:00 "$self" stage apply "$data" "$out" "$@")
  sbatch --parsable --job-name=group "${log[@]}" --dependency="afterany:$applied" \
    --cpus-per-task=2 --mem=8G --time=00:30:00 "$self" stage group "$data" "$out" "$@"
}

if [ "${1:-}" = stage ]; then
  shift
  stage "$@"
elif [ $# -ge 2 ]; then
  submit "$@"
else
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
