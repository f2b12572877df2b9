"""Names that are known, so that free text need not be believed."""
