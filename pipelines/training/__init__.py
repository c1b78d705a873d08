"""The training pipeline's components, and how it is run on one machine."""
