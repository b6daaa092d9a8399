"""Train one cell of the grid."""
