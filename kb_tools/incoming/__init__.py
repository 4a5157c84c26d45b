"""What servers and their reference lists say, as new records, newer fields and new edges."""
