"""What people do with pictures and models from the command line, with files."""
