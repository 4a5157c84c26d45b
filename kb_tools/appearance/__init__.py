"""How things look, for those who judge it and those who show it: colours, and mathematics in plain sentences."""
