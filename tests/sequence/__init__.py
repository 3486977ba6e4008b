"""What the sequence room promises: padding leaks nothing, one is as many, saved is as trained."""
