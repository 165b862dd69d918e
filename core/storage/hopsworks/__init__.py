"""A workspace shared over Hopsworks: a folder of its project, and its model registry."""
