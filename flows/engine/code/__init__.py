"""What a function reaches in this project, as a digest: what a remembered result depends on."""

from flows.engine.code.digest import Only, code_digest

__all__ = ["Only", "code_digest"]
