"""What changes several records at once: removing, renaming and merging them, and setting their fields.

Each module says what is to be written, as changes; `Collection.write` writes them, all or none.
"""
