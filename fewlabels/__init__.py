"""Choose, spread and use few labels: the methods, on arrays, without the pipeline."""
