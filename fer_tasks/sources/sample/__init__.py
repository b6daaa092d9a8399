"""The generated sample: portraits that are drawn, and the defects they are given."""
