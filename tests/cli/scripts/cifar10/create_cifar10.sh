#!/usr/bin/env sh
# Makes the databases of CIFAR-10 and the mean of its training images.
set -e

EXAMPLE=examples/cifar10
DATA=data/cifar10
DBTYPE="${DBTYPE:-lmdb}"

rm -rf $EXAMPLE/cifar10_train_$DBTYPE $EXAMPLE/cifar10_test_$DBTYPE
./build/examples/cifar10/convert_cifar_data.bin $DATA $EXAMPLE $DBTYPE

./build/tools/compute_image_mean -backend=$DBTYPE \
  $EXAMPLE/cifar10_train_$DBTYPE $EXAMPLE/mean.binaryproto
