"""Tax ids of customers: what they look like, and whether the authority knows them.

Stripe: a value that cannot be one of its type is refused; Australian, European and British ones are checked with the
authority a little later. In test mode ``000000000`` is verified and ``111111111`` is not; any other stays pending.
"""

from __future__ import annotations

import re

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.engine import timers
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import NOT_DELETED

NAME = "tax_id"
TIMER = "verify_tax_id"
_WORDS = """
ad_nrt ae_trn al_tin am_tin ao_tin ar_cuit au_abn au_acn au_arn au_wpn aw_tin az_tin ba_tin bb_tin bd_bin
bf_ifu bg_uic bh_vat bj_ifu bo_tin br_cnpj br_cpf bs_tin bw_vat by_tin ca_bn ca_gst_hst ca_pst_bc
ca_pst_mb ca_pst_sk ca_qst cd_nif ch_uid ch_vat ci_vat cl_tin cm_niu cn_tin co_nit cr_tin cv_nif cz_dic
de_stn do_rcn ec_ruc eg_tin es_cif et_tin eu_oss_vat eu_vat fo_vat fr_siren fr_siret fr_spi gb_vat ge_vat
gh_tin gi_tin gn_nif hk_br hr_oib hu_tin ic_nif id_npwp il_vat in_gst is_kt is_vat it_cf jp_cn jp_rn
jp_trn ke_pin kg_tin kh_tin kr_brn kz_bin la_tin li_uid li_vat lk_vat ma_vat md_cf md_vat me_pib mk_vat
mr_nif mu_vat mx_rfc my_frp my_itn my_sst mz_nuit ng_tin no_vat no_voec np_pan nz_bn nz_gst om_vat pe_ruc
ph_tin pl_nip pt_nif py_ruc ro_tin rs_pib ru_inn ru_kpp sa_vat sg_gst sg_uen si_tin sm_coe sn_ninea
sr_fin sv_nit th_vat tj_tin tr_tin tt_bir tt_vat tw_vat tz_vat ua_vat ug_tin us_ein uy_ruc uz_tin uz_vat
ve_rif vn_tin za_vat zm_tin zw_tin
"""
TYPES = tuple(_WORDS.split())
_EUROPEAN = "AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|EU|FI|FR|GR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK"
_SHAPES = {
    "au_abn": r"[0-9]{11}",
    "ch_uid": r"CHE-?[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}( HR)?",
    "ch_vat": r"CHE-?[0-9]{3}\.?[0-9]{3}\.?[0-9]{3} (MWST|TVA|IVA)",
    "eu_vat": rf"({_EUROPEAN})[0-9A-Z+*]{{8,12}}",
    "gb_vat": r"(GB|XI)[0-9]{9}([0-9]{3})?",
    "us_ein": r"[0-9]{2}-?[0-9]{7}",
}
_CHECKED = frozenset({"au_abn", "eu_vat", "gb_vat"})
_VERDICTS = {"000000000": "verified", "111111111": "unverified"}
_COUNTRIES = {"EL": "GR", "EU": None, "XI": "GB"}


def add(ctx: Context, customer: Doc, kind: str, value: str, param: str = "value") -> Doc:
    """Give a customer a tax id and return it as shown; one that cannot be right is refused under ``param``."""
    if not re.fullmatch(_SHAPES.get(kind, r".{2,40}"), value):
        raise BadRequest(f"Invalid value for {kind}.", code="tax_id_invalid", param=param)
    status = "pending" if kind in _CHECKED else "unavailable"
    found: Doc = {
        "id": new_id("txi"),
        "object": NAME,
        "country": _country(kind, value),
        "created": ctx.now(customer["test_clock"]),
        "customer": customer["id"],
        "customer_account": None,
        "livemode": False,
        "owner": {"customer": customer["id"], "customer_account": None, "type": "customer"},
        "type": kind,
        "value": value,
        "verification": {"status": status, "verified_address": None, "verified_name": None},
    }
    if status == "pending" and _verdict(value):
        timers.arm(ctx, found, TIMER, ctx.now())
    return ctx.add(found, "customer.tax_id.created")


def _country(kind: str, value: str) -> str | None:
    if kind in ("eu_oss_vat", "eu_vat"):
        prefix = value[:2]
        return _COUNTRIES.get(prefix, prefix)
    return kind[:2].upper()


def _verdict(value: str) -> str | None:
    return next((verdict for digits, verdict in _VERDICTS.items() if digits in value), None)


def verify(ctx: Context, tax_id: str) -> None:
    """Let the authority answer."""
    found = ctx.find(NAME, tax_id)
    verdict = _verdict(found["value"]) if found else None
    if found is None or found.get("deleted") or verdict is None:
        return
    changed = found["verification"] | {"status": verdict}
    if verdict == "verified":
        changed |= {"verified_address": "123 Test Street", "verified_name": "Test Company"}
    ctx.update(found | {"verification": changed}, "customer.tax_id.updated")


def of_customer(ctx: Context, customer_id: str) -> list[Doc]:
    """Return a customer's tax ids, oldest first."""
    conditions = ("customer=?", NOT_DELETED)
    page = Page(kind=NAME, conditions=conditions, arguments=(customer_id,), oldest_first=True)
    return ctx.select(page)


def on_invoice(ctx: Context, customer_id: str) -> list[Doc]:
    """Return a customer's tax ids as an invoice carries them."""
    return [{"type": found["type"], "value": found["value"]} for found in of_customer(ctx, customer_id)]
