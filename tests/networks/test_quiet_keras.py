"""Importing Keras and TensorFlow leaves the process as it was."""

import gc
import importlib
import os
import sys

import pytest

from fewlabels.networks import quiet_keras


@pytest.mark.parametrize("collects", [True, False])
def test_an_import_leaves_the_collection_of_garbage_as_it_was(collects: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(quiet_keras.tf.config, "list_logical_devices", lambda: seen.append(gc.isenabled()))
    try:
        if not collects:
            gc.disable()
        importlib.reload(quiet_keras)
        assert seen == [False]
        assert gc.isenabled() == collects
    finally:
        gc.enable()


def test_an_import_that_fails_leaves_all_as_it_was_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        os.write(2, b"no driver\n")
        raise OSError("no devices")

    drawn = "matplotlib" in sys.modules
    monkeypatch.setattr(quiet_keras.tf.config, "list_logical_devices", fails)
    with pytest.raises(OSError, match="no devices"):
        importlib.reload(quiet_keras)
    assert gc.isenabled()
    assert ("matplotlib" in sys.modules) == drawn
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "no driver\nafterwards\n"
