"""Local doubles of the servers that Earmark talks to, and a demo on them.

`python -m tests.servers` shows the demo's commands. This is a package so that `import hopsworks`
finds the real client.
"""
