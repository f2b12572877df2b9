"""A participant's page."""
