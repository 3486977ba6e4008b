"""What the room of words promises: offsets, honest doubt, and clear words about bad files."""
