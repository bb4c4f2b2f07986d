"""Datasets in other transfer syntaxes, without loss: one file in, another one out."""
