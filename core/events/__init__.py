"""id2prediction: what was predicted, reviewed and published, as a log of immutable events.

`types` defines the events, `fold` computes a sound's current tags from them, `store` keeps them in
SQLite, `sounds` answers a page's queries, `formats` reads and writes interchange files.
"""
