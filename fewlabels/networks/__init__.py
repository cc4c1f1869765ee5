"""Convolutional networks: architectures, training on hard and on soft labels, and ensembles with other classifiers."""
