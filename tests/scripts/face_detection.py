"""Faces with MTCNN: proposals on an image pyramid, refined by a second net, decided and given landmarks by a third.

face_detection.py MODEL_FOLDER IMAGE...         prints one line for each face: file, box, landmarks, score
"""

import os
import sys

import caffe
import numpy as np

MIN_SIZE, FACTOR, THRESHOLDS = 20, 0.709, (0.6, 0.7, 0.7)


def nms(boxes, threshold, method="Union"):
    x1, y1, x2, y2, score = boxes[:, :5].T
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    order = score.argsort()[::-1]
    pick = []
    while order.size:
        i, rest = order[0], order[1:]
        pick.append(i)
        w = np.maximum(0.0, np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest]) + 1)
        h = np.maximum(0.0, np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest]) + 1)
        inter = w * h
        whole = np.minimum(area[i], area[rest]) if method == "Min" else area[i] + area[rest] - inter
        order = rest[inter / whole <= threshold]
    return boxes[pick]


def calibrate(boxes, reg):
    size = np.tile(boxes[:, 2:4] - boxes[:, 0:2] + 1, 2)
    return np.hstack([boxes[:, :4] + reg * size, boxes[:, 4:]])


def to_square(boxes):
    center = (boxes[:, 0:2] + boxes[:, 2:4]) / 2
    side = (boxes[:, 2:4] - boxes[:, 0:2]).max(axis=1, keepdims=True)
    return np.hstack([center - side / 2, center + side / 2, boxes[:, 4:5]])


def crops(img, boxes, size):
    """What lies under the boxes, black outside of the image; x before y, as the nets were trained in Matlab."""
    out = np.zeros((len(boxes), 3, size, size), np.float32)
    for i, (x1, y1, x2, y2) in enumerate(boxes[:, :4].astype(int)):
        patch = np.zeros((y2 - y1 + 1, x2 - x1 + 1, 3), np.float32)
        top, left = max(0, -y1), max(0, -x1)
        inside = img[max(0, y1) : y2 + 1, max(0, x1) : x2 + 1]
        patch[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        out[i] = caffe.io.resize_image(patch, (size, size)).transpose(2, 1, 0)
    return (out * 255 - 127.5) * 0.0078125


def propose(net, img):
    h, w, _ = img.shape
    total, scale = [], 12.0 / MIN_SIZE
    while min(h, w) * scale >= 12:
        hs, ws = int(np.ceil(h * scale)), int(np.ceil(w * scale))
        scaled = (caffe.io.resize_image(img, (hs, ws)) * 255 - 127.5) * 0.0078125
        net.blobs["data"].reshape(1, 3, ws, hs)
        net.blobs["data"].data[...] = scaled.transpose(2, 1, 0)[np.newaxis]
        out = net.forward()
        prob, reg = out["prob1"][0, 1], out["conv4-2"][0]
        found = np.argwhere(prob >= THRESHOLDS[0])  # x, y
        if len(found):
            boxes = np.hstack([(2 * found + 1) / scale, (2 * found + 12) / scale, prob[tuple(found.T)][:, np.newaxis]])
            total.append(nms(np.hstack([boxes, reg[:, found[:, 0], found[:, 1]].T]), 0.5))
        scale *= FACTOR
    boxes = nms(np.vstack(total), 0.7)
    return to_square(calibrate(boxes[:, :5], boxes[:, 5:]))


def decide(net, img, boxes, size, threshold):
    net.blobs["data"].reshape(len(boxes), 3, size, size)
    out = net.forward(data=crops(img, boxes, size))
    good = out["prob1"][:, 1] > threshold
    boxes = np.hstack([boxes[good, :4], out["prob1"][good, 1:]])
    return boxes, {name: values[good] for name, values in out.items()}


caffe.set_mode_cpu()
pnet, rnet, onet = (
    caffe.Net(
        os.path.join(sys.argv[1], stage + ".prototxt"), os.path.join(sys.argv[1], stage + ".caffemodel"), caffe.TEST
    )
    for stage in ("det1", "det2", "det3")
)
for name in sys.argv[2:]:
    img = caffe.io.load_image(name)
    boxes = propose(pnet, img)
    proposed = len(boxes)
    boxes, out = decide(rnet, img, boxes, 24, THRESHOLDS[1])
    boxes = to_square(nms(calibrate(boxes, out["conv5-2"]), 0.7))
    refined = len(boxes)
    boxes, out = decide(onet, img, boxes, 48, THRESHOLDS[2])
    size = boxes[:, np.newaxis, 2:4] - boxes[:, np.newaxis, 0:2] + 1
    points = boxes[:, np.newaxis, :2] + size * out["conv6-3"].reshape(-1, 2, 5).transpose(0, 2, 1)
    faces = nms(np.hstack([calibrate(boxes, out["conv6-2"]), points.reshape(-1, 10)]), 0.7, "Min")
    print("%s: %d proposed, %d refined, %d faces" % (os.path.basename(name), proposed, refined, len(faces)))
    for face in faces[faces[:, 0].argsort()]:
        box, landmarks = (" ".join("%.0f" % v for v in part) for part in (face[:4], face[5:]))
        print("%s box %s landmarks %s score %.3f" % (os.path.basename(name), box, landmarks, face[4]))
