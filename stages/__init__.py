"""The stages of dvc.yaml, one module each: read parameters and inputs, call `fewlabels`, write outputs."""
