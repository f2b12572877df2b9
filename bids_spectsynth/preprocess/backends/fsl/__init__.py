"""FSL's programs as a backend."""
