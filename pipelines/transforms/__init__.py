"""What the pipelines are made of."""
