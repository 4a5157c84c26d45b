"""The graph of a collection: its edges, the order in which to read it, and where each paper stands when it is drawn."""
