"""Detect writing on faces: a module for each engine; all give the same columns."""
