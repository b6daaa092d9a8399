"""Sources of pictures: one module per kind."""
