"""How work is started: `python -m jobs ...` on this machine, and Modal (modules modal_*)."""
