"""Who trains, who validates, who is tested."""
