"""Read and write files: tables, arrays, pictures, datasets, cells."""
