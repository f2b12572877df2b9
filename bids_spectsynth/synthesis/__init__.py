"""The pix2pix model: networks, training, model folders and inference."""
