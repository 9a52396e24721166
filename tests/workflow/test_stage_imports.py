"""What a stage imports: its code stands in the table of workflow/rules/code.smk, its packages in its environment."""

import ast
import re
import sys

import pytest
from environments import pins

from cloome.cli import COMMANDS

# Settings reach a stage as values, which Snakemake tracks; the rest cannot change a result.
LEFT_OUT = {
    "cloome",
    "cloome.cli",
    "cloome.config",
    "cloome.config_base",
    "cloome.config_files",
    "cloome.config_screen",
    "cloome.config_training",
    "cloome.data.locks",
    "cloome.data.machine",
    "cloome.data.near",
    "cloome.errors",
}
ENTRY_POINTS = {
    "simulate": ["simulate"],
    "images": ["listing", "images"],
    "molecules": ["molecules", "labelled", "split"],
    "train": ["train", "gpu"],
    "embed": ["embed", "gapnet"],
    "evaluate": ["evaluate"],
    "report": ["report", "scorecard", "methods", "table"],
}


def code_table(root) -> dict[str, list[str]]:
    text = (root / "workflow/rules/code.smk").read_text()
    return ast.literal_eval(re.search(r"^CODE = (\{.*?^\})", text, re.MULTILINE | re.DOTALL)[1])


def module_file(root, module: str):
    path = root.joinpath(*module.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"


def all_imports_of(root, module: str) -> set[str]:
    """Everything that a module imports, by dotted name."""
    found = set()
    for node in ast.walk(ast.parse(module_file(root, module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports_of(root, module: str) -> set[str]:
    """The cloome modules that a module imports."""
    found = all_imports_of(root, module)
    return {name for name in found if name.split(".")[0] == "cloome" and module_file(root, name).is_file()}


def closure(root, modules: list[str], left_out: set[str] = LEFT_OUT) -> set[str]:
    seen, todo = set(), list(modules)
    while todo:
        module = todo.pop()
        if module not in seen and module not in left_out:
            seen.add(module)
            todo += imports_of(root, module)
    return seen


@pytest.mark.parametrize("stage", ENTRY_POINTS)
def test_a_stage_names_what_it_imports(root, stage):
    needed = {module_file(root, m) for m in closure(root, [COMMANDS[command][0] for command in ENTRY_POINTS[stage]])}
    named = set()
    for entry in code_table(root)[stage]:
        path = root / "cloome" / entry
        named |= set(path.glob("*.py")) if path.is_dir() else {path}
    needed = {file for file in needed if file.name != "__init__.py"}
    named = {file for file in named if file.name != "__init__.py"}
    assert named == needed


def test_foundations_import_no_stage_and_stages_no_stage(root):
    stages = {*ENTRY_POINTS, "download"}
    for file in (root / "cloome").rglob("*.py"):
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        folder = module.split(".")[1]
        if folder not in stages and folder not in {"data", "model", "config"}:
            continue
        others = {name.split(".")[1] for name in imports_of(root, module) if "." in name} & stages
        assert others <= {folder}, f"{module} imports the stage {others - {folder}}"


# Import name -> name of the package in envs/, where they differ.
PACKAGES = {"PIL": "pillow", "matplotlib": "matplotlib-base", "cv2": "py-opencv", "sklearn": "scikit-learn"}
PACKAGES |= {"torch": "pytorch", "yaml": "pyyaml"}
# Comes with requests, which is there for it.
WITH_OTHERS = {"urllib3"}
# For encoders of timm, by one's own choice.
OPTIONAL = {"timm", "safetensors"}


@pytest.mark.parametrize("stage", [*ENTRY_POINTS, "download"])
def test_an_environment_holds_what_its_stage_imports(root, stage):
    entries = [COMMANDS[command][0] for command in ENTRY_POINTS.get(stage, [stage])]
    # Not the package itself: it loads `Cloome`, and with it PyTorch, on first use only.
    modules = closure(root, ["cloome.cli", *entries], left_out={"cloome"})
    imported = {name.split(".")[0] for module in modules for name in all_imports_of(root, module)}
    third_party = imported - sys.stdlib_module_names - {"cloome"} - WITH_OTHERS - OPTIONAL
    packages = {pin.package for pin in pins((root / f"envs/{stage}.yaml").read_text())}
    assert {PACKAGES.get(name, name) for name in third_party} <= packages
