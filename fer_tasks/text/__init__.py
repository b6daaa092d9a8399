"""Is there writing on a face? One module an engine, the same columns out."""
