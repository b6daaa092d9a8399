"""A settings file as a frozen, typed section; a mistake is a line that names file, key and mend."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fer_tasks.errors import UserError, did_you_mean


class SettingsError(UserError):
    """A settings file is missing, is no YAML, or holds an unknown key or a value out of range."""


class Section(BaseModel):
    """A section of a settings file: frozen, and it knows no other keys than its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def load(model: type[Section], path: Path) -> Any:
    """Read and check a YAML file. Raises SettingsError."""
    return check(model, path, read(path))


def read(path: Path) -> Any:
    """What a YAML file says. Raises SettingsError."""
    try:
        return yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing; run from the project's root") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None


def check(model: type[Section], path: Path, content: Any) -> Any:
    """What a file says as `model`. Raises SettingsError with a line a mistake."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(model, path, problem) for problem in error.errors())) from None


def _explain(model: type[Section], path: Path, problem: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    where = f"{path}: {place}" if place else str(path)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(model, problem["loc"][:-1])
        hint = did_you_mean(str(problem["loc"][-1]), known, f"known keys: {', '.join(known)}")
        return f"{where}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{where}: this key is missing"
    given = f" (it is {problem['input']!r})" if isinstance(problem["input"], str | int | float | None) else ""
    return f"{where}: {problem['msg']}{given}"


def _keys_at(model: Any, loc: tuple[str | int, ...]) -> list[str]:
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)), annotation)
    return list(model.model_fields)
