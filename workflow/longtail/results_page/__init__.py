"""One page of all results: tables, figures, charts, and what is known of each value."""
