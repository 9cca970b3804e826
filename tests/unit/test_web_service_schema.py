from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from helvetia.containers.model import ServiceChange, ServiceDefinition, Volume
from helvetia.web.api.schemas.services import ScaleRequest, ServiceChangeRequest, ServiceRequest

GOOD: dict[str, Any] = {"name": "web", "image": "nginx:1.29", "memoryMb": 256, "cpuCores": "0.25"}
BAD: tuple[dict[str, Any], ...] = (
    {"name": ""},
    {"name": "-web"},
    {"name": "web-"},
    {"name": "Web"},
    {"name": "web\n"},
    {"name": "we b"},
    {"name": "w" * 64},
    {"name": "wéb"},
    {"name": 7},
    {"name": None},
    {"name": ["web"]},
    {"image": ""},
    {"image": "nginx latest"},
    {"image": "-v/:/host"},
    {"image": "../../etc"},
    {"image": "a//b"},
    {"image": "nginx:"},
    {"image": "nginx\x00"},
    {"image": "nginx\n"},
    {"image": "nginx@sha256:abc"},
    {"image": "x" * 256},
    {"command": "sh"},
    {"command": [1]},
    {"command": ["a\x00b"]},
    {"command": ["\x1b[2J"]},
    {"command": ["x"] * 65},
    {"command": ["x" * 4097]},
    {"env": []},
    {"env": {"": "x"}},
    {"env": {"1A": "x"}},
    {"env": {"A=B": "x"}},
    {"env": {"A\n": "x"}},
    {"env": {"A": 1}},
    {"env": {"A": None}},
    {"env": {"A": "\x00"}},
    {"env": {"A": "x" * 8193}},
    {"env": {f"A{number}": "" for number in range(101)}},
    {"memoryMb": 5},
    {"memoryMb": 0},
    {"memoryMb": -1},
    {"memoryMb": 2**20 + 1},
    {"memoryMb": 256.0},
    {"memoryMb": "256"},
    {"memoryMb": True},
    {"memoryMb": None},
    {"memoryMb": 10**400},
    {"cpuCores": 0},
    {"cpuCores": -1},
    {"cpuCores": "0.009"},
    {"cpuCores": "256.001"},
    {"cpuCores": "0.2501"},
    {"cpuCores": "NaN"},
    {"cpuCores": float("nan")},
    {"cpuCores": float("inf")},
    {"cpuCores": "1e1"},
    {"cpuCores": 1e-9},
    {"cpuCores": "1_0"},
    {"cpuCores": " 1"},
    {"cpuCores": "١"},
    {"cpuCores": ""},
    {"cpuCores": True},
    {"cpuCores": [1]},
    {"cpuCores": 10**400},
    {"replicas": -1},
    {"replicas": 101},
    {"replicas": 1.0},
    {"replicas": "1"},
    {"replicas": True},
    {"volumes": {}},
    {"volumes": [{"name": "data"}]},
    {"volumes": [{"name": "data", "path": "data"}]},
    {"volumes": [{"name": "data", "path": "/"}]},
    {"volumes": [{"name": "data", "path": "//data"}]},
    {"volumes": [{"name": "data", "path": "/data/"}]},
    {"volumes": [{"name": "data", "path": "/a/../etc"}]},
    {"volumes": [{"name": "data", "path": "/a/./b"}]},
    {"volumes": [{"name": "data", "path": "/proc/1"}]},
    {"volumes": [{"name": "data", "path": "/sys"}]},
    {"volumes": [{"name": "data", "path": "/dev/sda"}]},
    {"volumes": [{"name": "data", "path": "/data:ro"}]},
    {"volumes": [{"name": "data", "path": "/data\x00"}]},
    {"volumes": [{"name": "../data", "path": "/data"}]},
    {"volumes": [{"name": "data", "path": "/data", "readOnly": True}]},
    {"volumes": [{"name": "a", "path": "/data"}, {"name": "b", "path": "/data"}]},
    {"volumes": [{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}]},
    {"volumes": [{"name": f"v{number}", "path": f"/v{number}"} for number in range(21)]},
    {"privileged": True},
    {"labels": {}},
    {"plan": "PRO"},
    {"accountId": "x"},
    {"memory_mb": 256},
)


def test_definition_takes_over_what_was_said() -> None:
    request = ServiceRequest.model_validate(
        {
            **GOOD,
            "image": "registry.example:5000/team/app_x:1.2@sha256:" + "a" * 64,
            "command": ["sh", "-c", "echo hi\nexit 0"],
            "env": {"A_1": "two\tlines\n"},
            "replicas": 0,
            "volumes": [{"name": "data", "path": "/var/lib/data"}],
        }
    )
    assert request.to_definition() == ServiceDefinition(
        name="web",
        image="registry.example:5000/team/app_x:1.2@sha256:" + "a" * 64,
        command=("sh", "-c", "echo hi\nexit 0"),
        env={"A_1": "two\tlines\n"},
        memory_mb=256,
        cpu_cores=Decimal("0.25"),
        replicas=0,
        volumes=(Volume(name="data", path="/var/lib/data"),),
    )


@pytest.mark.parametrize(
    ("said", "cores"), [(1, "1"), (0.5, "0.5"), ("0.01", "0.01"), (256, "256"), ("2.500", "2.500"), (0.1, "0.1")]
)
def test_cores_are_taken_exactly_as_written(said: object, cores: str) -> None:
    assert ServiceRequest.model_validate({**GOOD, "cpuCores": said}).cpu_cores == Decimal(cores)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: str(bad)[:60].encode("ascii", "backslashreplace").decode())
def test_absurd_definition_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServiceRequest.model_validate({**GOOD, **bad})


@pytest.mark.parametrize("field", GOOD)
def test_definition_without_a_needed_field_is_refused(field: str) -> None:
    with pytest.raises(ValidationError):
        ServiceRequest.model_validate({name: value for name, value in GOOD.items() if name != field})


def test_change_names_only_what_changes() -> None:
    change = ServiceChangeRequest.model_validate({"env": {}, "cpuCores": 2})
    assert change.to_change() == ServiceChange(env={}, cpu_cores=Decimal(2))


@pytest.mark.parametrize("bad", [{}, {"name": "new"}, {"image": None}, {"memoryMb": 1}, {"wish": "running"}])
def test_change_that_says_nothing_or_too_much_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServiceChangeRequest.model_validate(bad)


@pytest.mark.parametrize("bad", [{}, {"replicas": -1}, {"replicas": 101}, {"replicas": True}, {"replicas": 1, "x": 1}])
def test_scale_takes_a_sane_number_only(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScaleRequest.model_validate(bad)
