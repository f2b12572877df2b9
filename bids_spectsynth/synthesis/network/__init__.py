"""Generator, discriminator, losses, and what the channels hold."""
