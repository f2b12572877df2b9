"""Whether the prepared images of a case are what their names say: measurements, limits, flags."""
