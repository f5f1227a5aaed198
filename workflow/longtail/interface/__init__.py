"""What Python code and notebooks ask for: tables, embeddings, the training of a cell. All else may change."""
