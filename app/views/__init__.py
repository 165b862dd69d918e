"""Parts of which the pages are composed."""
