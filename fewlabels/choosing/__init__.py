"""Which images to label: query strategies, the sizes of their rounds, and an annotator who knows all labels."""
