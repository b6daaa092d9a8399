"""Pages that people use: each a package, `python -m apps.<name>`."""
