"""Writes the networks that compare.py runs, one prototxt each, after the papers that describe them.

python benchmarks/nets/write.py

In TRAIN a net has data and labels of a training batch, and a loss; in TEST one item, and what it predicts.
"""

from __future__ import annotations

from pathlib import Path

from builder import AVE, MAX, TRAIN, Builder

IMAGENET = (3, 224, 224)


def and_gate() -> Builder:
    """Two inputs, two hidden units, one output; it would learn AND."""
    net = Builder("and_gate", 4, 2, label=(1,))
    for layer, outputs in (("1", 2), ("2", 1)):
        net.ip(f"ip{layer}", outputs)
        net.layer(f"sigmoid{layer}", "Sigmoid", [net.last], [f"sigmoid{layer}"])
    net.layer("loss", "EuclideanLoss", [net.last, "label"], ["loss"], include=TRAIN)
    return net


def lenet() -> Builder:
    """As Caffe's example has it, after LeCun et al. 1998."""
    net = Builder("lenet", 64, 1, 28, 28)
    net.conv("conv1", 20, 5)
    net.pool("pool1", MAX, 2, 2)
    net.conv("conv2", 50, 5)
    net.pool("pool2", MAX, 2, 2)
    net.ip("ip1", 500)
    net.relu("ip1")
    net.ip("ip2", 10)
    return net.classify()


def cifar10_quick() -> Builder:
    """As Caffe's example has it, after Krizhevsky's cuda-convnet."""
    net = Builder("cifar10_quick", 100, 3, 32, 32)
    net.conv("conv1", 32, 5, pad=2)
    net.relu(net.pool("pool1", MAX, 3, 2))
    net.conv_relu("conv2", 32, 5, pad=2)
    net.pool("pool2", AVE, 3, 2)
    net.conv_relu("conv3", 64, 5, pad=2)
    net.pool("pool3", AVE, 3, 2)
    net.ip("ip1", 64)
    net.ip("ip2", 10)
    return net.classify()


def resnet20() -> Builder:
    """He et al. 2015 for CIFAR-10, with projections (their option B) where the shape changes."""
    net = Builder("resnet20", 128, 3, 32, 32)
    bottom, channels = net.conv_bn_relu("conv1", 16, 3, pad=1), 16
    for stage, outputs in ((2, 16), (3, 32), (4, 64)):
        for unit in "abc":
            stride = 1 if outputs == channels else 2
            shortcut = bottom
            if stride > 1:
                shortcut = net.conv_bn(f"res{stage}{unit}_branch1", outputs, 1, bottom, stride=stride)
            net.conv_bn_relu(f"res{stage}{unit}_branch2a", outputs, 3, bottom, pad=1, stride=stride)
            branch = net.conv_bn(f"res{stage}{unit}_branch2b", outputs, 3, pad=1)
            bottom, channels = net.add_relu(f"res{stage}{unit}", shortcut, branch), outputs
    net.pool_all("pool")
    net.ip("fc10", 10)
    return net.classify()


def squeezenet() -> Builder:
    """SqueezeNet 1.0, Iandola et al. 2016."""
    net = Builder("squeezenet", 16, 3, 227, 227)
    net.conv_relu("conv1", 96, 7, stride=2)
    net.pool("pool1", MAX, 3, 2)
    for fire, squeeze in zip(range(2, 10), (16, 16, 32, 32, 48, 48, 64, 64), strict=True):
        name = f"fire{fire}"
        narrow = net.conv_relu(f"{name}/squeeze1x1", squeeze, 1)
        one = net.conv_relu(f"{name}/expand1x1", 4 * squeeze, 1, narrow)
        three = net.conv_relu(f"{name}/expand3x3", 4 * squeeze, 3, narrow, pad=1)
        net.concat(f"{name}/concat", one, three)
        if fire in (4, 8):
            net.pool(f"pool{fire}", MAX, 3, 2)
    net.dropout(net.last)
    net.conv_relu("conv10", 1000, 1)
    net.pool_all("pool10")
    return net.classify()


def caffenet() -> Builder:
    """Krizhevsky et al. 2012 with pooling before normalisation, Caffe's reference model."""
    net = Builder("caffenet", 10, 3, 227, 227)
    net.conv_relu("conv1", 96, 11, stride=4)
    net.pool("pool1", MAX, 3, 2)
    net.lrn("norm1")
    net.conv_relu("conv2", 256, 5, pad=2, group=2)
    net.pool("pool2", MAX, 3, 2)
    net.lrn("norm2")
    net.conv_relu("conv3", 384, 3, pad=1)
    net.conv_relu("conv4", 384, 3, pad=1, group=2)
    net.conv_relu("conv5", 256, 3, pad=1, group=2)
    net.pool("pool5", MAX, 3, 2)
    for name in ("fc6", "fc7"):
        net.relu(net.ip(name, 4096))
        net.dropout(name)
    net.ip("fc8", 1000)
    return net.classify()


def googlenet() -> Builder:
    """Szegedy et al. 2014, with its two auxiliary losses in TRAIN."""
    net = Builder("googlenet", 10, *IMAGENET)
    net.conv_relu("conv1/7x7_s2", 64, 7, pad=3, stride=2)
    net.pool("pool1/3x3_s2", MAX, 3, 2)
    net.lrn("pool1/norm1")
    net.conv_relu("conv2/3x3_reduce", 64, 1)
    net.conv_relu("conv2/3x3", 192, 3, pad=1)
    net.lrn("conv2/norm2")
    net.pool("pool2/3x3_s2", MAX, 3, 2)
    _inception(net, "3a", 64, 96, 128, 16, 32, 32)
    _inception(net, "3b", 128, 128, 192, 32, 96, 64)
    net.pool("pool3/3x3_s2", MAX, 3, 2)
    _auxiliary_loss(net, "loss1", _inception(net, "4a", 192, 96, 208, 16, 48, 64))
    _inception(net, "4b", 160, 112, 224, 24, 64, 64)
    _inception(net, "4c", 128, 128, 256, 24, 64, 64)
    _auxiliary_loss(net, "loss2", _inception(net, "4d", 112, 144, 288, 32, 64, 64))
    _inception(net, "4e", 256, 160, 320, 32, 128, 128)
    net.pool("pool4/3x3_s2", MAX, 3, 2)
    _inception(net, "5a", 256, 160, 320, 32, 128, 128)
    _inception(net, "5b", 384, 192, 384, 48, 128, 128)
    net.dropout(net.pool_all("pool5/7x7_s1"), 0.4)
    net.ip("classifier", 1000)
    return net.classify()


def _inception(net: Builder, name: str, one: int, reduce3: int, three: int, reduce5: int, five: int, pool: int) -> str:
    name, bottom = f"inception_{name}", net.last
    branches = [net.conv_relu(f"{name}/1x1", one, 1, bottom)]
    net.conv_relu(f"{name}/3x3_reduce", reduce3, 1, bottom)
    branches.append(net.conv_relu(f"{name}/3x3", three, 3, pad=1))
    net.conv_relu(f"{name}/5x5_reduce", reduce5, 1, bottom)
    branches.append(net.conv_relu(f"{name}/5x5", five, 5, pad=2))
    net.pool(f"{name}/pool", MAX, 3, 1, bottom, pad=1)
    branches.append(net.conv_relu(f"{name}/pool_proj", pool, 1))
    return net.concat(f"{name}/output", *branches)


def _auxiliary_loss(net: Builder, name: str, bottom: str) -> None:
    first = len(net.net.layer)
    net.pool(f"{name}/ave_pool", AVE, 5, 3)
    net.conv_relu(f"{name}/conv", 128, 1)
    net.relu(net.ip(f"{name}/fc", 1024))
    net.dropout(net.last, 0.7)
    scores = net.ip(f"{name}/classifier", 1000)
    net.layer(f"{name}/loss", "SoftmaxWithLoss", [scores, "label"], [f"{name}/loss"], loss_weight=[0.3])
    for layer in net.net.layer[first:]:
        layer.include.add(phase=TRAIN[0]["phase"])
    net.last = bottom


def resnet50() -> Builder:
    """He et al. 2015; where a stage halves the image its first 1x1 convolution does, as in the authors' model."""
    net = Builder("resnet50", 8, *IMAGENET)
    net.conv_bn_relu("conv1", 64, 7, pad=3, stride=2)
    bottom = net.pool("pool1", MAX, 3, 2)
    for stage, units, width in ((2, 3, 64), (3, 4, 128), (4, 6, 256), (5, 3, 512)):
        for unit in range(units):
            name = f"res{stage}{'abcdef'[unit]}"
            stride = 2 if unit == 0 and stage > 2 else 1
            shortcut = bottom
            if unit == 0:
                shortcut = net.conv_bn(f"{name}_branch1", 4 * width, 1, bottom, stride=stride)
            net.conv_bn_relu(f"{name}_branch2a", width, 1, bottom, stride=stride)
            net.conv_bn_relu(f"{name}_branch2b", width, 3, pad=1)
            branch = net.conv_bn(f"{name}_branch2c", 4 * width, 1)
            bottom = net.add_relu(name, shortcut, branch)
    net.pool_all("pool5")
    net.ip("fc1000", 1000)
    return net.classify()


def mobilenet() -> Builder:
    """MobileNet v1, Howard et al. 2017: each 3x3 convolution has a group for every channel."""
    net = Builder("mobilenet", 16, *IMAGENET)
    net.conv_bn_relu("conv1", 32, 3, pad=1, stride=2)
    channels = 32
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for number, (outputs, stride) in enumerate(blocks, 2):
        net.conv_bn_relu(f"conv{number}/dw", channels, 3, pad=1, stride=stride, group=channels)
        net.conv_bn_relu(f"conv{number}/sep", outputs, 1)
        channels = outputs
    net.pool_all("pool")
    net.ip("fc", 1000)
    return net.classify()


def vgg16() -> Builder:
    """Simonyan and Zisserman 2014, configuration D."""
    net = Builder("vgg16", 4, *IMAGENET)
    for stage, (convolutions, outputs) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for number in range(1, convolutions + 1):
            net.conv_relu(f"conv{stage}_{number}", outputs, 3, pad=1)
        net.pool(f"pool{stage}", MAX, 2, 2)
    for name in ("fc6", "fc7"):
        net.relu(net.ip(name, 4096))
        net.dropout(name)
    net.ip("fc8", 1000)
    return net.classify()


NETS = (
    and_gate,
    lenet,
    cifar10_quick,
    resnet20,
    squeezenet,
    caffenet,
    googlenet,
    resnet50,
    mobilenet,
    vgg16,
)


def main() -> None:
    for net in NETS:
        description = " ".join((net.__doc__ or "").split())
        text = f"# {description}\n# Written by write.py.\n{net().text()}"
        (Path(__file__).parent / f"{net.__name__}.prototxt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
