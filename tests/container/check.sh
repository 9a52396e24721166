#!/usr/bin/env bash
# Build the Containerfile, and run the smallest experiment in the image as a user who may write to one folder alone.
# The tables must be those of a run outside, which is made unless the folder of such a run is given. Needs root; buildah
# comes from Debian where it is missing.
#   bash tests/container/check.sh [FOLDER]
set -euo pipefail
outside=${1:-}
cd "$(dirname "$0")/../.."
root=$PWD
work=$(mktemp -d)
image=localhost/cloome-check
substitute=localhost/cloome-check-base
base=$(awk '$1 == "FROM" {print $2}' Containerfile)
container=

clean() {
  [ -z "$container" ] || buildah rm "$container" > /dev/null
  buildah rmi "$image" > /dev/null 2>&1 || true
  buildah rmi "$substitute" > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean EXIT

step() { printf '%s (%s s)\n' "$1" "$SECONDS"; }
# What fetches packages is tried once more.
twice() { "$@" || { sleep 10 && "$@"; }; }

tools=()
command -v buildah > /dev/null || tools+=(buildah crun)
command -v debootstrap > /dev/null || tools+=(debootstrap)
if [ ${#tools[@]} -gt 0 ]; then
  apt-get update -qq -o Acquire::Retries=3
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends "${tools[@]}" > /dev/null
fi

if buildah inspect --type image "$base" > /dev/null 2>&1 || timeout 60 buildah pull -q "$base" > /dev/null 2>&1; then
  step "the base image is $base"
else
  step "no registry gives $base: a fresh root of the same Debian stands for it"
  twice debootstrap --variant=minbase bookworm "$work/base" > "$work/debootstrap.log"
  scratch=$(buildah from scratch)
  buildah add -q "$scratch" "$work/base" / > /dev/null
  buildah commit -q "$scratch" "$substitute" > /dev/null
  buildah rm "$scratch" > /dev/null
  base=$substitute
fi

# What pip is told on this machine (mirrors, certificates), the build is told too; folders lie at the same place.
mounts=()
python3 tests/container/pip_settings.py "$work/pip" > "$work/mounts"
while read -r mount; do mounts+=(-v "$mount"); done < "$work/mounts"

step "building"
twice buildah bud --isolation chroot --layers=false -q --from "$base" "${mounts[@]}" -t "$image" . > "$work/build.log" 2>&1 ||
  { tail -40 "$work/build.log"; exit 1; }
container=$(buildah from "$image")

step "every package has the version of the lock"
buildah run --isolation chroot "$container" -- pip list --format=freeze > "$work/packages"
python3 tests/container/compare_lock.py "$work/packages" constraints.txt

step "the smallest experiment, in the image and outside"
mkdir -m 777 "$work/inside"
cp tests/workflow/tiny.yaml "$work/inside/"
run() { "$@" > "$work/run.log" 2>&1 || { tail -60 "$work/run.log"; exit 1; }; }
export OMP_NUM_THREADS=1
if [ -z "$outside" ]; then
  outside=$work/outside
  run snakemake --cores 2 --directory "$outside" --configfile tests/workflow/tiny.yaml
fi
run buildah run --isolation chroot --user 1000:1000 --env OMP_NUM_THREADS=1 -v "$work/inside:/experiment" \
  "$container" -- snakemake --cores 2 --directory /experiment --configfile /experiment/tiny.yaml
(cd "$outside/results/tiny" && find . -path '*/evaluation/*.csv') | sort > "$work/tables"
[ -s "$work/tables" ]
while read -r table; do cmp "$outside/results/tiny/$table" "$work/inside/results/tiny/$table"; done < "$work/tables"
step "$(wc -l < "$work/tables") tables are the same in the image and outside"
