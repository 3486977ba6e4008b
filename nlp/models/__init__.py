"""The models: one file each, its config and its forward. A kind names its model by file name."""
