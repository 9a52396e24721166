"""Print a Slurm profile for the nodes of start.sh, with their lines of the site.

usage: site_profile.py PROFILE CORES DISK too_little_memory|two_nodes

Training copies the plates to DISK. too_little_memory: for one rule, at the first attempt. two_nodes: each model is
trained by two processes on each of both, with the lines of docs/running.md in the numbers of these nodes.
"""

import re
import sys
from pathlib import Path

import yaml

TOO_LITTLE = "molecules"  # rule
RUNNING = Path(__file__).resolve().parents[2] / "docs" / "running.md"


def two_nodes() -> dict:
    """The lines for several nodes: there four GPUs of each, here two."""
    (lines,) = re.findall(r"```yaml\n( +nodes: 2\n.*?)```", RUNNING.read_text(encoding="utf-8"), re.DOTALL)
    resources = yaml.safe_load(lines.replace("--nproc-per-node 4", "--nproc-per-node 2"))
    return resources | {"gpu": 4, "tasks_per_node": 2, "cpus_per_task": 2, "mem_mb": 8000}


def main(profile: str, cores: str, disk: str, change: str) -> None:
    content = yaml.safe_load(Path(profile).read_text(encoding="utf-8"))
    content["default-resources"]["slurm_partition"] = "normal"
    content["max-threads"] = int(cores)
    for resources in content["set-resources"].values():
        if resources.get("slurm_partition") == "gpu":
            resources["slurm_partition"] = "accelerated"
    content["set-resources"]["train_run"]["local_disk"] = disk
    if change == "two_nodes":
        content["set-resources"]["train_run"] |= two_nodes()
    else:
        content["set-resources"][TOO_LITTLE]["mem_mb"] = "60 * 30 ** (attempt - 1)"
    print(yaml.safe_dump(content, sort_keys=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
