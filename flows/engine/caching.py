"""When a cached task result may be reused."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from prefect.cache_policies import INPUTS, CachePolicy
from prefect.context import TaskRunContext

from flows.engine.code import Only, code_digest


def same_inputs_and_code(
    but: Sequence[str] = (), only: Callable[[Mapping[str, Any]], Only] = lambda inputs: {}
) -> CachePolicy:
    """Reuse a result only for equal arguments and the same code, as far as the task reaches it.

    Arguments must identify the content (ids, pixel hashes), not only its path. Arguments named in `but` do
    not count: others identify their content, and they would take long to hash. `only`: arguments -> the
    registry entries that count, as for `code_digest`.
    """

    def code(context: TaskRunContext, inputs: dict[str, Any]) -> str:
        return code_digest(context.task, only=only(inputs))

    return reduce(lambda policy, name: policy - name, but, INPUTS) + CachePolicy.from_cache_key_fn(code)
