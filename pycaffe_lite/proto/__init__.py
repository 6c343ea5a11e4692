"""The generated `caffe_pb2`: compiled from proto/caffe.proto when the package is built, never edited by hand.

It is registered as `pycaffe_lite/proto/caffe.proto`, package `pycaffe_lite`, so that a `caffe_pb2` from elsewhere can
live in the same process.
"""
