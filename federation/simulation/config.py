"""Every setting of a simulated training run, as one typed value that a TOML file and options fill in.

The file has a table for each part, for example::

    rounds = 200
    cohort = 20

    [client]
    learning_rate = 0.5

    [server]
    name = "adam"
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from federation.base.config import build, load, read
from federation.base.ranges import Count, Natural, Range, Ranged, Share
from federation.errors import ConfigError
from federation.fleet.scenario import Scenario
from federation.privacy.training import BY_SERVER, PrivateTraining
from federation.robustness import DefenceSettings
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.central_training import CentralTraining
from federation.simulation.client_training import ClientTraining
from federation.simulation.places import LOCAL, check_places

Schedule = Literal["constant", "cosine"]
Size = Literal["small", "gboard"]

MAX_ROW_LENGTH = 1000

SEED = "seed"
PUBLIC = "public"
_GENTLE = {"server": 0.4, "client": 0.5}  # learning rates


@dataclass(frozen=True)
class SimulationConfig(Ranged):
    """A simulated training run.

    Attributes:
        corpus: `chitchat` or the path of a corpus file or of a description; see `data.description`.
        min_messages: users of the corpus with fewer are left out; 0 for 10, or what its description says.
        max_users: a sample of this many users of each of the corpus's files; 0 for all.
        language: code of what the corpus is in; found by its words if empty.
        start: what the first round begins with: `seed`, a network trained on the corpus's public users alone;
            `public`, what comes with fedkey; or the path of a model or of what `fedkey pretrain` wrote.
        words: whether every client votes once for new words before the first round; they join the model's lexicon.
        public: files of public text that a start other than `seed` is trained on further, before the first round.
        size: of the network: `small` or `gboard`.
        row_length: targets in a packed row.
        rounds: of federated averaging.
        cohort: clients in a round.
        client_rows: at most this many rows of a client are used in a round; 0 is no limit.
        schedule: of the server's learning rate over the rounds; `cosine` falls to a fiftieth.
        evaluate_every: rounds between federated evaluations.
        evaluate_clients: at most this many clients take part in one, always the same.
        keep_states: how many of the latest states stay on disk.
        workers: where clients are computed: `local`, a process of this machine, or the address of one that
            `fedkey worker` started; each may stand there several times. Results do not depend on it.
        allow_unauthenticated_network: whether workers may be reached without a tunnel.
        worker_limit_mb: a local worker is replaced when it holds more.
        seed: everything random follows from it.
        warm_start: training on the public seed before the first round.
        client: what a client does with its rows.
        server: how the server steps along the mean delta.
        upload_share: of a delta's coordinates that clients send; see `federation.updates.sparsification`.
        privacy: how clients' deltas are bounded and noised.
        defence: against clients that poison; it keeps a tenth of the public seed from the warm start to judge by.
        scenario: phones that come, go and fail; without one everybody who is chosen takes part.
    """

    corpus: str = "chitchat"
    min_messages: Natural = 0
    max_users: Natural = 0
    language: str = ""
    start: str = SEED
    words: bool = False
    public: tuple[str, ...] = ()
    size: Size = "small"
    row_length: Annotated[int, Range(1, MAX_ROW_LENGTH)] = 20
    rounds: Count = 200
    cohort: Count = 20
    client_rows: Natural = 0
    schedule: Schedule = "cosine"
    evaluate_every: Count = 20
    evaluate_clients: Count = 100
    keep_states: Count = 2
    workers: tuple[str, ...] = (LOCAL,)
    allow_unauthenticated_network: bool = False
    worker_limit_mb: Count = 1500
    seed: Natural = 1
    warm_start: CentralTraining = field(default_factory=CentralTraining)
    client: ClientTraining = field(default_factory=ClientTraining)
    server: OptimizerSettings = field(default_factory=OptimizerSettings)
    upload_share: Share = 1.0
    privacy: PrivateTraining = field(default_factory=PrivateTraining)
    defence: DefenceSettings = field(default_factory=DefenceSettings)
    scenario: Scenario | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_places(self.workers, allow_unauthenticated_network=self.allow_unauthenticated_network)
        if self.public and self.start == SEED:
            raise ConfigError("public text extends a public start: leave out --public, or choose another --start")
        if self.words and self.start == SEED:
            raise ConfigError("clients vote for candidates of a public start: leave out --words, or choose --start")
        if self.words and self.privacy.mechanism in BY_SERVER:
            raise ConfigError("noise by the server does not cover votes: let clients add it, or leave out --words")
        if self.scenario is not None and self.cohort < self.scenario.rounds.minimum:
            raise ConfigError(
                f"a round of {self.cohort} clients never has the scenario's minimum of {self.scenario.rounds.minimum}: "
                "raise cohort or lower rounds.minimum"
            )
        if self.upload_share < 1 and self.privacy.mechanism in BY_SERVER:
            raise ConfigError("noise by the server is on all coordinates: leave out upload_share")
        if self.defence.enabled:
            self.privacy.check_groups(self.defence.group_phones)
        if self.scenario is not None:
            self.privacy.check_scenario(self.scenario.rounds.minimum)

    @classmethod
    def from_toml(cls, path: Path) -> "SimulationConfig":
        """Read a settings file; what it leaves out keeps its default.

        Raises:
            ConfigError: the file cannot be read, or a key or value is not one of those documented above.
        """
        return load(cls, path)

    @classmethod
    def beginning(cls, start: str | None, file: Path | None = None) -> "SimulationConfig":
        """Return the settings of a run that begins somewhere: those of a file, and defaults for the rest.

        A network that public text has taught already is spoiled by the first rounds unless clients and server step
        gently: where the file does not say, their learning rates are 0.5 and 0.4 instead of 2 and 1.

        Args:
            start: see the attribute; if not given, that of the file, or else `public`.
            file: TOML.

        Raises:
            ConfigError: see `from_toml`.
        """
        table = {} if file is None else read(file)
        table["start"] = start or table.get("start", PUBLIC)
        for part, rate in _GENTLE.items():
            given = table.get(part, {})
            if table["start"] != SEED and isinstance(given, dict):
                table[part] = {"learning_rate": rate} | given
        return build(cls, table, str(file or "options"))

    def with_options(self, options: dict[str, Any]) -> "SimulationConfig":
        """Return a copy with `options` applied; a dotted name such as `server.name` reaches into a part."""
        table = self.to_dict()
        for name, value in options.items():
            *parents, last = name.split(".")
            part: Any = table
            for parent in parents:
                part = part.get(parent)
                if not isinstance(part, dict):
                    raise ConfigError(f"options: unknown setting {name!r}")
            part[last] = value
        return build(SimulationConfig, table, "options")

    def with_scenario(self, scenario: Scenario) -> "SimulationConfig":
        """Return a copy with a scenario and its weighting of clients."""
        client = dataclasses.replace(self.client, weighting=scenario.weighting)
        return dataclasses.replace(self, scenario=scenario, client=client)

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested tables, as a TOML or JSON file holds them."""
        return dataclasses.asdict(self)
