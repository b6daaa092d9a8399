"""Shared by tests and benchmarks: a copy of the project, the review page in a browser, loopback services."""
