"""One cell of the grid: fit a model, in a process of its own."""
