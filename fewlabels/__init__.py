"""Choosing, spreading and using few labels: the methods, on arrays, without the pipeline."""
