"""Evidence: what a method's claims measured, over several seeds, kept beside the hash of the code they measured."""
