"""Read and write what is on disk: tables, arrays, pictures, datasets, cells."""
