"""What intake promises: text with offsets, stable errors, mail read as mail programs read it."""
