"""A small experiment file that is valid, to be changed in one place."""

import pytest
import yaml

SMALL = """
title: Small
stimulus:
  family: moving_digits
  all: {height: 8, width: 9}
  train: {frames: 6}
  valid: {frames: 6}
  test: {frames: 9}
networks:
  fernn: {model: fernn, max_speed: 1}
  grnn: {model: fernn, max_speed: 0}
train: {context: 3, horizon: 3}
record:
  test: {context: 3}
  probe: {}
analyse:
  prediction_error: {}
  equivariance_error: {}
"""


@pytest.fixture
def written(tmp_path):
    """Write the small experiment with one place changed: "train.horizon", 0."""

    def write(place=None, value=None):
        content = yaml.safe_load(SMALL)
        if place:
            *path, last = place.split(".")
            block = content
            for part in path:
                block = block[part]
            if value is None:
                del block[last]
            else:
                block[last] = value
        file = tmp_path / "small.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    return write
