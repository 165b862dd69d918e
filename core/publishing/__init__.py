"""Publishing on Freesound: the form's rules, the bulk description file, the upload and its log."""
