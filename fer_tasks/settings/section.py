"""A settings file as a frozen, typed section; a mistake is a line that names file, key and fix."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fer_tasks.errors import did_you_mean
from fer_tasks.settings.yaml_file import SettingsError, read


class Section(BaseModel):
    """A section of a settings file: frozen, without unknown keys, strict about types, so that `yes` is not
    a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def load(model: type[Section], path: Path) -> Any:
    """Read and check a YAML file. Raises SettingsError."""
    return check(model, path, read(path))


def check(model: type[Section], path: Path, content: Any) -> Any:
    """The content of a file as `model`. Raises SettingsError with one line per mistake."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(model, path, problem) for problem in error.errors())) from None


def _explain(model: type[Section], path: Path, problem: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    where = f"{path}: {place}" if place else str(path)
    if problem["type"] == "extra_forbidden":
        keys = _keys_at(model, problem["loc"][:-1])
        hint = did_you_mean(str(problem["loc"][-1]), keys, f"known keys: {', '.join(keys)}")
        return f"{where}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{where}: this key is missing"
    message = problem["msg"].removeprefix("Value error, ")  # pydantic's prefix to our own messages
    if problem["input"] is None:
        return f"{where}: it is empty; {message[0].lower()}{message[1:]}"
    given = f" (it is {problem['input']!r})" if isinstance(problem["input"], str | int | float) else ""
    if isinstance(problem["input"], bool):
        given = f" (it is {problem['input']}: YAML takes yes, no, on and off for true and false)"
    elif given and problem["type"] == "string_type":
        given += "; put a name of digits in quotes"
    return f"{where}: {message}{given}"


def _keys_at(model: Any, loc: tuple[str | int, ...]) -> list[str]:
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)), annotation)
    return list(model.model_fields)
