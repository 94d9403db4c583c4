"""Files as the original systems write them, and what those systems would draw from them: to test importers with."""
