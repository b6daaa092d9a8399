"""The seven expressions, their order and the other names that data sets give them."""

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")

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
    """The expression that a folder or a CSV calls `name`, without regard to case; None if nobody knows it."""
    return _EXPRESSION_OF.get(name.strip().lower())
