"""What is computed: plain functions on arrays and tables. They become Prefect tasks only in `flows/`."""
