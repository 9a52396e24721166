"""A run that is killed and started again ends with the same tables as one that was left alone."""

import random
import time

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", ["images", "train"])
def test_a_killed_run_resumes_to_the_same_tables(clone, finished, tables, stage):
    process = clone.start()
    while process.poll() is None and not list(clone.folder.glob(f"logs/tiny/{stage}/*.log")):
        time.sleep(0.05)
    moment = random.SystemRandom().uniform(0.0, 5.0)
    time.sleep(moment)
    assert clone.kill(process), f"killed {moment:.2f} s into {stage}: the run had ended already"
    clone.run()
    assert tables(finished)
    assert tables(clone) == tables(finished), f"killed {moment:.2f} s into {stage}"
    assert not list(clone.folder.glob("results/**/state/*"))
