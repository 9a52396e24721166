"""Reading configuration files, and what is generated from the models: schema, reference page, stage settings."""

import difflib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from cloome.config import Config
from cloome.data.files import replacing
from cloome.errors import ConfigError

SCHEMA_FILE, PAGE_FILE = "config/schema.json", "docs/configuration.md"

# What each stage depends on. A screen's plate list is left out: adding a plate must not redo the others.
_SECTIONS = {
    "simulate": ["screen", "simulate"],
    "images": ["images", "simulate"],
    "molecules": ["screen", "quality", "molecules"],
    "split": [],
    "labelled": ["screen"],
    "train": ["images", "molecules", "model", "train"],
    "embed": ["embed"],
    "evaluate": ["evaluate"],
    "report": [
        "name",
        "screen",
        "simulate",
        "images",
        "quality",
        "molecules",
        "runs",
        "model",
        "train",
        "embed",
        "evaluate",
    ],
}
# Of the screen, the pixels of a plate depend on its channels and on the roles of its wells.
_NOT_FOR_PIXELS = ["sources", "compounds", "mechanisms", "labels", "concentration_column", "batch_column"]


def load_config(paths: list[str]) -> Config:
    """Read one configuration; of several files, later ones override single keys of earlier ones.

    Raises
    ------
    ConfigError
        With one plain line per problem: the key, what was found, what to write.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merged = _merge(merged, _read_yaml(path))
    return check_config(merged, " + ".join(map(str, paths)))


def check_config(values: dict[str, Any], source: str = "the configuration") -> Config:
    """Make a Config of plain values; raises ConfigError as `load_config` does."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [_plain(problem, values) for problem in error.errors()]
        raise ConfigError("\n  ".join([f"{source} cannot be used:", *lines])) from None


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no settings; start from config/own_screen.yaml")
    return values


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merge(base[key], value) for key, value in over.items() if _are_dicts(base.get(key), value)}
    return {**base, **over, **both}


def _are_dicts(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def _plain(problem: dict[str, Any], values: dict[str, Any]) -> str:
    """One validation error of Pydantic as a line for people."""
    key = _locate(problem["loc"], values)
    found = problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; {_hint(problem['loc'])}"
        case "missing":
            return f"{key}: missing; it has no default, so write it"
        case "value_error":
            return str(problem["ctx"]["error"])
        case "string_pattern_mismatch" if key == "model.encoder":
            return f"{key}: found {found!r}; write resnet14, resnet26, resnet50, resnet101, resnet152 or timm:NAME"
        case "string_pattern_mismatch":
            return f"{key}: found {found!r}; write letters, digits and _ only"
        case "union_tag_not_found":
            return f"{key}.kind: missing; write kind: {_kinds(problem)}"
        case "union_tag_invalid":
            return f"{key}.kind: found {found.get('kind')!r}; write one of {_kinds(problem)}"
        case "float_type" if isinstance(found, str) and _is_number(found):
            return (
                f"{key}: found the text {found!r}; YAML takes numbers like {float(found):.1e} only with a point in them"
            )
    return f"{key}: found {found!r}; {_lower(problem['msg'])}"


def _locate(location: tuple, values: Any) -> str:
    """The dotted key of an error, without Pydantic's names of union members."""
    parts = []
    for part in location:
        here = values if isinstance(values, dict | list) else {}
        known = isinstance(part, int) or part in here or part == location[-1]
        if not known:
            continue
        parts.append(str(part))
        values = here[part] if (isinstance(part, int) or part in here) else None
    return ".".join(parts)


def _hint(location: tuple) -> str:
    *section, wrong = location
    known = _fields_at(tuple(section))
    close = difflib.get_close_matches(str(wrong), known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def _fields_at(location: tuple) -> list[str]:
    """Names of the settings that a section knows."""
    models: list[type[BaseModel]] = [Config]
    for part in location:
        inside = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [model for annotation in inside for model in _models_in(annotation)] or models
        tagged = [m for m in models if part in get_args(getattr(m.model_fields.get("kind"), "annotation", None))]
        models = tagged or models
    return sorted({name for model in models for name in model.model_fields if name != "stage"})


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        if not isinstance(inner, str):
            yield from _models_in(inner)


def _kinds(problem: dict[str, Any]) -> str:
    tags = problem["ctx"].get("expected_tags")
    known = "archives, load_data or npz (screen), random, scaffold, replicate ... (split)"
    return tags.replace("'", "") if tags else known


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def stage_settings(config: Config, stage: str, split: str | None = None) -> dict[str, Any]:
    """The settings that a stage depends on, as a configuration of their own.

    Parameters
    ----------
    config : Config
        The whole configuration.
    stage : str
        A key of ``Config.stage``.
    split : str, optional
        For the stage ``split``: the one split that is made.
    """
    values = config.model_dump(include=set(_SECTIONS[stage]))
    screen = config.screen.model_dump()
    if "plates" in screen and stage not in ("simulate", "report"):
        screen["plates"] = []
    if "screen" not in _SECTIONS[stage]:
        screen = {key: value for key, value in screen.items() if key not in _NOT_FOR_PIXELS}
    if stage == "split":
        values["runs"] = {"splits": {split: config.runs.splits[split].model_dump()}}
    return {"stage": stage, **values, "screen": screen}


def settings_text(config: Config, stage: str, split: str | None = None) -> str:
    """`stage_settings` as YAML."""
    return yaml.safe_dump(stage_settings(config, stage, split), sort_keys=False, allow_unicode=True)


def running_text(config: Config) -> str:
    """How training runs on this machine, as YAML to be laid over a stage's settings."""
    return yaml.safe_dump({"running": config.running.model_dump()})


def store_id(config: Config) -> str:
    """Eight characters that name the image settings; equal for configurations whose plates have the same bytes."""
    return _digest(stage_settings(config, "images"))


def screen_id(config: Config) -> str:
    """The screen's name; a simulated one adds its settings, so that two simulations never overwrite each other."""
    name = config.screen.name
    return f"{name}-{_digest(stage_settings(config, 'simulate'))}" if config.simulate else name


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def schema_text() -> str:
    """The JSON schema, for editors that complete and check YAML."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


def page_text() -> str:
    """The reference page of all settings, in Markdown."""
    lines = [
        "# Configuration",
        "",
        "Every setting with its default. This page and `config/schema.json` are written from `cloome/config.py` by",
        "`cloome config --write`; edit that file, not this page.",
        "",
    ]
    for title, model in _sections():
        lines += [f"## {title}", "", model.__doc__.strip().splitlines()[0], ""]
        lines += ["| key | default | values | meaning |", "|---|---|---|---|", *_rows(model), ""]
    return "\n".join(lines)


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Each model once, under the key at which it is first met."""
    queue, seen = [("the top level", Config)], set()
    while queue:
        title, model = queue.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield title, model
        for name, field in model.model_fields.items():
            prefix = f"`{name}`" if model is Config else f"{title}, `{name}`"
            for inner in _models_in(field.annotation):
                kind = get_args(inner.model_fields["kind"].annotation)[0] if "kind" in inner.model_fields else None
                queue.append((f"{prefix}, kind {kind}" if kind else prefix, inner))


def _rows(model: type[BaseModel]) -> Iterator[str]:
    definitions = model.model_json_schema().get("properties", {})
    for name, field in model.model_fields.items():
        if name == "stage":
            continue
        default = "required" if field.is_required() else _default(field.default)
        yield f"| `{name}` | {default} | {_values(definitions[name])} | {field.description} |"


def _default(value: Any) -> str:
    if isinstance(value, BaseModel) or (isinstance(value, dict) and value):
        return "see below"
    return f"`{json.dumps(value)}`"


def _values(schema: dict[str, Any]) -> str:
    """Type and limits of a setting in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_values(option) for option in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema or "oneOf" in schema:
        return "section"
    kind = {"object": "sections by name", "array": "list", "string": "text", "null": "null"}.get(schema["type"])
    if schema["type"] == "array" and "items" in schema:
        kind = f"list of {_values(schema['items'])}"
    limits = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    words = [f"{word} {schema[key]:g}" for key, word in limits.items() if key in schema]
    return " ".join([kind or schema["type"], *words])


def generated_files() -> dict[str, str]:
    """Path and text of every file that is generated from the models."""
    return {SCHEMA_FILE: schema_text(), PAGE_FILE: page_text()}


def write_generated(root: str | Path = ".") -> None:
    """Write the generated files below `root`."""
    for name, text in generated_files().items():
        with replacing(Path(root) / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
