"""Curation: what people do with many sounds, or again with one.

`query_params` spells a choice of sounds as URL parameters, `bulk` changes all its sounds in one
act, `export` writes them to files, `saved_views` keeps choices by name. `history` lists and reverts
what happened to a sound. `second_opinion` and `agreement` compare what two people say of a sound,
and `your_work` counts what one person did. `similar` finds sounds that are alike, `tag_search`
finds tags.
"""
