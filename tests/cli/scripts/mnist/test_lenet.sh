#!/usr/bin/env sh
set -e

./build/tools/caffe.bin test -model examples/mnist/lenet_train_test.prototxt \
  -weights "$1" -iterations 10 -gpu 0 2>&1 | tee examples/mnist/test.log
