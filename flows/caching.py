"""When a cached task result may be reused."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from prefect.cache_policies import INPUTS, TASK_SOURCE, CachePolicy


def same_inputs_and_code(*modules: ModuleType, but: Sequence[str] = ()) -> CachePolicy:
    """Reuse a result only for equal arguments, the same task body and unchanged source of `modules`.

    Arguments named in `but` do not count: others say their content, and they would take long to hash.

    Prefect's INPUTS + TASK_SOURCE alone would miss a changed helper: only the decorated function counts.
    A package counts with all its files. Arguments must say the content (ids, pixel hashes), not only paths.
    """
    digest = code_digest(*modules)
    inputs = reduce(lambda policy, name: policy - name, but, INPUTS)
    return inputs + TASK_SOURCE + CachePolicy.from_cache_key_fn(lambda context, inputs: digest)


def code_digest(*modules: ModuleType) -> str:
    """The SHA-256 of the source of modules and packages, in hexadecimal."""
    source = b"".join(path.read_bytes() for module in modules for path in _files(module))
    return hashlib.sha256(source).hexdigest()


def weights_digest(options: Mapping[str, Any]) -> str:
    """The SHA-256 of the file that a model's option `weights` names, in hexadecimal; "" where it names
    none."""
    weights = Path(str(options.get("weights", "")))
    return hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else ""


def _files(module: ModuleType) -> list[Path]:
    file = Path(str(module.__file__))
    return sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
