"""Pages and texts made again from the output folder, and the group level of some participants alone."""
