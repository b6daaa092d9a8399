"""The Prefect server of this project: started, found, guarded and ended from here only."""
