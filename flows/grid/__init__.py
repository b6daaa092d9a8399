"""What `train` and `report` do with the cells of a grid: fit, predict, combine, explain, list."""
