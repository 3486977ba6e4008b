"""Measurements that anyone can run again: one command each, ratios within one run."""
