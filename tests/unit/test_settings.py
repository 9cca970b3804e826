from collections.abc import Iterator
from pathlib import Path

import pytest

from helvetia.settings import PRICE_VARIABLES, ConfigurationError, Settings

COMPLETE = {
    "STRIPE_SECRET_KEY": "sk_test_abcdefgh",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_abcdefgh",
    "STRIPE_WEBHOOK_SECRET": "whsec_abcdefgh",
    **{name: f"price_{number}" for number, name in enumerate(PRICE_VARIABLES)},
}
EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return


def load(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


def problems(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, variables)
    return str(caught.value)


def test_nothing_set_uses_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {})
    assert settings.is_sandbox
    assert settings.api_base == "http://127.0.0.1:12111"
    assert not settings.is_live


def test_complete_test_configuration_uses_stripe(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, COMPLETE)
    assert not settings.is_sandbox
    assert settings.api_base is None
    assert set(settings.price_ids) == set(PRICE_VARIABLES)


@pytest.mark.parametrize("missing", COMPLETE)
def test_half_set_configuration_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    message = problems(monkeypatch, {name: value for name, value in COMPLETE.items() if name != missing})
    assert f"{missing} is missing" in message


def test_several_webhook_secrets_are_taken_and_an_empty_one_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**COMPLETE, "STRIPE_WEBHOOK_SECRET": "whsec_new, whsec_old"}
    assert load(monkeypatch, given).webhook_secrets == ("whsec_new", "whsec_old")
    for wrong in ("whsec_", "whsec_a,", ",whsec_a", "whsec_a,,whsec_b", "secret"):
        assert "STRIPE_WEBHOOK_SECRET" in problems(monkeypatch, {**COMPLETE, "STRIPE_WEBHOOK_SECRET": wrong})


def test_every_missing_variable_is_named_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    message = problems(monkeypatch, {"STRIPE_SECRET_KEY": "sk_test_abcdefgh"})
    assert all(name in message for name in COMPLETE if name != "STRIPE_SECRET_KEY")


def test_keys_of_different_modes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "different modes" in problems(monkeypatch, {**COMPLETE, "STRIPE_PUBLISHABLE_KEY": "pk_live_abcdefgh"})


def test_live_key_with_the_sandbox_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    live = {**COMPLETE, "STRIPE_SECRET_KEY": "sk_live_abcdefgh", "STRIPE_PUBLISHABLE_KEY": "pk_live_abcdefgh"}
    assert load(monkeypatch, live).is_live
    assert "STRIPE_API_BASE" in problems(monkeypatch, {**live, "STRIPE_API_BASE": "http://127.0.0.1:12111"})
    assert "CONTAINER_HOST" in problems(monkeypatch, {**live, "CONTAINER_HOST": "process"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_SECRET_KEY", "pk_test_swapped"),
        ("STRIPE_WEBHOOK_SECRET", "secret"),
        ("STRIPE_PRICE_ID_PRO", "prod_123"),
        ("PORT", "70000"),
        ("METERING_INTERVAL_S", "-1"),
        ("CONTAINER_HOST", "kubernetes"),
        ("PUBLIC_BASE_URL", "not a url"),
        ("LOG_LEVEL", "LOUD"),
        ("DATABASE_URL", "mysql://u:p@h/d"),
    ],
)
def test_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert name in problems(monkeypatch, {**COMPLETE, name: value})


def test_secrets_are_masked_in_every_text_form(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "STRIPE_SECRET_KEY": "sk_test_CANARY1",
        "STRIPE_WEBHOOK_SECRET": "whsec_CANARY2",
        "DATABASE_URL": "postgresql://u:CANARY3@h/d",
        "METRICS_TOKEN": "CANARY4",
    }
    settings = load(monkeypatch, {**COMPLETE, **secrets})
    texts = (str(settings), repr(settings), f"{settings}", settings.model_dump_json(), str(settings.model_dump()))
    assert not [text for text in texts if "CANARY" in text]


def test_wrong_secret_is_not_printed_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CANARY" not in problems(monkeypatch, {**COMPLETE, "STRIPE_SECRET_KEY": "CANARY"})


def test_every_variable_is_documented() -> None:
    text = EXAMPLE.read_text()
    assert [field.upper() for field in Settings.model_fields if f"{field.upper()}=" not in text] == []
