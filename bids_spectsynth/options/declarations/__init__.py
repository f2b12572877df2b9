"""The options by what they concern: one dataclass each, whose fields declare them."""
