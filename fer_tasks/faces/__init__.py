"""Turn a photo into one aligned face: detect faces, choose one, cut it out, measure it."""
