"""What `fedkey doctor` says of an export and of a phone: figures that are computed, and what is not covered."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from federation.device.store import PhoneStore
from federation.device.trust_report import of_phone, of_profile
from federation.privacy.budget import PrivacyBudget
from federation.privacy.conversion import rho_limit, spent_epsilon
from federation.privacy.floor import floor_rho, rounds_to_limit
from federation.protocol.drop_reasons import DropReason
from federation.protocol.trust import TRUSTED, UNTRUSTED
from fedkey.cli import main
from tests.federation.device.servers import ANCHORS, Scripted, ScriptedPhone, signed_plan
from tests.federation.server.phones import Clock

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


def test_the_floor_costs_what_its_noise_says_and_a_little_more() -> None:
    cost = floor_rho(UNTRUSTED, 10_000)
    assert 1 / (2 * UNTRUSTED.min_noise_multiplier**2) < cost < 1.1 / (2 * UNTRUSTED.min_noise_multiplier**2)
    rounds = rounds_to_limit(UNTRUSTED, 10_000)
    assert spent_epsilon(rounds * cost) <= UNTRUSTED.epsilon_limit < spent_epsilon((rounds + 1) * cost)
    assert rounds_to_limit(TRUSTED, 10_000) == float("inf")


def test_each_profile_says_its_figures_and_what_it_does_not_cover() -> None:
    untrusted, trusted = ("\n".join(of_profile(profile, 10_000)) for profile in (UNTRUSTED, TRUSTED))
    cost = spent_epsilon(floor_rho(UNTRUSTED, 10_000))
    for figure in ("50 phones", "multiplier 0.1", "50 %", f"epsilon {cost:.0f} for one round", "limit of 2000"):
        assert figure in untrusted
    assert "No epsilon holds" in trusted
    for text in (untrusted, trusted):
        assert text.count("does not cover") >= 4


def test_what_is_said_to_be_measured_was_measured() -> None:
    """Each figure of the report is the one that the attacks over HTTP wrote down."""
    found = {each["figure"]: each for each in json.loads((RESULTS / "attack_server.json").read_text())}

    def figure(name: str, key: str = "value") -> float:
        return float(found[name][key])

    untrusted, trusted = ("\n".join(of_profile(profile, 10_000)) for profile in (UNTRUSTED, TRUSTED))
    fished = "pieces_fishing_trusted_50"
    assert f"read {figure(fished):.0f} of {figure(fished, 'reference_value'):.0f} pieces" in trusted
    assert figure("counter_error_trusted_50") == 0
    assert figure("pieces_fishing_untrusted_50") == 0
    assert found["pieces_fishing_untrusted_50"]["reference"].startswith("50 phones refused, ")
    assert "refused by all of 50 phones" in untrusted
    assert f"a deviation of {figure('counter_error_untrusted_50', 'reference_value'):,.0f} words" in untrusted
    words, cosine = "words_sybils_untrusted_50", "cosine_sybils_untrusted_50"
    assert f"knew {figure(words):.0f} % of the last one's words" in untrusted
    assert f"guessing gets {figure(words, 'reference_value'):.0f} %" in untrusted
    assert f"cosine of {figure(cosine):.3f}, where chance has {figure(cosine, 'reference_value'):.3f}" in untrusted


def test_a_phone_says_what_its_own_records_have(tmp_path: Path) -> None:
    store = PhoneStore(tmp_path)
    store.anchor(replace(ANCHORS, profile=UNTRUSTED))
    assert store.profile == UNTRUSTED
    store.budget = PrivacyBudget(rho_limit(8.0), 100, spent_rho=0.01)
    number = store.begin_round(1, 0.0, store.budget, bytes(16), bytes(32))
    store.count_phones(number, 57)
    store.end_round(number, 1.0, DropReason.NONE)
    told = "\n".join(of_phone(store))
    spent = f"epsilon {spent_epsilon(0.01):.3g}"
    for figure in ("1 rounds taken part in", "57 phones in the smallest", spent, "a limit of 8"):
        assert figure in told
    store.close()
    result = CliRunner().invoke(main, ["doctor", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "untrusted operator" in result.output
    assert told in result.output


def test_doctor_makes_nothing_of_a_folder_that_is_neither(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", str(tmp_path)])
    assert result.exit_code == 2
    assert "neither" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("limit", "joins"), [(5.0, False), (float("inf"), True)])
def test_every_client_holds_to_the_limit_of_its_apps_profile(tmp_path: Path, limit: float, joins: bool) -> None:
    """Headless phones bring no budget of their own; a round without noise has no bound, so any limit refuses it."""
    server = Scripted(round_id=5, plan=signed_plan(5))
    anchors = replace(ANCHORS, profile=replace(TRUSTED, epsilon_limit=limit))
    phone = ScriptedPhone(tmp_path, server, Clock(), anchors=anchors)
    phone.step()
    assert phone.store.budget is not None
    assert phone.store.budget.limit_rho == rho_limit(limit)
    assert phone.store.rounds()[0].joined is joins
