"""`fedkey privacy`."""

from click.testing import CliRunner

from federation.cli import main


def test_the_report_prints_what_was_published() -> None:
    command = "privacy report --tree-noise 7 --rounds 2000 --participations 6 --separation 313"
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 0
    assert "0.8061 (zCDP)" in result.output
    refused = CliRunner().invoke(main, [*command.split(), "--sampling", "poisson"])
    assert refused.exit_code == 1
    assert "choose when to come" in refused.output


def test_a_proposal_is_printed() -> None:
    command = "privacy plan --target-epsilon 8.9 --population 100000 --rounds 2000"
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 0
    assert "rho 0.806" in result.output
