"""The HTML pages and their figures."""
