"""What tests and benchmarks share: a copy of the project, the review page in a browser, loopback services."""
