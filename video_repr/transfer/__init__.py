"""Classifiers on encoders, with few labels."""
