"""Tables and figures: published numbers beside reproduced ones. Never imports torch."""
