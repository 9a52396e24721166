#!/usr/bin/env bash
# The real screen bbbc021 through every stage, then the limits that its results must keep.
# usage: real_screen.sh FOLDER_WITH_REAL_DATA [all]     all: hold out each of the three replicates, not only the first
set -euo pipefail
data=$(cd "$1" && pwd)
configs=(config/bbbc021.yaml)
if [ "${2:-}" = all ]; then configs+=(config/bbbc021_all.yaml); fi
mkdir -p resources
ln -sfn "$data/bbbc021" resources/bbbc021
snakemake --cores "${CORES:-2}" --quiet --configfile "${configs[@]}"
python tests/workflow/check_real_screen.py results/bbbc021
