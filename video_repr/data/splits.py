"""The splits of a dataset; no group of videos lies in two of them."""

SPLITS = ("train", "validation", "test")
