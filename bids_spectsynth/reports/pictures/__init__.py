"""Pictures of the reports."""
