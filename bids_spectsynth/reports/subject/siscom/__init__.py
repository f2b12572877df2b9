"""What a subject's report says of the SISCOMs."""
