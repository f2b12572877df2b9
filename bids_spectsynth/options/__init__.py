"""What a run can be told: every option, its checks, the presets and the spaces."""
