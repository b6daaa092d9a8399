"""What a function reaches in this project, as a digest: what a remembered result depends on."""

from flows.code.digest import code_digest

__all__ = ["code_digest"]
