#!/usr/bin/env bash
# The demo in a real Slurm of two nodes, through profiles/slurm: one job exceeds its memory at first, and one node is
# lost in the middle of a training. The tables must equal those of a local run with the same number of cores.
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
  rm -rf "$work"
}
trap cleanup EXIT
bash "$here/start.sh" "$work/slurm"

mkdir "$work/clone"
cp -r "$root"/{Snakefile,README.md,cloome,config,envs,profiles,tests,workflow} "$work/clone"
cd "$work/clone"
# The profile as shipped but for the lines of the site, and for one rule that gets too little memory at first.
sed -i -e 's/slurm_partition: cpu/slurm_partition: normal/' -e 's/slurm_partition: gpu/slurm_partition: accelerated/' \
  -e "s/max-threads: 8/max-threads: ${CORES:-2}/" -e 's/16000 \* attempt  # of all plates.*/60 * 30 ** (attempt - 1)/' \
  profiles/slurm/profile.yaml
grep -q '60 \* 30' profiles/slurm/profile.yaml

# The plugin looks at its jobs after so many seconds, then ten later each time: most jobs here end within the first.
snakemake --profile profiles/slurm --slurm-init-seconds-before-status-checks 10 --seconds-between-status-checks 1 \
  --configfile config/config.yaml "$@" > run.log 2>&1 &
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
scontrol show job "$job" > job.txt
echo "the demo took $SECONDS s in Slurm"
grep -q 'Restarts=1' job.txt || fail "job $job was not started again"
grep -q "NodeList=$node\$" job.txt && fail "job $job ran on $node again"
grep -E -o 'Restarts=[0-9]+|NodeList=node.' job.txt | tr '\n' ' '
grep 'going on after epoch' "$log" || fail "the training began again instead of going on: $log"
sort "$work/slurm/log/jobs.txt" | grep -o 'JobState=[A-Z_]*' | sort | uniq -c
python "$here/equal_tables.py" "$results" results/demo
