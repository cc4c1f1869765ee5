"""What is seen of an image: its pixels, histograms of oriented gradients, and which images are most alike."""
