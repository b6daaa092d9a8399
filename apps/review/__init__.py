"""The review page: people decide on doubted faces, and each decision becomes a row of a file."""
