"""All that is written to disk and read back: tables, arrays, pictures, data sets, cells."""
