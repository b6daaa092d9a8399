"""The review page: people judge the faces that machines doubt, and each word becomes a row of a file."""
