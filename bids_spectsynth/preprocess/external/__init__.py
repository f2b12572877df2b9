"""Brain masks and transforms that were made elsewhere or by hand: read, checked, and used in place of our own."""
