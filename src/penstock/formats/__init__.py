"""Two-way codecs, one vendor's JSON ⇄ our own words, shared by both faces. The folder is the registry."""
