#!/usr/bin/env bash
# Start a Slurm of one controller and two nodes on this machine, as root and without systemd.
# usage: start.sh FOLDER         FOLDER/slurm.conf is also linked to /etc/slurm, where jobs look for it.
# Each node claims 8 cores, 64 GB and two GPUs, whatever the machine has; a GPU is a device file without a GPU behind.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
host=$(hostname -s)
export SLURM_CONF=$folder/slurm.conf

if [ -e /etc/slurm/slurm.conf ]; then
  echo "/etc/slurm/slurm.conf is there: this machine has a Slurm of its own" >&2
  exit 1
fi
if ! command -v slurmctld > /dev/null || ! command -v slurmd > /dev/null || ! command -v munged > /dev/null; then
  apt-get update -qq -o Acquire::Retries=3
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends slurm-wlm munge > /dev/null
fi

mkdir -p "$folder"/{state,log,run,munge}
chmod 755 "$folder"
chmod 700 "$folder/munge"
head -c 1024 /dev/urandom > "$folder/munge/key"
chmod 400 "$folder/munge/key"
munged --force --key-file="$folder/munge/key" --socket="$folder/run/munge.sock" --pid-file="$folder/run/munged.pid" \
  --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed"

for node in 1 2; do
  for gpu in 0 1; do mknod "$folder/run/node$node-gpu$gpu" c 1 3; done
  echo "NodeName=node$node Name=gpu File=$folder/run/node$node-gpu[0-1]"
done > "$folder/gres.conf"
printf 'CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n' > "$folder/cgroup.conf"
cat > "$SLURM_CONF" << CONF
ClusterName=ci
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credential has expired.
AuthInfo=socket=$folder/run/munge.sock,cred_expire=8
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/state/slurmd-%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# No cgroups here: memory is looked at every second, and who has too much is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=2
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobs.txt
MinJobAge=3600
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=2
ReturnToService=1
JobRequeue=1
GresTypes=gpu
NodeName=DEFAULT CPUs=8 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002
PartitionName=normal Nodes=node[1-2] Default=YES MaxTime=24:00:00 State=UP
PartitionName=accelerated Nodes=node[1-2] MaxTime=24:00:00 State=UP
CONF

# A job's step drops SLURM_CONF from its environment and looks here.
mkdir -p /etc/slurm
for name in slurm gres cgroup; do ln -s "$folder/$name.conf" "/etc/slurm/$name.conf"; done
slurmctld
for node in node1 node2; do slurmd -N "$node"; done
for _ in $(seq 60); do
  [ "$(sinfo -h -p normal -t idle -o %D)" = 2 ] && break
  sleep 0.5
done
sinfo -N -o '%N %P %T %c %m %G'
[ "$(sinfo -h -p normal -t idle -o %D)" = 2 ]
