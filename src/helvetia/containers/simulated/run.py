"""One simulated container at an instant: its record, counters and size follow from its script. Pure."""

from dataclasses import dataclass

from helvetia.containers.model import ContainerCounters, ContainerRecord, ContainerSpec, ContainerState, StorageSize
from helvetia.containers.simulated.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedContainer:
    """`stopped_ns`: ended from outside; it may have ended by its script before."""

    container_id: str
    spec: ContainerSpec
    profile: Profile
    process_id: int
    created_ns: int
    started_ns: int
    volumes: tuple[str, ...]
    stopped_ns: int | None = None
    exit_code: int = 0
    is_out_of_memory: bool = False
    restart_count: int = 0

    def is_of(self, spec: ContainerSpec) -> bool:
        """Whether it is of the same service, revision and replica."""
        mine = self.spec
        return (mine.service_id, mine.revision, mine.replica) == (spec.service_id, spec.revision, spec.replica)

    def finished_ns(self, now_ns: int) -> int | None:
        """When it ended, or None while it runs."""
        by_script_ns = None if self.profile.run_ns is None else self.started_ns + self.profile.run_ns
        ends = [end for end in (self.stopped_ns, by_script_ns) if end is not None and end <= now_ns]
        return min(ends, default=None)

    def record(self, now_ns: int) -> ContainerRecord:
        finished_ns = self.finished_ns(now_ns)
        is_running = finished_ns is None
        exit_code = self.exit_code if finished_ns == self.stopped_ns else self.profile.exit_code
        return ContainerRecord(
            container_id=self.container_id,
            account_id=self.spec.account_id,
            service_id=self.spec.service_id,
            revision=self.spec.revision,
            replica=self.spec.replica,
            state=ContainerState.RUNNING if is_running else ContainerState.EXITED,
            created_ns=self.created_ns,
            started_ns=self.started_ns,
            finished_ns=finished_ns,
            restart_count=self.restart_count,
            exit_code=None if is_running else exit_code,
            oom_killed=self.is_out_of_memory,
            process_id=self.process_id if is_running else None,
            volumes=self.volumes,
        )

    def counters(self, now_ns: int) -> ContainerCounters | None:
        """None when it does not run."""
        if self.finished_ns(now_ns) is not None:
            return None
        elapsed_ns = now_ns - self.started_ns
        profile = self.profile
        is_measured = profile.is_network_measured
        return ContainerCounters(
            container_id=self.container_id,
            sampled_ns=now_ns,
            memory_bytes=profile.memory_bytes.at(elapsed_ns),
            memory_peak_bytes=profile.memory_bytes.highest_until(elapsed_ns),
            cpu_ns=profile.cpu_ns(elapsed_ns),
            transmitted_bytes=profile.sent_bytes(elapsed_ns) if is_measured else None,
            received_bytes=profile.received_bytes(elapsed_ns) if is_measured else None,
        )

    def layer_size(self, now_ns: int) -> StorageSize:
        """A layer stays as it was at the end, until the container is removed."""
        until_ns = self.finished_ns(now_ns) or now_ns
        return StorageSize(
            holder=self.container_id,
            kind="layer",
            account_id=self.spec.account_id,
            service_id=self.spec.service_id,
            sampled_ns=now_ns,
            size_bytes=self.profile.layer_bytes.at(until_ns - self.started_ns),
        )
