"""The training pipeline's components, and its runner for one machine."""
