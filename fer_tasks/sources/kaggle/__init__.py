"""Data sets of Kaggle: its API, the user's key, the download, the archive."""
