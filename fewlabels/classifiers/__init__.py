"""Classifiers that need no network: logistic regression and kernel ridge regression."""
