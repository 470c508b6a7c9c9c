"""Which remedy against overfitting helps on a small image dataset, by how much, and how sure is that."""
