"""Evaluate models: scores, intervals, ensembles, heat maps, latency."""
