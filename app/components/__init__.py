"""Components of our own: a folder each, with the html, css and js that the browser gets."""
