"""Maps made here, decoded; and the published weights on public-domain pictures."""

from __future__ import annotations

import numpy as np
from tests.parity import photos

from countenance.vision import zoo
from countenance.vision.centernet import CELL, MOST, SIDE, CenterNet, decode, distinct
from countenance.vision.images import decode as opened

CELLS = SIDE // CELL


def test_a_peak_becomes_a_box_around_its_cell() -> None:
    edges = np.zeros((4, CELLS, CELLS), np.float32)
    peaks = np.zeros((80, CELLS, CELLS), np.float32)
    peaks[17, 32, 64] = 0.9
    peaks[17, 32, 65] = 0.8  # its neighbour is no peak
    edges[:, 32, 64] = 16, 32, 48, 64
    boxes, scores, kinds = decode(edges, peaks)
    assert len(boxes) == 1
    assert scores[0] == np.float32(0.9)
    assert kinds[0] == 17
    assert (boxes[0] * SIDE).tolist() == [256 - 16, 128 - 32, 256 + 48, 128 + 64]
    peaks[:, ::3, ::3] = 0.2
    assert len(decode(edges, peaks)[0]) == MOST


def test_of_two_boxes_of_one_thing_the_likelier_is_kept() -> None:
    boxes = np.array(
        [[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [20, 20, 30, 30], [5, 5, 5, 9]], np.float32
    )
    scores = np.array([0.5, 0.9, 0.4, 0.3, 0.8], np.float32)
    kinds = np.array([1, 1, 2, 1, 1])
    assert distinct(boxes, scores, kinds).tolist() == [1, 2, 3]


def test_a_person_is_found_where_she_is() -> None:
    finder = CenterNet(zoo.card("centernet-mobilenetv3"), 1)
    person, *_ = (each for each in finder.find(opened(photos.grace())) if each.kind == "person")
    assert person.score > 0.5
    assert person.box.width > 0.6
    assert person.box.height > 0.7
