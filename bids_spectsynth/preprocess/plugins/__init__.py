"""How the preparation's steps are executed: worker processes, clusters, Dask."""
