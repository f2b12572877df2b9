"""Group level of SISCOM: concordance of baselines, localisation, and the reader study."""
