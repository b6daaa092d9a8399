"""Kaggle data sets: the API, the user's key, the download, the archive."""
