"""Beam pipelines from raw video to dataset directories."""
