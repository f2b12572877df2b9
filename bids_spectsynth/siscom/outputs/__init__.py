"""Files of a SISCOM: names, sidecars, tables and their dictionaries."""
