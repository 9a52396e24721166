"""A tiny simulated site, written once, and the same site without the planted rule."""

import pytest

from cloome.config import Config
from cloome.simulate.site import write_site


@pytest.fixture(scope="session")
def tiny():
    """Make the configuration of a tiny site; keywords are settings of the section simulate."""

    def make(plates=("90001", "90002"), channels=None, **simulate) -> Config:
        size = {"sites": 1, "height": 64, "width": 72, "dmso_wells": 4}
        screen = {"kind": "archives", "name": "simulated", "plates": list(plates)}
        if channels:
            screen["channels"] = channels
        # The checks of later stages' settings against each other do not concern this stage.
        return Config.model_validate({"stage": "simulate", "simulate": size | simulate, "screen": screen})

    return make


@pytest.fixture(scope="session")
def site(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_site(tiny(), folder)
    return folder


@pytest.fixture(scope="session")
def site_without_rule(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("without_rule")
    write_site(tiny(effect=0.0), folder)
    return folder
