"""Plain functions on arrays and tables; `flows/` makes Prefect tasks of them."""
