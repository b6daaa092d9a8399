"""What is computed of a model's predictions: scores, intervals, ensembles, heat maps, latency."""
