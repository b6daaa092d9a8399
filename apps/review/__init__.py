"""The review page: people decide on doubted faces; each decision becomes a row of review/decisions.csv."""
