"""Talking to freesound.org: the API client and the request budget of a credential."""
