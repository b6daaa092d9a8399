"""What `train` and `report` do with the cells of a grid: fit, ask, weigh, look into, list."""
