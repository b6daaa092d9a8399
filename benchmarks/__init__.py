"""Speed and memory: `python -m benchmarks.<name> [folder]`; the last line printed is one JSON object."""
