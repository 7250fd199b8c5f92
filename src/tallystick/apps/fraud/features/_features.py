"""The features by name: what each is called in a reason, and its stable short code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FEATURES", "NAMES", "Feature"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column.

    Args:
        name: of the column.
        title: in plain words, for reasons; a value may follow it.
        reason_code: short and stable: a code is never given to another feature.
    """

    name: str
    title: str
    reason_code: str


def _features() -> tuple[Feature, ...]:
    rows = [line.split("|") for line in _TABLE.strip().splitlines()]
    return tuple(Feature(name.strip(), title.strip(), code.strip()) for code, name, title in rows)


# New features get new codes at the end of the numbers; the order of the rows is the order of the columns.
_TABLE: Final = """
V01|amount|amount in minor units
V02|amount_zscore|how far the amount stands from what this customer usually pays, in standard deviations
V03|amount_to_mean|amount as a multiple of this customer's mean over 30 days
V04|night|made at night
V05|weekend|made at the weekend
V06|hour|hour of the day
V07|channel_card|paid by card at a terminal
V08|channel_card_not_present|paid by card online
V09|channel_instant|instant payment
V10|channel_transfer|transfer
V11|customer_count_10m|payments by this customer within ten minutes
V12|customer_count_1h|payments by this customer within an hour
V13|customer_count_1d|payments by this customer within a day
V14|customer_count_7d|payments by this customer within seven days
V15|customer_count_30d|payments by this customer within 30 days
V16|customer_sum_10m|sum that this customer paid within ten minutes
V17|customer_sum_1h|sum that this customer paid within an hour
V18|customer_sum_1d|sum that this customer paid within a day
V19|customer_sum_7d|sum that this customer paid within seven days
V20|customer_sum_30d|sum that this customer paid within 30 days
V21|customer_mean_1d|mean of this customer's payments within a day
V22|customer_mean_7d|mean of this customer's payments within seven days
V23|customer_mean_30d|mean of this customer's payments within 30 days
V24|customer_since_last_s|seconds since this customer's last payment
V25|payee_is_new|first payment to this payee by this customer
V26|payee_known_s|seconds since this customer first paid this payee
V27|customer_new_payees_1d|payees that this customer first paid within a day
V28|card_count_10m|payments with this card within ten minutes
V29|card_count_1h|payments with this card within an hour
V30|card_count_1d|payments with this card within a day
V31|card_count_7d|payments with this card within seven days
V32|card_count_30d|payments with this card within 30 days
V33|card_sum_1h|sum paid with this card within an hour
V34|card_sum_1d|sum paid with this card within a day
V35|card_sum_7d|sum paid with this card within seven days
V36|card_mean_30d|mean of this card's payments within 30 days
V37|card_since_last_s|seconds since this card's last payment
V38|device_count_10m|payments from this device within ten minutes
V39|device_count_1h|payments from this device within an hour
V40|device_count_1d|payments from this device within a day
V41|device_count_7d|payments from this device within seven days
V42|device_count_30d|payments from this device within 30 days
V43|device_sum_1d|sum paid from this device within a day
V44|device_mean_30d|mean of this device's payments within 30 days
V45|device_is_new|a device that this customer has not paid from before
V46|device_other_customers_30d|other customers who paid from this device within 30 days
V47|payee_count_10m|payments to this payee within ten minutes
V48|payee_count_1h|payments to this payee within an hour
V49|payee_count_1d|payments to this payee within a day
V50|payee_count_7d|payments to this payee within seven days
V51|payee_count_30d|payments to this payee within 30 days
V52|payee_sum_1h|sum paid to this payee within an hour
V53|payee_sum_1d|sum paid to this payee within a day
V54|payee_sum_7d|sum paid to this payee within seven days
V55|payee_mean_30d|mean of payments to this payee within 30 days
V56|payee_since_last_s|seconds since the last payment to this payee
V57|payee_fan_in_1h|different customers who paid this payee within an hour
V58|payee_fan_in_1d|different customers who paid this payee within a day
V59|payee_fan_in_7d|different customers who paid this payee within seven days
V60|payee_frauds_30d|payments to this payee within 30 days that are known as fraud
V61|payee_known_7d|payments to this payee in the seven days before the label delay
V62|payee_known_30d|payments to this payee in the 30 days before the label delay
V63|payee_risk_1d|share of fraud among payments to this payee in the day before the label delay
V64|payee_risk_7d|share of fraud among payments to this payee in the seven days before the label delay
V65|payee_risk_30d|share of fraud among payments to this payee in the 30 days before the label delay
V66|terminal_count_1h|payments at this terminal within an hour
V67|terminal_count_1d|payments at this terminal within a day
V68|terminal_count_7d|payments at this terminal within seven days
V69|terminal_count_30d|payments at this terminal within 30 days
V70|terminal_mean_30d|mean of payments at this terminal within 30 days
V71|terminal_frauds_30d|payments at this terminal within 30 days that are known as fraud
V72|terminal_known_7d|payments at this terminal in the seven days before the label delay
V73|terminal_known_30d|payments at this terminal in the 30 days before the label delay
V74|terminal_risk_1d|share of fraud among payments at this terminal in the day before the label delay
V75|terminal_risk_7d|share of fraud among payments at this terminal in the seven days before the label delay
V76|terminal_risk_30d|share of fraud among payments at this terminal in the 30 days before the label delay
"""

FEATURES: Final[tuple[Feature, ...]] = _features()
"""Every column, in order."""

NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in FEATURES)
