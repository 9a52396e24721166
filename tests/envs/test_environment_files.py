"""The files of `envs/`: exact versions, those of the lock, under names that somebody looked up."""

import csv

import pytest
from environments import HERE, NotSolvable, build, names, pins, without
from packaging.markers import Marker
from packaging.utils import canonicalize_name

# The interpreter of all environments; constraints.txt serves newer ones too.
PYTHON = "3.11"
# What the lock does not hold: it is there to install other packages.
TOOLS = {"python": PYTHON, "pip": "25.0.1"}


def files(root) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted((root / "envs").glob("*.yaml"))}


def lock(root) -> dict[str, str]:
    """Versions of constraints.txt for the interpreter of the environments, on Linux."""
    machine = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "sys_platform": "linux"}
    versions = {}
    for line in (root / "constraints.txt").read_text().splitlines():
        requirement, _, marker = line.partition(" ; ")
        if not marker or Marker(marker).evaluate(machine):
            name, version = requirement.split("==")
            versions[canonicalize_name(name)] = version
    return versions


def test_each_stage_has_its_file_and_a_gpu_stage_a_second_one(root):
    stages = {"simulate", "download", "images", "molecules", "train", "embed", "evaluate", "report"}
    assert set(files(root)) == {f"{stage}.yaml" for stage in stages} | {"train.gpu.yaml", "embed.gpu.yaml"}


def test_every_version_is_exact_and_that_of_the_lock(root):
    locked = lock(root)
    # Its wheels carry the number of their build as a fourth part.
    locked["opencv-python-headless"] = locked["opencv-python-headless"].rpartition(".")[0]
    for file, text in files(root).items():
        for pin in pins(text):
            expected = TOOLS[pin.package] if pin.package in TOOLS else locked[canonicalize_name(pin.pypi)]
            assert pin.version == expected, f"{file}: {pin.package}"


def test_a_name_that_conda_forge_is_not_known_to_have_comes_from_pypi(root):
    with open(HERE / "names.csv", newline="") as table:
        unknown = {row["conda"] for row in csv.DictReader(table) if row["on_conda_forge"] != "yes"}
    for file, text in files(root).items():
        from_conda_forge = {line.partition("=")[0].strip("- ") for line in text.splitlines() if "==" not in line}
        assert not from_conda_forge & unknown, file


def test_the_table_of_names_holds_no_name_that_no_file_uses(root):
    assert set(names()) == {pin.package for text in files(root).values() for pin in pins(text)}


@pytest.mark.parametrize("stage", ["train", "embed"])
def test_the_gpu_file_of_a_stage_differs_in_the_build_of_pytorch_alone(root, stage):
    either, gpu = files(root)[f"{stage}.yaml"], files(root)[f"{stage}.gpu.yaml"]
    reason, _, content = gpu.partition("\n")
    assert reason.startswith("#")
    assert content == either.replace("pytorch=", "pytorch-gpu=")


HEAD = "channels: [conda-forge, nodefaults]\ndependencies:\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD + "  - tqdm\n", "tqdm has no version"),
        (HEAD + "  - openslide=4.0.0\n", "openslide is not in envs/names.csv"),
        (HEAD + "  - tqdm=1.0\n", "tqdm is pinned to 1.0, but"),
        (HEAD.replace("nodefaults", "defaults") + "  - tqdm=1.0\n", "channels are"),
    ],
)
def test_the_stand_in_for_conda_refuses_what_it_cannot_vouch_for(tmp_path, text, reason):
    with pytest.raises(NotSolvable, match=reason):
        build(text, tmp_path / "environment")
    assert not (tmp_path / "environment").exists()


def test_a_package_is_taken_out_of_either_part_of_a_file(root):
    text = files(root)["evaluate.yaml"]
    before = {pin.package for pin in pins(text)}
    for package in ("copairs", "h5py"):
        assert {pin.package for pin in pins(without(package, text))} == before - {package}
