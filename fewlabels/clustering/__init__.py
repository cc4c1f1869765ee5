"""k-means for thousands of clusters of many images, and its compiled loops."""
