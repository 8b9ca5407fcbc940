"""Where trials are evaluated: threads of this process, or workers of a Dask cluster."""
