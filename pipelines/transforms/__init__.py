"""Transforms that the pipelines use."""
