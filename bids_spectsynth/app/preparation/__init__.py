"""What the preparation of a run consists of beside the workflow: lesion masks."""
