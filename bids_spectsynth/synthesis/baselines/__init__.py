"""Images that need no network, against which every model is held."""
