"""The group's page."""
