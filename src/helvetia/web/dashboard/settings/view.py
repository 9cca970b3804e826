"""The settings in words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.accounts.model import AccountKind, Member, Membership, Permission
from helvetia.web.dashboard.frame import account_query, role_words
from helvetia.web.dashboard.render import THEMES
from helvetia.web.dashboard.voice import Voice
from helvetia.web.middleware.authenticate import Caller

THEME_CHOICES = (*THEMES, "system")
_LANGUAGE_NAMES = {"en": "English", "de": "Deutsch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    value: str
    words: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneGroup:
    title: str
    options: Sequence[Option]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    name: str
    role: str
    query: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFacts:
    """`notice_language`: None for who may not read the billing. `members`: None for who may not manage them."""

    caller: Caller
    memberships: Sequence[Membership]
    members: Sequence[Member] | None
    notice_language: str | None
    zones: Sequence[str]
    theme: str | None
    voice: Voice
    is_saved: bool = False
    complaint: str | None = None
    typed_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsView:
    sentence: str
    saved: str | None
    languages: Sequence[Option]
    zones: Sequence[ZoneGroup]
    themes: Sequence[Option]
    mail: str | None
    notice_languages: Sequence[Option]
    may_change_billing: bool
    members: Sequence[PersonRow] | None
    organizations: Sequence[PersonRow]
    complaint: str | None
    typed_name: str


def to_settings_view(facts: SettingsFacts) -> SettingsView:
    voice, user = facts.voice, facts.caller.user
    spoken = [Option(value="", words=voice.say("as the browser asks"), is_chosen=user.language is None)]
    return SettingsView(
        sentence=voice.say("Settings of {name}.", name=facts.caller.account.name),
        saved=voice.say("Saved.") if facts.is_saved else None,
        languages=[*spoken, *_languages(user.language)],
        zones=_zones(facts.zones, user.time_zone or "UTC"),
        themes=_themes(facts.theme, voice),
        mail=_mail(facts),
        notice_languages=_languages(facts.notice_language) if facts.notice_language is not None else [],
        may_change_billing=facts.caller.allows(Permission.MOVE_MONEY),
        members=None if facts.members is None else [_member(one, voice) for one in facts.members],
        organizations=[
            PersonRow(name=one.account.name, role=role_words(one.role, voice), query=account_query(one))
            for one in facts.memberships
            if one.account.kind is AccountKind.ORGANIZATION
        ],
        complaint=facts.complaint,
        typed_name=facts.typed_name,
    )


def _member(one: Member, voice: Voice) -> PersonRow:
    return PersonRow(name=one.email, role=role_words(one.role, voice))


def _languages(chosen: str | None) -> list[Option]:
    return [Option(value=code, words=name, is_chosen=code == chosen) for code, name in _LANGUAGE_NAMES.items()]


def _themes(chosen: str | None, voice: Voice) -> list[Option]:
    words = {"light": voice.say("light"), "dark": voice.say("dark"), "system": voice.say("as the system")}
    current = chosen if chosen in THEMES else "system"
    return [Option(value=one, words=words[one], is_chosen=one == current) for one in THEME_CHOICES]


def _zones(names: Sequence[str], chosen: str) -> list[ZoneGroup]:
    """Gathered by continent; the names are the IANA's, so that they are found in every language."""
    groups: dict[str, list[Option]] = {}
    for name in names:
        region, _, place = name.partition("/")
        option = Option(value=name, words=(place or name).replace("_", " "), is_chosen=name == chosen)
        groups.setdefault(region, []).append(option)
    return [ZoneGroup(title=region, options=options) for region, options in groups.items()]


def _mail(facts: SettingsFacts) -> str | None:
    if facts.notice_language is None:
        return None
    voice = facts.voice
    if facts.caller.account.kind is AccountKind.USER:
        return voice.say(
            "Notices go to {email}. Invoices carry the e-mail, name, address and tax id that are kept at Stripe; the"
            " e-mail there began as this one.",
            email=facts.caller.user.email,
        )
    return voice.say(
        "Notices go to every owner and billing admin. Invoices carry the e-mail, name, address and tax id that are kept"
        " at Stripe."
    )
