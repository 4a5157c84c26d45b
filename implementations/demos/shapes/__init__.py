"""What the demos on the small world have in common: its images, and a network of them."""
