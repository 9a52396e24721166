#!/usr/bin/env bash
# Stop what start.sh started, by the process ids that it left.
# usage: stop.sh FOLDER
folder=$(cd "$1" && pwd)
SLURM_CONF=$folder/slurm.conf scancel --quiet --state=RUNNING,PENDING --user=root 2> /dev/null
sleep 1
for file in "$folder"/run/slurmd-*.pid "$folder"/run/slurmctld.pid "$folder"/run/munged.pid; do
  [ -s "$file" ] && kill "$(cat "$file")" 2> /dev/null
done
sleep 1
for name in slurm gres cgroup; do
  [ "$(readlink "/etc/slurm/$name.conf")" = "$folder/$name.conf" ] && rm "/etc/slurm/$name.conf"
done
exit 0
