"""From a sound file to samples, and from samples to what a browser plays and shows.

`decode.decode` reads a file once. libsndfile reads WAV, FLAC, Ogg, MP3, AIFF and the like; FFmpeg
(PyAV) reads the containers that libsndfile does not.
"""
