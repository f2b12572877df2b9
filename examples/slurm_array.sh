#!/usr/bin/env bash
# A cohort on a SLURM cluster: one job per participant to prepare, one GPU job to train, one job per participant to
# apply, one job for the group level. Each stage waits for the one before.
#
#   examples/slurm_array.sh BIDS_DIR OUTPUT_DIR [options of bids_spectsynth, e.g. --config-file config.toml]
#
# Give absolute paths. Partition, account and time limits: edit the sbatch lines, or set SBATCH_PARTITION and the like.
# BIDS_SPECTSYNTH names the program; a container call works as well, e.g. "apptainer run --nv --cleanenv image.sif".
# BIDS_SPECTSYNTH_GPUS is the number of GPUs of one node that train together (1); several need torchrun on the PATH.
# The training job puts itself back into the queue when its time limit comes near, and goes on from its checkpoint.
set -euo pipefail

# Seconds before the time limit at which SLURM sends SIGUSR1: enough for one step and one checkpoint.
readonly NOTICE=120
# Exit code of a program that SIGUSR1 has stopped; torchrun ends with 1 whatever its processes end with.
readonly RESUBMIT=138 FAILED=1

stage() {
  # The same options go to every stage: a model fits only what was prepared with the same voxel size and spaces.
  local name=$1 data=$2 out=$3
  shift 3
  local threads=${SLURM_CPUS_PER_TASK:-1} gpus=${BIDS_SPECTSYNTH_GPUS:-1} notice=USR1
  # A container with a clean environment sees the job's GPUs only if it is told.
  [ -z "${CUDA_VISIBLE_DEVICES:-}" ] || export APPTAINERENV_CUDA_VISIBLE_DEVICES="$CUDA_VISIBLE_DEVICES"
  read -r -a program <<<"${BIDS_SPECTSYNTH:-bids_spectsynth}"
  case $name in
    preprocess | apply)
      local label
      label=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$out/logs/slurm/participants.txt")
      exec "${program[@]}" "$data" "$out" participant --mode "$name" --participant-label "$label" \
        --nprocs "$threads" "$@"
      ;;
    train)
      if [ "$gpus" -gt 1 ]; then
        if [ "${#program[@]}" -gt 1 ]; then
          # torchrun outside of a container would start as many containers that know nothing of each other.
          echo "several GPUs in a container: torchrun must run inside it, see docs/hpc.md" >&2
          exit 2
        fi
        program=(torchrun --standalone --nproc_per_node "$gpus" --no-python "${program[@]}")
        threads=$((threads / gpus > 0 ? threads / gpus : 1))
        # Older releases of torchrun pass only SIGTERM and SIGINT on, and kill after 30 s.
        notice=TERM
        export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=$((NOTICE - 20))
      fi
      resubmit_at_limit "$notice" "${program[@]}" "$data" "$out" participant --mode train --nprocs "$threads" --device cuda "$@"
      ;;
    group) exec "${program[@]}" "$data" "$out" group "$@" ;;
  esac
}

resubmit_at_limit() {
  # Runs a command to which SIGUSR1 is passed on as the signal $1.
  # In the background, because bash runs a trap only when the command in the foreground has ended.
  local notice=$1 child='' code=0 passed='' limit=''
  shift
  trap 'passed=1 limit=1; [ -z "$child" ] || kill "-$notice" "$child" 2>/dev/null || true' USR1
  trap 'passed=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM
  "$@" &
  child=$!
  while true; do
    passed='' code=0
    wait "$child" || code=$?
    # A signal ends the waiting, not the program.
    [ -n "$passed" ] || break
  done
  if [ "$code" -eq $RESUBMIT ] || { [ -n "$limit" ] && [ "$code" -eq $FAILED ]; }; then
    echo "time limit near: job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
  fi
  exit "$code"
}

submit() {
  local data=$1 out=$2 self folder last gpus=${BIDS_SPECTSYNTH_GPUS:-1}
  shift 2
  self=$(realpath "${BASH_SOURCE[0]}")
  mkdir -p "$out/logs/slurm"
  for folder in "$data"/sub-*/; do basename "$folder"; done >"$out/logs/slurm/participants.txt"
  last=$(($(wc -l <"$out/logs/slurm/participants.txt") - 1))
  local log=(--output="$out/logs/slurm/%x-%A_%a.txt" --open-mode=append)

  local prepared trained applied
  prepared=$(sbatch --parsable --job-name=prepare "${log[@]}" --array="0-$last%50" \
    --cpus-per-task=2 --mem=6G --time=01:00:00 "$self" stage preprocess "$data" "$out" "$@")
  # afterany: a participant that lacks an image must not hold up the others.
  trained=$(sbatch --parsable --job-name=train "${log[@]}" --dependency="afterany:$prepared" \
    --gres="gpu:$gpus" --cpus-per-task=$((4 * gpus)) --mem=$((16 * gpus))G --time=24:00:00 \
    --signal="B:USR1@$NOTICE" --requeue "$self" stage train "$data" "$out" "$@")
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
  sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
