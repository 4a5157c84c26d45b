"""The one way in (`pipeline`), what servers say of works, and what reference lists add to those that are in."""
