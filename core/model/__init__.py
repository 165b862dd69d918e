"""From samples to tags: front-end, networks, bundles and the predictor that joins them.

`predictor.Predictor.from_folder` loads a bundle; `Predictor.predict` gives a recording's tags.
"""
