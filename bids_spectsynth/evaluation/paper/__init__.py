"""The article's tables and examples, made of the group's."""
