"""Brain extraction, registration and resampling by FSL or by what is built in."""
