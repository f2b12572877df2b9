"""Which images of a dataset are used, and why."""
