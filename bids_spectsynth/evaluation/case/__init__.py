"""One synthetic image against the real one."""
