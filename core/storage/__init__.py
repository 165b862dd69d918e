"""The workspace: events, media, models and runs in one folder, which Hopsworks may share.

`opening.open_workspace` opens what the settings name.
"""
