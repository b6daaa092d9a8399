"""How any stage runs: its start and end, tasks over items, processes, caches, progress."""
