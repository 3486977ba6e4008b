"""What would be lost if histories leaked their future, or numbers were wrong without a word."""
