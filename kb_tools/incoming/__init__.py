"""The one way in for works (`pipeline`), what servers say of them, and what reference lists add to those that are in."""
