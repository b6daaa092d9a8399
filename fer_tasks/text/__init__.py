"""Detect writing on faces: one module per engine, the same columns."""
