"""A folder for PYTHONPATH: processes that a script starts find `import caffe` here, while it runs."""
