#!/usr/bin/env bash
# The demo in a real Slurm of two nodes, through profiles/slurm: one job exceeds its memory at first, and one node is
# lost in the middle of a training. The tables must equal those of a local run with the same number of cores. Then one
# small model is trained by two processes on each of both nodes.
# usage: run.sh FOLDER_OF_LOCAL_RESULTS [FURTHER_CONFIGURATION ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
results=$(cd "$1" && pwd)
shift
work=$(mktemp -d)
snakemake=
cleanup() {
  if [ -n "$snakemake" ]; then kill -9 "$snakemake" 2> /dev/null || true; fi
  bash "$here/stop.sh" "$work/slurm"
  pkill -9 -f "$work/clone" || true
  rm -rf "$work"
}
trap cleanup EXIT
bash "$here/start.sh" "$work/slurm"

mkdir "$work/clone"
cp -r "$root"/{Snakefile,README.md,cloome,config,envs,profiles,tests,workflow} "$work/clone"
cd "$work/clone"
# The profile as shipped but for the lines of the site, each node with a disk of its own.
for change in too_little_memory two_nodes; do
  mkdir "profiles/$change"
  python "$here/site_profile.py" profiles/slurm/profile.yaml "${CORES:-2}" "$work/disk-\$SLURMD_NODENAME" $change \
    > "profiles/$change/profile.yaml"
done

# The plugin looks at its jobs after so many seconds, then ten later each time: most jobs here end within the first.
often=(--slurm-init-seconds-before-status-checks 5 --seconds-between-status-checks 1)
snakemake --profile profiles/too_little_memory "${often[@]}" --configfile config/config.yaml "$@" > run.log 2>&1 &
snakemake=$!

fail() {
  echo "$1" >&2
  tail -n 60 run.log >&2
  exit 1
}

# A training whose first epochs are done: its job, and the node that it runs on.
run=random-cloob-seed0
log=logs/demo/train/$run.log
until [ -n "$(find results/demo/runs/$run/state -type f 2> /dev/null)" ] && grep -q 'epoch 2' "$log"; do
  kill -0 "$snakemake" 2> /dev/null || fail "the run ended before its training was seen"
  sleep 0.5
done
job=$(squeue -h -t running -o '%i %k' | awk -v run="$run" '/train_run/ && $2 ~ run"$" {print $1}')
node=$(squeue -h -j "$job" -o %N)
squeue -h -j "$job" -O tres-per-job:40,tres-per-node:40 | grep -q 'gpu:1' || fail "job $job has not asked for a GPU"
echo "losing $node, which runs job $job, after $SECONDS s"

# The node is lost: its daemon, and all processes of the jobs that it runs.
kill_tree() {
  local child
  for child in $(pgrep -P "$1"); do kill_tree "$child"; done
  kill -9 "$1" 2> /dev/null || true
}
jobs=" $(squeue -h -w "$node" -o %i | tr '\n' ' ') "
kill -9 "$(cat "$work/slurm/run/slurmd-$node.pid")"
for step in $(pgrep -f '^slurmstepd: \['); do
  number=$(tr '\0' ' ' < "/proc/$step/cmdline" | sed -E 's/.*\[([0-9]+)\..*/\1/')
  case $jobs in *" $number "*) kill_tree "$step" ;; esac
done
scontrol update nodename="$node" state=down reason=lost

wait "$snakemake" || fail "the run failed"
snakemake=
echo "the demo took $SECONDS s in Slurm"
scontrol show job > jobs.txt
python "$here/check_jobs.py" jobs.txt "$job" "$node" || fail "the jobs were not as they should be"
grep 'going on after epoch' "$log" || fail "the training began again instead of going on: $log"
grep -E '([0-9]+) of \1 plates copied' "$log" || fail "the training has not copied its plates to the disk of its node"
[ -z "$(find "$work"/disk-* -name '*.h5' -not -path "*/disk-$node/*")" ] || fail "copies of plates are left on a node"
python "$here/equal_tables.py" "$results" results/demo

# The lost node is back, and both train one model.
slurmd -N "$node"
scontrol update nodename="$node" state=resume
snakemake --cores 2 --configfile tests/workflow/tiny.yaml -- results/tiny/splits/random.csv > run.log 2>&1 ||
  fail "nothing to train on"
snakemake --profile profiles/two_nodes "${often[@]}" --configfile tests/workflow/tiny.yaml -- train > run.log 2>&1 ||
  fail "the training on two nodes failed"
grep 'processes: 4' logs/tiny/train/$run.log || fail "the training did not run as four processes"
echo "everything took $SECONDS s"
