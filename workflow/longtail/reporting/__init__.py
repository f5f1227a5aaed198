"""Tables and figures: published numbers beside computed ones. Never imports torch."""

import os

# Figures are drawn into files. A notebook exports the name of its own backend to all that is started from it, and where
# that is not installed, matplotlib ends with an error when it is imported.
os.environ["MPLBACKEND"] = "agg"
