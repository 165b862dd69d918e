"""From a source of sounds to a workspace: analyse what is new, keep it, record the run."""
