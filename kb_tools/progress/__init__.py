"""How far the reading is: counts, and the marks that travel between the records and the site."""
