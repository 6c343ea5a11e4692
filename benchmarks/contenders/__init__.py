"""Who runs in compare.py: a module each, whose `Contender` builds a net from prepared files and runs it.

Only `ours` and `prepare` import pycaffe_lite, so that nobody else's memory and time have it in them.
"""
