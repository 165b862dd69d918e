"""The loop from corrections to a better model: a challenger, its comparison with the champion."""
