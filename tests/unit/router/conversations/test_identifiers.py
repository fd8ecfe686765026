"""This file proves what is understood of identifiers as people and forms write them."""

import pytest

from libs.contracts.vocabulary import Channel, IdentifierKind
from services.router.conversations.domain.identifiers import email, phone, understand


@pytest.mark.parametrize(
    "written",
    [
        "081234567890",
        "0812-3456-7890",
        "0812 3456 7890",
        "+62 812 3456 7890",
        "+62 0812 3456 7890",
        "6281234567890",
        "81234567890",
        "00 62 812 3456 7890",
        "006281234567890",
        "(0812) 3456.7890",
        "tel:+6281234567890",
        "wa.me/6281234567890",
        "https://wa.me/6281234567890",
        "whatsapp:+6281234567890",
    ],
)
def test_every_indonesian_spelling_is_one_number(written: str) -> None:
    assert phone(written, "ID") == "+6281234567890"


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("020 7946 0018", "GB", "+442079460018"),
        ("+1 650-253-0000", "ID", "+16502530000"),
        ("0011 62 812 3456 7890", "AU", "+6281234567890"),
    ],
)
def test_number_is_read_as_in_its_own_country(written: str, region: str, number: str) -> None:
    assert phone(written, region) == number


@pytest.mark.parametrize(
    "written",
    [
        "",
        "0",
        "12345",
        "0000000000",
        "halo",
        "1500123",
        "0800 1 123456",
        "081111111111",
        "+62",
        "١٢٣",
        "+" * 300,
    ],
)
def test_what_is_no_persons_number_is_none(written: str) -> None:
    assert phone(written, "ID") is None


@pytest.mark.parametrize(
    ("written", "mailbox"),
    [
        ("Siti.Aminah@Toko.CO.ID", "siti.aminah@toko.co.id"),
        ("siti+toko@gmail.com", "siti+toko@gmail.com"),
        ("no-reply@toko.id", None),
        ("test@test.com", None),
        ("anonymous@toko.id", None),
        ("siti@example.com", None),
        ("siti@mail.example.org", None),
        ("000@toko.id", None),
        ("siti", None),
        ("siti@localhost", None),
        ("siti @toko.id", None),
        ("<siti@toko.id>", None),
        ("siti@toko.id@toko.id", None),
    ],
)
def test_mailbox_is_folded_and_junk_is_none(written: str, mailbox: str | None) -> None:
    assert email(written) == mailbox


@pytest.mark.parametrize(
    ("kind", "value", "understood"),
    [
        (IdentifierKind.PHONE, " 081234567890 ", "+6281234567890"),
        (IdentifierKind.EXTERNAL, " C-1 ", "C-1"),
        (IdentifierKind.EXTERNAL, "c-1", "c-1"),
        (IdentifierKind.EXTERNAL, "Null", None),
        (IdentifierKind.EXTERNAL, "-1", None),
        (IdentifierKind.EXTERNAL, "0000", None),
        (IdentifierKind.EXTERNAL, "  ", None),
        (IdentifierKind.EXTERNAL, "x" * 513, None),
        (IdentifierKind.EXTERNAL, "a\0b", "a�b"),
        (IdentifierKind.WHATSAPP_USER, "ID.13491208655302741918", "ID.13491208655302741918"),
        (IdentifierKind.CHANNEL_USER, "telegram:777", "telegram:777"),
        (IdentifierKind.CHANNEL_USER, "telegram:778", None),
        (IdentifierKind.CHANNEL_USER, "777", None),
        (IdentifierKind.DEVICE, "d-1", None),
        (IdentifierKind.UNKNOWN, "x", None),
    ],
)
def test_identifier_is_understood_by_its_kind(
    kind: IdentifierKind, value: str, understood: str | None
) -> None:
    found = understand(kind, value, verified=True, region="ID", channel=Channel.TELEGRAM, address="777")
    assert (found.value if found else None) == understood
