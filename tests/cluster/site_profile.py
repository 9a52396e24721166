"""Print a Slurm profile for the nodes of start.sh: its lines of the site, and too little memory for one rule at first.

usage: site_profile.py PROFILE CORES
"""

import sys
from pathlib import Path

import yaml

TOO_LITTLE = "molecules"  # rule


def main(profile: str, cores: str) -> None:
    content = yaml.safe_load(Path(profile).read_text(encoding="utf-8"))
    content["default-resources"]["slurm_partition"] = "normal"
    content["max-threads"] = int(cores)
    for resources in content["set-resources"].values():
        if resources.get("slurm_partition") == "gpu":
            resources["slurm_partition"] = "accelerated"
    content["set-resources"][TOO_LITTLE]["mem_mb"] = "60 * 30 ** (attempt - 1)"
    print(yaml.safe_dump(content, sort_keys=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
