"""What a worker says that it used, and the energy that NVML tells."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from facefoundry.storage.usage import Usage
from services.trainer.worker.meter import Meter
from services.trainer.worker.nvml import joules_by


def counting(*values: float | None) -> Callable[[], float | None]:
    found = iter(values)
    return lambda: next(found)


def test_a_worker_on_a_gpu_adds_its_own_use_to_that_of_earlier_ones() -> None:
    meter = Meter(True, Usage(10.0, 100.0, 5000.0), joules=counting(70.0, 90.5), cpu=lambda: 2.5)
    meter.add(3.0)
    meter.add(4.0)
    assert meter.usage() == Usage(12.5, 107.0, 5020.5)


@pytest.mark.parametrize("readings", [(None,), (70.0, None)])
def test_energy_that_was_not_told_is_unknown_and_not_guessed(readings: tuple[float | None, ...]) -> None:
    meter = Meter(True, Usage(), joules=counting(*readings), cpu=lambda: 1.0)
    meter.add(3.0)
    assert meter.usage() == Usage(1.0, 3.0, None)


def test_energy_is_unknown_if_that_of_an_earlier_worker_is() -> None:
    meter = Meter(True, Usage(1.0, 50.0, None), joules=counting(70.0, 90.0), cpu=lambda: 1.0)
    assert meter.usage() == Usage(2.0, 50.0, None)


def test_without_a_gpu_there_is_cpu_time_alone() -> None:
    meter = Meter(False, Usage(), joules=counting(), cpu=lambda: 4.25)
    meter.add(3.0)
    assert meter.usage() == Usage(4.25, 0.0, None)
    assert Meter(False, None, cpu=lambda: 4.25).usage() is None, "what earlier workers used is unknown"


class Driver:
    """NVML of a machine."""

    def __init__(self, gpus: int = 1, divided: int = 0, missing: str = "", failing: str = "") -> None:
        self.gpus, self.divided, self.missing, self.failing = gpus, divided, missing, failing
        self.calls: list[str] = []

    def __call__(self, name: str, *arguments: object) -> int:
        if name == self.missing:
            raise AttributeError(name)
        self.calls.append(name)
        if name == self.failing:
            return 3
        for pointer, value in zip(arguments[1:] or arguments, itertools.repeat(self.value_of(name)), strict=False):
            pointer._obj.value = value  # type: ignore[attr-defined]  # what ctypes.byref refers to
        return 0

    def value_of(self, name: str) -> int:
        values = {"nvmlDeviceGetCount_v2": self.gpus, "nvmlDeviceGetMigMode": self.divided}
        return values.get(name, 123_456)


def test_the_energy_of_the_only_gpu_is_read_in_joules() -> None:
    driver = Driver()
    assert joules_by(driver) == pytest.approx(123.456)
    assert driver.calls[0] == "nvmlInit_v2" and driver.calls[-1] == "nvmlShutdown"
    assert joules_by(Driver(failing="nvmlDeviceGetMigMode")) == pytest.approx(123.456), "a GPU without MIG"


@pytest.mark.parametrize(
    "driver",
    [
        Driver(gpus=0),
        Driver(gpus=2),
        Driver(divided=1),
        Driver(failing="nvmlInit_v2"),
        Driver(failing="nvmlDeviceGetTotalEnergyConsumption"),
        Driver(missing="nvmlDeviceGetTotalEnergyConsumption"),
        Driver(missing="nvmlInit_v2"),
    ],
)
def test_what_nobody_can_tell_is_none(driver: Driver) -> None:
    assert joules_by(driver) is None
