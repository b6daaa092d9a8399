"""Benchmarks: `python -m benchmarks.<name> [folder]`; the last line of the output is one JSON object."""
