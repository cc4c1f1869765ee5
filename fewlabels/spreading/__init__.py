"""How to spread few labels: over clusters, over a graph of neighbours, and to copies of an image."""
