"""`monday-fer export`: a model for other runtimes, each run back before it is kept."""
