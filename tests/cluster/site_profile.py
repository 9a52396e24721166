"""Print a Slurm profile for the nodes of start.sh, with their lines of the site.

usage: site_profile.py PROFILE CORES too_little_memory|two_nodes

too_little_memory: for one rule, at the first attempt. two_nodes: each model is trained by both, through torchrun.
"""

import sys
from pathlib import Path

import yaml

TOO_LITTLE = "molecules"  # rule
TORCHRUN = "torchrun --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-id $SLURM_JOB_ID"
ENDPOINT = "--rdzv-endpoint $(hostname):$((20000 + SLURM_JOB_ID % 10000))"
# A node of start.sh has one GPU, so its tasks are counted as a whole: `tasks`, without as many for each GPU.
TWO_NODES = {"nodes": 2, "gpu": 2, "tasks": 2, "tasks_per_gpu": 0, "mpi": "srun", "mem_mb": 4000}
TWO_NODES["launcher"] = f"srun --nodes 2 --ntasks 2 {TORCHRUN} {ENDPOINT}"


def main(profile: str, cores: str, change: str) -> None:
    content = yaml.safe_load(Path(profile).read_text(encoding="utf-8"))
    content["default-resources"]["slurm_partition"] = "normal"
    content["max-threads"] = int(cores)
    for resources in content["set-resources"].values():
        if resources.get("slurm_partition") == "gpu":
            resources["slurm_partition"] = "accelerated"
    if change == "two_nodes":
        content["set-resources"]["train_run"] |= TWO_NODES
    else:
        content["set-resources"][TOO_LITTLE]["mem_mb"] = "60 * 30 ** (attempt - 1)"
    print(yaml.safe_dump(content, sort_keys=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
