"""The enrolment service over HTTP: who is enrolled, who is not, and how often one may ask."""

import secrets
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask.testing import FlaskClient

from federation.base.rate_limits import RateLimits
from federation.enrolment.authority import AuthorityFolder
from federation.enrolment.service import create_desk
from federation.protocol.credentials import Credential, EnrolmentRequest
from federation.secure_aggregation import DeviceKey

IDENTITY = DeviceKey(bytes(16), Ed25519PrivateKey.generate())


def drawn() -> DeviceKey:
    return DeviceKey(secrets.token_bytes(16), Ed25519PrivateKey.generate())


PSEUDONYM = drawn()
REQUEST = EnrolmentRequest.signed(IDENTITY, PSEUDONYM)


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    rates = RateLimits(address="2/minute")
    return create_desk(AuthorityFolder.create(tmp_path), rates=rates).test_client()


def test_a_device_gets_a_credential_for_its_key(client: FlaskClient) -> None:
    answer = client.post("/v1/enrol", data=REQUEST)
    assert answer.status_code == 200
    credential = Credential.from_bytes(answer.data)
    assert (credential.device_id, credential.identity_key) == (PSEUDONYM.device_id, PSEUDONYM.public_key)
    assert client.post("/v1/enrol", data=REQUEST).data == answer.data


def test_an_id_stays_with_its_first_key(client: FlaskClient) -> None:
    client.post("/v1/enrol", data=REQUEST)
    other = DeviceKey(bytes(16), Ed25519PrivateKey.generate())
    answer = client.post("/v1/enrol", data=EnrolmentRequest.signed(other, drawn()))
    assert answer.status_code == 403
    assert "another key" in answer.json["error"]


def test_an_address_that_asks_too_often_is_told_when_to_come_back(client: FlaskClient) -> None:
    for _ in range(2):
        assert client.post("/v1/enrol", data=REQUEST).status_code == 200
    answer = client.post("/v1/enrol", data=REQUEST)
    assert answer.status_code == 429
    assert "slow down" in answer.json["error"]
    assert 0 < int(answer.headers["Retry-After"]) <= 60
