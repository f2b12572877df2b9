"""A model that has learned from simulated heads alone, for training on few patients to start from."""
