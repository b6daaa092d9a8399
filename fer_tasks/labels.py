"""The words that all stages share: the expressions and their aliases, the splits, two reasons, groups."""

from collections.abc import Iterable

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")  # in the order of classes
# Columns of a manifest: the shares of taggers' votes, "other" for none of the seven or no face at all.
VOTES = [f"votes_{name}" for name in (*EXPRESSIONS, "other")]
SPLITS = ("train", "val", "test")
LEAK = "leak"  # the reason of a copy of a test picture: it always rejects, whatever people decide
REJECTED_BY_PERSON = "rejected_by_person"
GROUP, COPIES = "group_", "group_id"  # what a source's columns of groups begin with; near-copies of a face

_ALIASES = {
    "angry": ("anger", "mad"),
    "disgust": ("disgusted", "disgusting"),
    "fear": ("fearful", "afraid", "scared"),
    "happy": ("happiness", "joy", "smile", "smiling"),
    "neutral": ("neutrality", "calm"),
    "sad": ("sadness", "unhappy"),
    "surprise": ("suprise", "surprised", "suprised", "surprize"),  # the first is telemoji's
}
_EXPRESSION_OF = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}


def expression_of(name: str) -> str | None:
    """The expression that `name`, a folder or a value of a CSV, stands for in any case; None if unknown."""
    return _EXPRESSION_OF.get(name.strip().lower())


def groups_among(columns: Iterable[str]) -> list[str]:
    """The columns, each once, that say which group of people a source puts a face into, as `group_age`."""
    return [name for name in dict.fromkeys(columns) if name.startswith(GROUP) and name != COPIES]
