"""Features of images: pixels, histograms of oriented gradients, and the graph of nearest neighbours."""
