"""When a cached task result may be reused."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from prefect.cache_policies import INPUTS, CachePolicy
from prefect.context import TaskRunContext

from flows.engine.code import Only, code_digest


def same_inputs_and_code(
    but: Sequence[str] = (), only: Callable[[Mapping[str, Any]], Only] = lambda inputs: {}
) -> CachePolicy:
    """Reuse a result only for equal arguments and the same code, as far as the task reaches it.

    Arguments named in `but` do not count: others say their content, and they would take long to hash. `only`:
    of the arguments, as `code_digest` takes it. Arguments must say the content (ids, pixel hashes), not only
    paths.
    """

    def code(context: TaskRunContext, inputs: dict[str, Any]) -> str:
        return code_digest(context.task, only=only(inputs))

    return reduce(lambda policy, name: policy - name, but, INPUTS) + CachePolicy.from_cache_key_fn(code)


def weights_digest(options: Mapping[str, Any]) -> str:
    """The SHA-256 of the file that a model's option `weights` names, in hexadecimal; "" where it names
    none."""
    weights = Path(str(options.get("weights", "")))
    return hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else ""
