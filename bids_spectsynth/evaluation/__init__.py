"""How close a synthetic SPECT comes to the real one: metrics, baselines' scores, tests, figures."""
