"""What a difference map would show without a seizure: noise, registration, resolution, the cohort's errors."""
